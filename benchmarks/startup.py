"""How long commands take that ask no network, beside a bare interpreter and `uv`: `python benchmarks/startup.py`."""

from __future__ import annotations

import sys

from measuring import BIN, heading, measure, show

RUNS = 15


def main() -> None:
    """Measure and print."""
    heading("Start-up")
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "uv --version": [str(BIN / "uv"), "--version"],
        "pip --version": [sys.executable, "-m", "pip", "--version"],
        "gpuenv --version": [str(BIN / "gpuenv"), "--version"],
        "gpuenv --help": [str(BIN / "gpuenv"), "--help"],
        "gpuenv info": [str(BIN / "gpuenv"), "info"],
        "gpuenv info --json": [str(BIN / "gpuenv"), "info", "--json"],
    }
    for name, command in commands.items():
        show(name, measure(command, runs=RUNS))


if __name__ == "__main__":
    main()
