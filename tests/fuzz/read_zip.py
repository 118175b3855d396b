"""Fuzzes the readers of zip archives and wheels with `atheris`, as `read_binary.py` does those of native files.

Begin with a folder of small wheels: `python tests/fuzz/read_zip.py -max_total_time=60 FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import atheris  # type: ignore[import-untyped, unused-ignore]

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]
with atheris.instrument_imports(include=["gpuenv.artifacts", "zipfile"]):
    from gpuenv.artifacts.wheel_names import artifact_of_wheel_name
    from gpuenv.artifacts.wheels import read_wheel
    from gpuenv.artifacts.zip_members import list_members, stream_members
    from gpuenv.errors import FormatError
    from gpuenv.model import Artifact, ArtifactKind


class Kept:
    """A source in memory."""

    def __init__(self, content: bytes) -> None:
        self.name = self.location = "x.whl"
        self.size_bytes = len(content)
        self.fetched_bytes = 0
        self._content = content

    def read(self, start: int, stop: int) -> bytes:
        """The bytes."""
        if not 0 <= start <= stop <= self.size_bytes:
            raise FormatError("past the end")
        return self._content[start:stop]

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes in small pieces."""
        content = self.read(start, stop)
        return (content[at : at + 100] for at in range(0, len(content), 100))


def read_all_ways(content: bytes) -> None:
    """Members of the lengths that they declare, a reading, or a FormatError."""
    source = Kept(content)
    with suppress(FormatError):
        for member, chunks in stream_members(source, list_members(source).members):
            with suppress(FormatError):
                assert sum(map(len, chunks)) == member.size_bytes
    with suppress(FormatError):
        assert read_wheel(source, Artifact(kind=ArtifactKind.WHEEL, name="x"), workers=1).complete
    with suppress(FormatError):
        artifact_of_wheel_name(content[:200].decode("utf-8", "replace"))


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_all_ways)
    atheris.Fuzz()
