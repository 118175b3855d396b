"""Undoes the compression of an archive member while it passes, and holds it to the length and checksum it declares."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, Protocol, cast

from gpuenv.errors import FormatError

__all__ = ["METHODS", "inflate"]

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
METHODS = frozenset({_STORED, _DEFLATED, _BZIP2})
_CHUNK_BYTES = 1 << 18


class _Decompressor(Protocol):
    """What `bz2`, `lzma` and `isal.igzip_lib` have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


def inflate(chunks: Iterator[bytes], *, method: int, size_bytes: int, crc32: int, where: str) -> Iterator[bytes]:
    """The content of a member in chunks of at most 256 KiB, from its compressed bytes.

    FormatError naming `where` as soon as there is more than `size_bytes`, and at the end where there is less or the
    checksum is another. No more than one chunk too much is ever inflated, whatever the ratio.
    """
    checksum = _checksum()
    total = crc = 0
    for content in chunks if method == _STORED else _decompressed(chunks, method, size_bytes, where):
        total += len(content)
        if total > size_bytes:
            break
        crc = checksum(content, crc)
        yield content
    if total != size_bytes:
        more = "more" if total > size_bytes else "fewer"
        raise FormatError(f"{where} has {more} bytes than the {size_bytes} that it declares")
    if crc != crc32:
        raise FormatError(f"{where} has another checksum than it declares", reasons=(f"{crc:08x}, not {crc32:08x}",))


def _decompressed(chunks: Iterator[bytes], method: int, size_bytes: int, where: str) -> Iterator[bytes]:
    worker, errors = _decompressor(method)
    left = size_bytes + 1
    for chunk in chunks:
        piece = chunk
        while left > 0:
            try:
                content = worker.decompress(piece, min(left, _CHUNK_BYTES))
            except errors as error:
                raise FormatError(f"{where} is broken", reasons=(str(error)[:200] or "no valid data",)) from error
            piece = b""
            left -= len(content)
            if content:
                yield content
            if worker.eof:
                return
            if worker.needs_input or not content:
                break
        if left <= 0:
            return
    raise FormatError(f"{where} breaks off")


def _decompressor(method: int) -> tuple[_Decompressor, tuple[type[Exception], ...]]:
    """The fastest one there is, and what it raises for broken data."""
    if method == _BZIP2:
        import bz2

        return bz2.BZ2Decompressor(), (OSError, ValueError, EOFError)
    try:
        from isal import igzip_lib
    except ImportError:
        return _PlainInflater(), (zlib.error,)
    fast: _Decompressor = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
    return fast, (cast("type[Exception]", igzip_lib.IsalError), ValueError, EOFError)


def _checksum() -> Any:
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.crc32
    return isal_zlib.crc32


class _PlainInflater:
    """`zlib` for raw deflate data in the shape of the others."""

    def __init__(self) -> None:
        self._worker = zlib.decompressobj(-zlib.MAX_WBITS)
        self.eof = False
        self.needs_input = True

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """At most `max_length` bytes; what is left of `data` comes with the next calls."""
        content = self._worker.decompress(self._worker.unconsumed_tail + data, max_length)
        self.eof = self._worker.eof
        self.needs_input = not self._worker.unconsumed_tail and len(content) < max_length
        return content
