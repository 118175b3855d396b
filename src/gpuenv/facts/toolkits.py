"""CUDA toolkits and the drivers they need, from `toolkits.toml`.

Two minimums exist, and people mix them up. `driver_floor` is the lowest driver on which a program starts that
carries machine code for the GPU: from CUDA 11 on it is the same for a whole major. `toolkit_driver` is the driver
published with one toolkit, which PTX written by that toolkit needs (NVIDIA, CUDA Compatibility, Minor Version
Compatibility). Linux and Windows number their drivers differently, so every question names the system.
"""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from functools import cache
from pathlib import Path

from gpuenv.model import Noun, OperatingSystem, from_builtins
from gpuenv.versions import CudaVersion, DriverVersion, PtxIsa

__all__ = [
    "DriverFloor",
    "Toolkit",
    "driver_cuda",
    "driver_floor",
    "find_toolkit",
    "last_toolkit_for_platform",
    "load_toolkits",
    "newest_toolkit",
    "ptx_first_cuda",
    "toolkit_driver",
    "toolkit_sources",
]


class Toolkit(Noun, frozen=True, kw_only=True):
    """One CUDA toolkit (major.minor) with the figures of its first general release.

    `targets` are what nvcc compiles for, such as `sm_90a`. A driver is None where NVIDIA names none. `source` holds
    keys of `toolkit_sources`.
    """

    version: CudaVersion
    released: str
    linux_min_driver: DriverVersion | None = None
    windows_min_driver: DriverVersion | None = None
    driver_branch: int
    ptx_isa: PtxIsa
    targets: tuple[str, ...]
    platforms: tuple[str, ...]
    source: tuple[str, ...]
    note: str = ""


class DriverFloor(Noun, frozen=True, kw_only=True):
    """The lowest driver for a CUDA version on one system, and which rule gave it."""

    version: DriverVersion
    cuda: CudaVersion
    is_minor_version_floor: bool
    source: tuple[str, ...]
    note: str = ""


class _MinorVersionFloor(Noun, frozen=True, kw_only=True):
    cuda_major: int
    linux_min_driver: DriverVersion
    windows_min_driver: DriverVersion
    source: tuple[str, ...]
    note: str = ""


class _DriverBranch(Noun, frozen=True, kw_only=True):
    branch: int
    cuda: CudaVersion
    ptx_isa: PtxIsa | None = None
    source: tuple[str, ...]


class _Table(Noun, frozen=True, kw_only=True):
    checked: str
    sources: dict[str, str]
    minor_version_floor: tuple[_MinorVersionFloor, ...]
    driver_branch: tuple[_DriverBranch, ...]
    toolkit: tuple[Toolkit, ...]


@cache
def _table() -> _Table:
    text = (Path(__file__).parent / "toolkits.toml").read_text("utf-8")
    return from_builtins(tomllib.loads(text), _Table)


def toolkit_sources() -> dict[str, str]:
    """What the keys in `source` stand for: document, section and address."""
    return dict(_table().sources)


@cache
def load_toolkits() -> tuple[Toolkit, ...]:
    """All toolkits that are known, oldest first."""
    return tuple(sorted(_table().toolkit, key=lambda toolkit: toolkit.version))


@cache
def _toolkits_by_version() -> dict[CudaVersion, Toolkit]:
    return {toolkit.version: toolkit for toolkit in load_toolkits()}


def find_toolkit(cuda: CudaVersion) -> Toolkit | None:
    """The toolkit of this version; None when none is known, as for 12.7, which was never published."""
    return _toolkits_by_version().get(cuda)


def newest_toolkit() -> CudaVersion:
    """The newest CUDA version of the table."""
    return load_toolkits()[-1].version


def toolkit_driver(cuda: CudaVersion, os: OperatingSystem) -> DriverVersion | None:
    """The driver published with this toolkit; None where NVIDIA names none or the toolkit is not known."""
    toolkit = find_toolkit(cuda)
    if toolkit is None:
        return None
    return _of_system(os, toolkit.linux_min_driver, toolkit.windows_min_driver)


def driver_floor(cuda: CudaVersion, os: OperatingSystem) -> DriverFloor | None:
    """The lowest driver on which a program of this CUDA starts when it has machine code for the GPU.

    From CUDA 11 on that is the floor of the major (minor-version compatibility), before it the toolkit's own
    driver. None on macOS and for versions that the table does not know.
    """
    row = next((row for row in _table().minor_version_floor if row.cuda_major == cuda.major), None)
    found: Toolkit | _MinorVersionFloor | None = row or find_toolkit(cuda)
    version = None if found is None else _of_system(os, found.linux_min_driver, found.windows_min_driver)
    if found is None or version is None:
        return None
    return DriverFloor(
        version=version, cuda=cuda, is_minor_version_floor=row is not None, source=found.source, note=found.note
    )


def _of_system(os: OperatingSystem, linux: DriverVersion | None, windows: DriverVersion | None) -> DriverVersion | None:
    return {OperatingSystem.LINUX: linux, OperatingSystem.WINDOWS: windows}.get(os)


@cache
def _branches() -> tuple[tuple[int, CudaVersion], ...]:
    rows = [(toolkit.driver_branch, toolkit.version) for toolkit in load_toolkits()]
    return tuple(sorted(rows + [(row.branch, row.cuda) for row in _table().driver_branch]))


def driver_cuda(driver: DriverVersion, os: OperatingSystem) -> CudaVersion | None:
    """The newest CUDA that a driver of this version serves, which its branch decides (`nvidia-smi` prints it).

    Branches between two rows of the table serve what the lower row serves. A driver newer than the table gives
    the newest CUDA of the table, which is the least it serves. None on macOS and below the oldest branch.
    """
    if os is OperatingSystem.MACOS:
        return None
    rows = _branches()
    place = bisect_right(rows, driver.branch, key=lambda row: row[0])
    return rows[place - 1][1] if place else None


@cache
def _first_cuda_of_ptx() -> dict[PtxIsa, CudaVersion]:
    rows = [(toolkit.ptx_isa, toolkit.version) for toolkit in load_toolkits()]
    rows += [(row.ptx_isa, row.cuda) for row in _table().driver_branch if row.ptx_isa]
    return dict(sorted(rows, key=lambda row: row[1], reverse=True))


def ptx_first_cuda(isa: PtxIsa) -> CudaVersion | None:
    """The first CUDA that knows this PTX ISA, so the least that a driver must serve to load it; None if unknown."""
    return _first_cuda_of_ptx().get(isa)


def last_toolkit_for_platform(platform: str) -> CudaVersion | None:
    """The newest toolkit published for a platform such as `linux-ppc64le`; None when there never was one.

    `linux-aarch64` counts the builds for servers (sbsa) and for Jetson together; `linux-aarch64-jetson` names one.
    """
    published = (
        toolkit.version
        for toolkit in reversed(load_toolkits())
        if any(name == platform or name.startswith(f"{platform}-") for name in toolkit.platforms)
    )
    return next(published, None)
