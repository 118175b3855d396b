"""What locks install on a few machines, for the tests of all kinds of locks."""

from __future__ import annotations

from gpuenv.machines.written import parse_machine
from gpuenv.targets.expand import expand
from gpuenv.targets.wanted import Expansion
from gpuenv.targets.words import parse_target

__all__ = ["HEX", "LINUX", "MACHINES", "WINDOWS", "locked", "names"]

LINUX = "cp311-cp311-manylinux_2_17_x86_64"
WINDOWS = "cp311-cp311-win_amd64"
MACHINES = {
    "linux": parse_machine("gpu=T4,driver=535.129.03"),
    "windows": parse_machine("os=windows,gpu=RTX3090,driver=570.133"),
    "arm": parse_machine("arch=aarch64,gpu=none"),
}
HEX = "ab" * 32


def locked(path: str, machine: str = "linux", python: str = "3.11") -> Expansion:
    """What a lock installs on a machine."""
    return expand(parse_target(path), machine=MACHINES[machine], python=python)


def names(found: Expansion) -> list[tuple[str, str | None]]:
    """The files by name and version, sorted."""
    return sorted((file.name, file.version) for file in found.files)
