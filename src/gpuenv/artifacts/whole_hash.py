"""Whether a file has the hash that was promised, as far as all of its bytes pass by anyway."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from gpuenv.artifacts.sources import Source
from gpuenv.errors import IntegrityError

__all__ = ["SummedSource", "check_sha256", "sha256_of"]


class SummedSource:
    """A source that adds up what passes when all of it is read in one stream; `sha256` is set at the end of that."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.location = source.location
        self.size_bytes = source.size_bytes
        self.fetched_bytes = source.fetched_bytes
        self.sha256: str | None = None
        self._source = source

    def read(self, start: int, stop: int) -> bytes:
        """As the source."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """As the source."""
        chunks = self._source.stream(start, stop)
        for chunk in self._summed(chunks) if (start, stop) == (0, self.size_bytes) else chunks:
            self.fetched_bytes = self._source.fetched_bytes
            yield chunk

    def _summed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
            yield chunk
        self.sha256 = digest.hexdigest()


def sha256_of(source: Source) -> str:
    """The SHA-256 of a whole file; errors as those of the source."""
    digest = hashlib.sha256()
    for chunk in source.stream(0, source.size_bytes):
        digest.update(chunk)
    return digest.hexdigest()


def check_sha256(name: str, found: str, promised: str) -> None:
    """IntegrityError where a file has another SHA-256 than was promised."""
    if found != promised.lower():
        raise IntegrityError(
            f"`{name}` is not the file that the index lists",
            reasons=(f"its SHA-256 is {found}, and the index says {promised.lower()}",),
        )
