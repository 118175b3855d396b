"""What the catalog costs: to load it, and to read one release into it: `python benchmarks/catalog.py [NAME==VERSION]`.

Loading is measured in a process of its own, without the start of Python: the names, the rows of one project, and all
rows. With a user's own copy each file is checked against its hash as well. Building asks the package index and reads
the wheels of the release (by default one of 9 MB) into an empty directory.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import BIN, heading, measure, show

from gpuenv.channels.building.publishing import publish
from gpuenv.channels.catalog.releases import packaged_content, wheel_names

RUNS = 9
RELEASE = "jax-cuda12-plugin==0.12.0.1"
_LOADING = """
import sys, time
import gpuenv.channels.catalog.releases as releases
import gpuenv.channels.catalog as catalog
started = time.perf_counter()
{what}
print(time.perf_counter() - started)
"""
_WORK = {
    "the names": "catalog.find_project('torch')",
    "the rows of torch": "catalog.releases_of('torch')",
    "all rows": "[catalog.releases_of(name) for name in releases.wheel_names()]",
}


def main() -> None:
    """Measure and print."""
    heading("The catalog")
    size = sum(len(packaged_content(name)) for name in wheel_names())
    print(f"{len(wheel_names())} names, {size / 1e6:.1f} MB of rows\n")
    with tempfile.TemporaryDirectory() as empty:
        _load("as packaged", empty)
    with tempfile.TemporaryDirectory() as data:
        _publish_in(data)
        _load("from the user's own copy", data)
    release = sys.argv[1] if len(sys.argv) > 1 else RELEASE
    with tempfile.TemporaryDirectory() as output:
        command = [str(BIN / "gpuenv"), "catalog", "build", release, "--again", "--budget", "5", "-o", output]
        print(f"build of {release}")
        show("  gpuenv catalog build", measure(command, runs=2))


def _load(title: str, data: str) -> None:
    print(f"loading, {title}")
    for name, what in _WORK.items():
        command = [sys.executable, "-c", _LOADING.format(what=what)]
        environ = {"GPUENV_DATA_DIR": data}
        times = [
            float(subprocess.run(command, env=environ, capture_output=True, check=True).stdout) for _ in range(RUNS)
        ]
        print(f"  {name:<44}{statistics.median(times) * 1000:8.1f} ms median{min(times) * 1000:8.1f} ms least")
    print()


def _publish_in(data: str) -> None:
    import os

    before = dict(os.environ)
    os.environ["GPUENV_DATA_DIR"] = str(Path(data))
    publish({name: packaged_content(name) for name in wheel_names()})
    os.environ.clear()
    os.environ.update(before)


if __name__ == "__main__":
    main()
