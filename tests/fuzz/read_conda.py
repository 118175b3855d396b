"""Fuzzes the readers of conda packages and sdists with `atheris`: `python tests/fuzz/read_conda.py`.

`atheris` is no dependency; `pip install atheris` gets it. Arguments are those of libFuzzer, such as
`-max_total_time=60` and a folder of files to begin with. Whatever is no FormatError ends the run with a traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import atheris  # type: ignore[import-untyped, unused-ignore]

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]
with atheris.instrument_imports(include=["gpuenv.artifacts", "tarfile", "zipfile"]):
    from gpuenv.artifacts.conda_index import describe_artifact, parse_index
    from gpuenv.artifacts.conda_packages import read_conda
    from gpuenv.artifacts.sdists import read_sdist
    from gpuenv.artifacts.tar_members import Limits, walk_tar
    from gpuenv.errors import FormatError
    from gpuenv.model import Artifact, ArtifactKind

LIMITS = Limits(unpacked_bytes=1 << 22)


class BytesSource:
    """Bytes as a source."""

    def __init__(self, content: bytes, name: str) -> None:
        self.content = content
        self.name = self.location = name
        self.size_bytes = len(content)
        self.fetched_bytes = 0

    def read(self, start: int, stop: int) -> bytes:
        """Exactly these bytes."""
        if not 0 <= start <= stop <= self.size_bytes:
            raise FormatError("past the end")
        return self.content[start:stop]

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The same at once."""
        yield self.read(start, stop)


def read_all_ways(content: bytes) -> None:
    """A structure or a FormatError, as a whole package, as an uncompressed tar stream, and as its metadata."""
    with suppress(FormatError):
        read_conda(BytesSource(content, "x-1-0.conda"), Artifact(kind=ArtifactKind.CONDA, name="x"))
    with suppress(FormatError):
        read_conda(BytesSource(content, "x-1-0.tar.bz2"), Artifact(kind=ArtifactKind.CONDA, name="x"))
    with suppress(FormatError):
        read_sdist(BytesSource(content, "x-1.tar.gz"), Artifact(kind=ArtifactKind.SDIST, name="x"))
    with suppress(FormatError):
        for member in walk_tar([content], limits=LIMITS):
            if len(member.path) % 2:
                list(member.chunks)
    with suppress(FormatError):
        describe_artifact(Artifact(kind=ArtifactKind.CONDA, name="x"), parse_index(content))


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_all_ways)
    atheris.Fuzz()
