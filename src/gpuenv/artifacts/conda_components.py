"""The two parts of a `.conda` file: a zip archive of two tar archives that zstd compressed (CEP 35).

The library `conda-package-streaming` finds a part only where the file still has the name that it was built with, asks
a server for it in pieces of some kB, and stops at a second part of one kind with an AssertionError; hence this.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from gpuenv.artifacts.sources import Source
from gpuenv.artifacts.zip_members import Member, list_members, stream_member
from gpuenv.errors import FormatError

__all__ = ["CondaComponents"]

_PART = re.compile(r"(info|pkg)-(.+)\.tar\.zst", re.DOTALL)


class CondaComponents:
    """Where `info` and `pkg` are in the file. `dist` is the `name-version-build` that they are named with.

    FormatError when it is no zip archive, or not one of exactly these two parts, stored as they are.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: dict[str, Member] = {}
        self.dist = ""
        for member in list_members(source).members:
            if found := _PART.fullmatch(member.path):
                self._take(found[1], found[2], member)
        if missing := {"info", "pkg"} - self._parts.keys():
            raise FormatError(f"it has no part `{min(missing)}-….tar.zst`")

    def _take(self, part: str, dist: str, member: Member) -> None:
        if part in self._parts:
            raise FormatError(f"it has two parts `{part}-….tar.zst`")
        if self.dist not in {"", dist}:
            raise FormatError("its two parts are of different packages")
        if member.method or member.packed_bytes != member.size_bytes:
            raise FormatError(f"its part `{part}-….tar.zst` is not stored as it is")
        self.dist, self._parts[part] = dist, member

    def packed_bytes(self, part: str) -> int:
        """How long `info` or `pkg` is, compressed."""
        return self._parts[part].packed_bytes

    def stream(self, part: str) -> Generator[bytes]:
        """The bytes of `info` or `pkg`, still compressed; errors as those of `stream_member`.

        To be closed where they are not taken to their end: then no more of them is fetched.
        """
        yield from stream_member(self._source, self._parts[part])
