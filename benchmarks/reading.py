"""How long a big library takes to read, at hand and as a stream: `python benchmarks/reading.py LIBRARY...`.

`cuobjdump` lists the same library beside it where it is on PATH. Memory is that of the whole process; the first line
is an interpreter that loads the readers and reads nothing.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from measuring import heading, measure, show

RUNS = 5
AT_HAND = """
import mmap, sys
from gpuenv.binaries.binary import read_binary
from gpuenv.binaries.stream import read_stream
if len(sys.argv) > 1:
    with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as buffer:
        read_binary(buffer, name="library")
"""
STREAM = """
import functools, sys
from gpuenv.binaries.binary import read_binary
from gpuenv.binaries.stream import read_stream
with open(sys.argv[1], "rb", buffering=0) as file:
    read_stream(iter(functools.partial(file.read, 1 << 16), b""), name="library")
"""


def main() -> None:
    """Measure and print."""
    if not sys.argv[1:]:
        sys.exit("name a library to read, such as `libtorch_cuda.so`")
    heading("Reading GPU code")
    show("nothing", measure([sys.executable, "-c", AT_HAND], runs=RUNS))
    for path in map(Path, sys.argv[1:]):
        print(f"\n{path.name}, {path.stat().st_size / 1e6:.0f} MB")
        show("  at hand", measure([sys.executable, "-c", AT_HAND, str(path)], runs=RUNS))
        show("  as a stream", measure([sys.executable, "-c", STREAM, str(path)], runs=RUNS))
        if shutil.which("cuobjdump"):
            command = ["cuobjdump", "--list-elf", "--list-ptx", str(path)]
            show("  cuobjdump --list-elf --list-ptx", measure(command, runs=1))


if __name__ == "__main__":
    main()
