"""How long all packages of an environment take to read: `python benchmarks/environments_reading.py ENVIRONMENT...`.

Each run is a process of its own; `in the process` leaves out what it takes to start Python and load gpuenv. Cold means
that the cache of readings is empty. The files themselves are in memory after the run that does not count, as far as
there is enough of it. Memory is that of the process which asks; its children are no larger.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from measuring import heading, measure, show

from gpuenv.artifacts.installed import find_distributions, read_environment

RUNS = 5
READ = """
import shutil, sys, time
from pathlib import Path
from gpuenv.artifacts.cache import ReadingCache
from gpuenv.artifacts.installed import find_distributions, read_environment
place, cache, times, cold, *workers = sys.argv[1:]
if cold == "cold":
    shutil.rmtree(cache, ignore_errors=True)
began = time.perf_counter()
found = find_distributions(Path(place)).distributions
read_environment(found, cache=ReadingCache(Path(cache)), workers=int(workers[0]) if workers else None)
with open(times, "a") as file:
    print(time.perf_counter() - began, file=file)
"""


def main() -> None:
    """Measure and print."""
    if not sys.argv[1:]:
        sys.exit("name an environment, such as a venv or a conda prefix")
    heading("Reading an environment")
    for place in map(Path, sys.argv[1:]):
        with tempfile.TemporaryDirectory() as scratch:
            measure_one(place, Path(scratch))


def measure_one(place: Path, scratch: Path) -> None:
    """One environment: what is in it, and how long that takes to read."""
    readings = read_environment(find_distributions(place).distributions)
    sizes = [file.size_bytes for reading in readings for file in reading.files]
    print(f"{place}: {len(readings)} packages, {len(sizes)} native files of {sum(sizes) / 1e9:.2f} GB")
    for name, words in (("cold, one process", ["cold", "1"]), ("cold", ["cold"]), ("cached", ["warm"])):
        times = scratch / name
        command = [sys.executable, "-c", READ, str(place), str(scratch / "cache"), str(times), *words]
        show(f"  {name}", measure(command, runs=RUNS))
        # The first run does not count.
        inside = [float(line) for line in times.read_text().splitlines()][1:]
        print(f"{'    in the process':<46}{statistics.median(inside):8.3f} s median{min(inside):8.3f} s least")


if __name__ == "__main__":
    main()
