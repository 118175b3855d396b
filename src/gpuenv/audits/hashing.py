"""The hashes of a file while it is read for other reasons, in whatever order, so that it is not fetched twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gpuenv.artifacts.sources import Source

__all__ = ["HashedSource"]

_MOST_HELD_BYTES = 64 << 20


class HashedSource:
    """A source that keeps the sum of what passes. Pieces that come before their turn are held, up to 64 MB; what was
    not read, or not held, is read at the end.
    """

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.location = source.location
        self.size_bytes = source.size_bytes
        self.fetched_bytes = source.fetched_bytes
        self._source = source
        self._sha256 = hashlib.sha256()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._at = 0
        self._held: dict[int, bytes] = {}
        self._held_bytes = 0

    def read(self, start: int, stop: int) -> bytes:
        """As the source."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """As the source."""
        at = start
        for chunk in self._source.stream(start, stop):
            self._take(at, chunk)
            at += len(chunk)
            self.fetched_bytes = self._source.fetched_bytes
            yield chunk

    def finish(self) -> tuple[str, str]:
        """SHA-256 and MD5 of the whole file; errors as the source where the rest of it cannot be read."""
        while self._at < self.size_bytes:
            end = min((start for start in self._held if start > self._at), default=self.size_bytes)
            for chunk in self._source.stream(self._at, end):
                self._update(chunk)
            self._let_go()
        return self._sha256.hexdigest(), self._md5.hexdigest()

    def _take(self, start: int, chunk: bytes) -> None:
        if start <= self._at:
            self._update(chunk[self._at - start :])
            self._let_go()
        elif self._held_bytes + len(chunk) <= _MOST_HELD_BYTES and len(self._held.get(start, b"")) < len(chunk):
            self._held_bytes += len(chunk) - len(self._held.get(start, b""))
            self._held[start] = bytes(chunk)

    def _let_go(self) -> None:
        """Takes the held pieces whose turn has come."""
        while ready := [start for start in self._held if start <= self._at]:
            for start in sorted(ready):
                chunk = self._held.pop(start)
                self._held_bytes -= len(chunk)
                self._update(chunk[max(0, self._at - start) :])

    def _update(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._md5.update(chunk)
        self._at += len(chunk)
