"""Unpacks a compressed stream piece by piece, in bounded memory, whatever it was compressed with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from functools import partial
from typing import Protocol, cast

from gpuenv.errors import FormatError

__all__ = ["Compression", "compression_of", "unpack"]

PIECE_BYTES = 1 << 18
# zstd's own default bound, and the window of its highest level (zstd manual, `--long` and `--ultra`).
MOST_WINDOW_LOG = 27
_MOST_XZ_BYTES = 160 << 20
# Parallel compressors write a stream for each block of some hundred kB; nobody writes millions of tiny ones.
_MOST_STREAMS = 1 << 20
# What follows a stream's end is copied, so that little at a time is given to it.
_SLICE_BYTES = 1 << 14


class Compression(StrEnum):
    """What a stream is compressed with."""

    BZIP2 = "bzip2"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"


# How a stream begins: RFC 1952, the bzip2 and the .xz file format, RFC 8878 (a frame, and frames to be skipped).
_MARKS = {
    Compression.BZIP2: (b"BZh",),
    Compression.GZIP: (b"\x1f\x8b",),
    Compression.XZ: (b"\xfd7zXZ\x00",),
    Compression.ZSTD: (b"\x28\xb5\x2f\xfd", *(bytes((number, 0x2A, 0x4D, 0x18)) for number in range(0x50, 0x60))),
}


class _Unpacker(Protocol):
    """What the decompressors of all four libraries have."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def compression_of(start: bytes) -> Compression | None:
    """What a stream that begins like this is compressed with, None for none of these."""
    return next((one for one, marks in _MARKS.items() if start.startswith(marks)), None)


def unpack(chunks: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The unpacked bytes in pieces of at most 256 KiB. Several streams one after the other are one, and what follows
    them that is none is passed over, as by other readers.

    FormatError for what is broken, breaks off, or asks for a zstd window beyond 128 MiB or as much for xz; errors
    of `chunks` pass through.
    """
    unpacker, failures = _open(compression)
    current, streams = unpacker(), 0
    for part in _slices(chunks):
        data = part
        while data or not (current.needs_input or current.eof):
            if current.eof:
                data = data.lstrip(b"\0")
                if not data:
                    break
                if not any(mark.startswith(data[: len(mark)]) for mark in _MARKS[compression]):
                    return
                current, streams = unpacker(), streams + 1
                if streams > _MOST_STREAMS:
                    raise FormatError(f"its {compression} stream is cut into more than {_MOST_STREAMS} pieces")
            try:
                piece = current.decompress(data, PIECE_BYTES)
            except failures as error:
                raise FormatError(f"its {compression} stream is broken: {error}") from error
            data = current.unused_data if current.eof else b""
            if piece:
                yield piece
    if not current.eof:
        raise FormatError(f"its {compression} stream breaks off")


def _slices(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for start in range(0, len(chunk), _SLICE_BYTES):
            yield chunk[start : start + _SLICE_BYTES]


def _open(compression: Compression) -> tuple[Callable[[], _Unpacker], tuple[type[Exception], ...]]:
    """What makes an unpacker, and the errors that it raises for broken input."""
    if compression is Compression.BZIP2:
        import bz2

        return bz2.BZ2Decompressor, (OSError, ValueError, EOFError)
    if compression is Compression.GZIP:
        from isal import igzip_lib

        broken = cast("type[Exception]", igzip_lib.IsalError)
        return partial(igzip_lib.IgzipDecompressor, flag=igzip_lib.DECOMP_GZIP), (broken, EOFError)
    if compression is Compression.XZ:
        import lzma

        return partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=_MOST_XZ_BYTES), (lzma.LZMAError, EOFError)
    return _open_zstd()


def _open_zstd() -> tuple[Callable[[], _Unpacker], tuple[type[Exception], ...]]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MOST_WINDOW_LOG}
    return partial(zstd.ZstdDecompressor, options=options), (zstd.ZstdError, EOFError)
