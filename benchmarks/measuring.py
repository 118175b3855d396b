"""Run a command several times and tell its median time and its peak memory, as the benchmarks here need them."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Seconds and mebibytes of one command: the median and the least time, the most memory of its largest process."""

    median: float
    least: float
    peak_mib: float


def measure(command: list[str], *, runs: int, environ: dict[str, str] | None = None) -> Measured:
    """Run `command` `runs` times after one run that does not count; a failing command ends the benchmark."""
    times: list[float] = []
    peak = 0.0
    for number in range(runs + 1):
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, **(environ or {})}
        )
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{said.decode()}")
        peak = max(peak, usage.ru_maxrss / 1024)
        if number:
            times.append(elapsed)
    return Measured(median=statistics.median(times), least=min(times), peak_mib=peak)


def heading(title: str) -> None:
    """Say what is measured, where and when."""
    cpu = next(
        (line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")), platform.machine()
    )
    today = datetime.now(UTC).date()
    print(f"{title}\n{today}, {cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}\n")


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def show(name: str, measured: Measured) -> None:
    """One line of the table."""
    print(f"{name:<46}{measured.median:8.3f} s median{measured.least:8.3f} s least{measured.peak_mib:8.0f} MiB peak")
