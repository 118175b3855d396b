"""The bytes of a file as parsers see them: whole in memory or mapped, or only the parts kept of a stream."""

from __future__ import annotations

import mmap as mapping
import struct
from mmap import PAGESIZE, mmap
from typing import Any, overload

from gpuenv.errors import FormatError

__all__ = ["Buffer", "NotKeptError", "ReadableBytes", "SparseBuffer", "let_go", "read_text", "unpack"]


class NotKeptError(Exception):
    """A part of a stream was asked for that was let go. Never leaves this package."""


class SparseBuffer:
    """Some parts of a file of `size` bytes, each kept at its own offset; NotKeptError for any other part."""

    def __init__(self, parts: list[tuple[int, bytes]], size: int) -> None:
        self._parts = parts
        self._size = size

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, at: int) -> int: ...

    @overload
    def __getitem__(self, at: slice) -> bytes: ...

    def __getitem__(self, at: int | slice) -> int | bytes:
        if isinstance(at, int):
            return self[at : at + 1][0]
        start, stop, _ = at.indices(self._size)
        for offset, content in self._parts:
            if offset <= start and stop <= offset + len(content):
                return content[start - offset : stop - offset]
        if start >= stop:
            return b""
        raise NotKeptError


# What can be searched as well as read.
Buffer = bytes | bytearray | mmap
ReadableBytes = Buffer | SparseBuffer


def unpack(shape: str | struct.Struct, buffer: ReadableBytes, at: int) -> tuple[Any, ...]:
    """The numbers at an offset; FormatError when the file ends before them."""
    shape = struct.Struct(shape) if isinstance(shape, str) else shape
    content = buffer[at : at + shape.size]
    if len(content) < shape.size:
        raise FormatError(f"the file ends within a header at byte {at}")
    return shape.unpack(content)


def let_go(buffer: Buffer, start: int, stop: int) -> None:
    """Lets the system take back the memory behind a part of a mapped file that was read; it can be read again.

    Without it all that was looked at counts as this process's memory. Nothing is done for other buffers, and for a
    mapping that can be written, which could lose what was written.
    """
    # Windows has no such advice.
    advice = getattr(mapping, "MADV_DONTNEED", None)
    if advice is None or not isinstance(buffer, mmap) or not memoryview(buffer).readonly:
        return
    first = start // PAGESIZE * PAGESIZE
    if stop > first:
        buffer.madvise(advice, first, stop - first)


def read_text(buffer: ReadableBytes, at: int, *, limit: int = 256) -> str:
    """The zero-ended text at an offset, at most `limit` bytes of it; FormatError past the end of the file."""
    if at >= len(buffer):
        raise FormatError("a name lies after the end of the file")
    return bytes(buffer[at : at + limit]).split(b"\0", 1)[0].decode("latin-1")
