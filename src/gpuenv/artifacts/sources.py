"""Bytes of a file by position, wherever the file is; what every reader of archives here reads from."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from gpuenv.errors import FormatError, RequestError, UnavailableError

__all__ = ["LocalSource", "SeekableSource", "Source", "cannot_open"]

CHUNK_BYTES = 1 << 18


class Source(Protocol):
    """A file of known size. `location` is its path or its address without credentials, as messages name it.

    `fetched_bytes` counts what came over the network so far. Several threads may read at once.
    """

    name: str
    location: str
    size_bytes: int
    fetched_bytes: int

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes from `start` to `stop`; FormatError past the end, UnavailableError else."""

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The same bytes in chunks as they arrive, with the same errors."""


class LocalSource:
    """A file on disk. RequestError where there is none, UnavailableError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.location = str(path)
        self.fetched_bytes = 0
        self._path = path
        try:
            self.size_bytes = path.stat().st_size
        except OSError as error:
            raise cannot_open(path, error) from error

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes from `start` to `stop`; FormatError past the end of the file."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The same bytes in chunks."""
        if not 0 <= start <= stop <= self.size_bytes:
            raise FormatError(f"`{self.name}` has {self.size_bytes} bytes and is asked for byte {stop}")
        left = stop - start
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(start)
                while left:
                    chunk = file.read(min(left, CHUNK_BYTES))
                    if not chunk:
                        raise FormatError(f"`{self.name}` became shorter while it was read")
                    left -= len(chunk)
                    yield chunk
        except OSError as error:
            raise cannot_open(self._path, error) from error


def cannot_open(path: Path, error: OSError) -> RequestError | UnavailableError:
    """The error for a file that is not there, or is there and cannot be read."""
    if isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError):
        return RequestError(f"there is no file `{path}`", reasons=(error.strerror or str(error),))
    return UnavailableError(f"cannot read `{path}`", reasons=(error.strerror or str(error),))


class SeekableSource(io.RawIOBase):
    """A source as the seekable binary file that libraries want."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves within the file; nothing is read."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._source.size_bytes}[whence]
        if origin + offset < 0:
            raise ValueError("negative seek position")
        self._at = origin + offset
        return self._at

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes from here, fewer only at the end of the file."""
        end = self._source.size_bytes
        stop = end if size is None or size < 0 else min(end, self._at + size)
        if stop <= self._at:
            return b""
        content = self._source.read(self._at, stop)
        self._at += len(content)
        return content
