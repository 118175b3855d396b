"""The virtual packages of a machine, by which conda packages say what they need of it (CEP 30, CEP 46).

CEP 30 in its edition of March 2026 gives `__cuda_arch` the device's name as build string; CEP 46, accepted in May
2026, says `0`, which is what stands here.
"""

from __future__ import annotations

import re

from gpuenv.model import DriverState, Machine, OperatingSystem
from gpuenv.versions import ComputeCapability

__all__ = ["virtual_packages"]

_KNOWN_ARCHITECTURES = {"x86_64", "aarch64", "ppc64le"}
_GLIBC_WHEN_UNKNOWN = "2.28"
"""CEP 30 leaves the choice open. 2.28 is what RHEL 8 has and what PyTorch's wheels ask for (manylinux_2_28)."""


def virtual_packages(machine: Machine) -> tuple[tuple[str, str, str], ...]:
    """Name, version and build string of each, in order of name.

    A C library whose version nobody knows counts as 2.28; where `sources` tells that it was looked for and there is
    none (or `CONDA_OVERRIDE_GLIBC` is empty) the package is absent. `__cuda_arch` is the lowest compute capability
    of the NVIDIA GPUs that can be used, and absent when that of one is not known.
    """
    found = [*_processor(machine), *_cuda(machine)]
    match machine.system.os:
        case OperatingSystem.LINUX:
            found += [("__unix", "0", "0"), ("__linux", _release(machine, 4), "0"), *_glibc(machine)]
        case OperatingSystem.MACOS:
            found += [("__unix", "0", "0"), ("__osx", _release(machine, 2), "0")]
        case OperatingSystem.WINDOWS:
            found += [("__win", _release(machine, 3), "0")]
    return tuple(sorted(found))


def _processor(machine: Machine) -> list[tuple[str, str, str]]:
    """The family of the processor: version 1 where archspec has it, 0 where the name is the platform's."""
    if machine.cpu.microarchitecture:
        return [("__archspec", "1", machine.cpu.microarchitecture)]
    arch = machine.system.arch
    return [("__archspec", "1" if arch in _KNOWN_ARCHITECTURES else "0", arch)]


def _cuda(machine: Machine) -> list[tuple[str, str, str]]:
    driver = machine.driver
    if driver.cuda is None or driver.state in {DriverState.MISSING, DriverState.INSTALLED}:
        return []
    found = [("__cuda", f"{driver.cuda.major}.{driver.cuda.minor}", "0")]
    capabilities = [gpu.compute_capability for gpu in machine.nvidia_gpus if gpu.usable]
    known: list[ComputeCapability] = [capability for capability in capabilities if capability]
    if known and len(known) == len(capabilities):
        found.append(("__cuda_arch", str(min(known)), "0"))
    return found


def _glibc(machine: Machine) -> list[tuple[str, str, str]]:
    glibc = machine.system.glibc
    if glibc is not None:
        return [("__glibc", f"{glibc.major}.{glibc.minor}", "0")]
    is_absent = "system.glibc" in machine.sources
    return [] if is_absent else [("__glibc", _GLIBC_WHEN_UNKNOWN, "0")]


def _release(machine: Machine, parts: int) -> str:
    """The first numbers of the system's release, without what a distribution added; `0` when it is not known."""
    found = re.match(r"\d+(?:\.\d+)*", machine.system.release or "", re.ASCII)
    if found and machine.sources.get("system.release", "").startswith("CONDA_OVERRIDE_"):
        return found[0]
    return ".".join(found[0].split(".")[:parts]) if found else "0"
