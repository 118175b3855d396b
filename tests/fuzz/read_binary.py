"""Fuzzes the readers of native files with `atheris`, for as long as one likes: `python tests/fuzz/read_binary.py`.

`atheris` is no dependency; `pip install atheris` gets it. Arguments are those of libFuzzer, such as
`-max_total_time=60` and a folder of files to begin with. Whatever is no FormatError ends the run with a traceback.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import atheris  # type: ignore[import-untyped, unused-ignore]

sys.path[:0] = [str(Path(__file__).parents[2] / "src")]
with atheris.instrument_imports(include=["gpuenv.binaries"]):
    from gpuenv.binaries.binary import Binary, read_binary
    from gpuenv.binaries.keeping import Keep
    from gpuenv.binaries.stream import read_stream
    from gpuenv.errors import FormatError

SMALL = Keep(head_bytes=512, tail_bytes=128, parts_bytes=256, names_bytes=512)


def read_all_ways(content: bytes) -> None:
    """A structure or a FormatError, and the same structure from a stream as from the file at hand."""
    whole: Binary | None = None
    passed: Binary | None = None
    with suppress(FormatError):
        whole = read_binary(content, name="x")
    with suppress(FormatError):
        passed = read_stream([content[:100], content[100:]], name="x")
    with suppress(FormatError):
        read_stream([content], name="x", keep=SMALL)
    # A container that breaks off after its first image hides what its payload holds from a stream; and a name that a
    # section cuts off is seen whole in a stream.
    if whole and passed and content.count(b"\x50\xed\x55\xba") < 2:
        assert (whole.kind, whole.code, whole.links) == (passed.kind, passed.code, passed.links), (whole, passed)


if __name__ == "__main__":
    atheris.Setup(sys.argv, read_all_ways)
    atheris.Fuzz()
