"""A plan over a channel of 500,000 records, beside rattler alone: `python benchmarks/channels.py [--channel DIR]`.

Each run is a process of its own. Cold means that gpuenv's cache and rattler's are empty; warm is the next run with the
same caches. The channel's files are in the system's page cache in both. rattler alone gets the same specs and the same
virtual packages, once through its gateway and once from the files (`SparseRepoData`), and says where its time goes.
With `--http` the channel is asked over a server on this machine, which is what most channels are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import BIN, Measured, heading, show

if TYPE_CHECKING:
    from rattler import GenericVirtualPackage, MatchSpec

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "make_large_channel.py"
MACHINE = "gpu=A100,driver=535.129.03"
VIRTUAL = {"__unix": "0", "__linux": "6.1", "__glibc": "2.36", "__cuda": "12.2", "__cuda_arch": "8.0"}
"""What that machine offers, for rattler alone."""
REQUESTS = (
    ("pytorch", "cupy", "pandas", "scikit-learn", "matplotlib-base", "torchvision"),
    ("pytorch=*=cuda*", "python=3.11", "cuda-version=11.8", "cupy", "pandas"),
)


def main() -> None:
    """Measure and print, or, for one of rattler's own processes, run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--channel", type=Path, help="a channel that make_large_channel.py wrote")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--http", action="store_true")
    parser.add_argument("--no-gpuenv", action="store_true", help="rattler alone")
    parser.add_argument("--alone", nargs="+", metavar="WORD", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        print(json.dumps(_alone(*given.alone)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        channel = given.channel or Path(scratch) / "channel"
        if not given.channel:
            subprocess.run([sys.executable, SCRIPT, channel], check=True)
        heading("Planning over a channel of 500,000 records")
        with _address(channel.resolve(), http=given.http) as address:
            for specs in REQUESTS:
                _request(specs, address, channel, runs=given.runs, ours=not given.no_gpuenv)


def _request(specs: tuple[str, ...], address: str, channel: Path, *, runs: int, ours: bool) -> None:
    print(f"{' '.join(specs)}  for  {MACHINE}  from  {address.partition(':')[0]}")
    own = [sys.executable, str(Path(__file__))]
    commands = {
        "rattler's gateway": [*own, "--alone", "gateway", address, *specs],
        "rattler's SparseRepoData": [*own, "--alone", "sparse", str(channel), *specs],
    }
    if ours:
        plan = ["plan", "-c", address, "--override-channels", "--only", "conda", *specs, "--machine", MACHINE, "--json"]
        commands["gpuenv plan"] = [str(BIN / "gpuenv"), *plan]
    found = {name: [_cold_and_warm(command) for _ in range(runs)] for name, command in commands.items()}
    for name, pairs in found.items():
        for number, kind in enumerate(("cold", "warm")):
            show(f"  {name}, {kind}", _joined([pair[number] for pair in pairs]))
    for kind, where in (("gateway-profile", address), ("sparse-profile", str(channel))):
        _, _, said = _once([*own, "--alone", kind, where, *specs], {})
        print(f"  steps, {kind.partition('-')[0]}: {said.strip()}")
    if ours:
        plan_text = found["gpuenv plan"][-1][1][2]
        print(f"  gpuenv's plan has {plan_text.count('.conda') + plan_text.count('.tar.bz2')} file names in it")
    print()


def _cold_and_warm(command: list[str]) -> tuple[tuple[float, float, str], tuple[float, float, str]]:
    with tempfile.TemporaryDirectory() as scratch:
        caches = {"GPUENV_CACHE_DIR": f"{scratch}/gpuenv", "RATTLER_CACHE_DIR": f"{scratch}/rattler"}
        return _once(command, caches), _once(command, caches)


def _once(command: list[str], environ: dict[str, str]) -> tuple[float, float, str]:
    """Seconds, mebibytes at the peak and the output of one run."""
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environ}, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said = process.stdout.read()
    failed = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{failed}\n{said[-2000:]}")
    return elapsed, usage.ru_maxrss / 1024, said


def _joined(runs: list[tuple[float, float, str]]) -> Measured:
    times = [seconds for seconds, _, _ in runs]
    peak = max(mebibytes for _, mebibytes, _ in runs)
    return Measured(median=statistics.median(times), least=min(times), peak_mib=peak)


@contextmanager
def _address(channel: Path, *, http: bool) -> Iterator[str]:
    """Where the channel is asked: its directory, or a server of it on this machine."""
    if not http:
        yield channel.as_uri()
        return
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(channel)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split(" port ")[1].split()[0]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def _alone(kind: str, channel: str, *specs: str) -> dict[str, float]:
    """One solve by rattler, and the seconds of each step of it."""
    clock = _Clock()
    import rattler
    from rattler.package import BuildString

    clock.step("import")
    machine = [
        rattler.GenericVirtualPackage(rattler.PackageName(name), rattler.Version(version), BuildString("0"))
        for name, version in VIRTUAL.items()
    ]
    wanted = [rattler.MatchSpec(text) for text in specs]
    if kind.startswith("gateway"):
        return _by_gateway(clock, channel, wanted, machine, again=kind.endswith("profile"))
    return _from_files(clock, channel, wanted, machine, again=kind.endswith("profile"))


def _by_gateway(
    clock: _Clock, channel: str, wanted: list[MatchSpec], machine: list[GenericVirtualPackage], *, again: bool
) -> dict[str, float]:
    import rattler

    gateway = rattler.Gateway()
    clock.step("make the gateway")
    for step in ("fetch and solve", "solve again")[: 1 + again]:
        records = asyncio.run(
            rattler.solve(
                sources=[channel],
                gateway=gateway,
                platforms=["linux-64", "noarch"],
                specs=wanted,
                virtual_packages=machine,
            )
        )
        clock.step(step)
        clock.memory(step)
    return {**clock.found, "packages": len(records)}


def _from_files(
    clock: _Clock, channel: str, wanted: list[MatchSpec], machine: list[GenericVirtualPackage], *, again: bool
) -> dict[str, float]:
    import rattler

    address = rattler.Channel(Path(channel).resolve().as_uri())
    files = [
        rattler.SparseRepoData(address, name, f"{channel}/{name}/repodata.json") for name in ("linux-64", "noarch")
    ]
    clock.step("open")
    records = asyncio.run(rattler.solve_with_sparse_repodata(wanted, files, virtual_packages=machine))
    clock.step("load and solve")
    clock.memory("load and solve")
    if again:
        asyncio.run(rattler.solve_with_sparse_repodata(wanted, files, virtual_packages=machine))
        clock.step("load and solve again")
        names = [rattler.PackageName(str(spec).partition(" ")[0]) for spec in wanted]
        loaded = [one for part in rattler.SparseRepoData.load_records_recursive(files, names) for one in part]
        clock.step("only load")
        clock.found["names"] = len({one.name.normalized for one in loaded})
        clock.found["records"] = len(loaded)
    return {**clock.found, "packages": len(records)}


class _Clock:
    """Seconds since the step before, and memory so far."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}
        self._last = time.perf_counter()

    def step(self, name: str) -> None:
        now = time.perf_counter()
        self.found[name] = round(now - self._last, 3)
        self._last = now

    def memory(self, after: str = "") -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        self.found[f"MiB{' after ' if after else ''}{after}"] = peak


if __name__ == "__main__":
    main()
