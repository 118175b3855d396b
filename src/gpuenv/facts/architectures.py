"""NVIDIA's compute capabilities: which toolkits compile for them and which drivers run them.

The data is `architectures.toml`, from NVIDIA's Toolkit, Driver, and Architecture Matrix and the PTX ISA manual.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from gpuenv.model import Noun, from_builtins
from gpuenv.versions import ComputeCapability, CudaVersion

__all__ = ["Capability", "architecture_sources", "family", "find_capability", "load_capabilities"]


class Capability(Noun, frozen=True, kw_only=True):
    """One compute capability. `last_cuda` and `last_driver_branch` are None while support goes on.

    `first_driver_branch` belongs to the first toolkit that could compile for it; one board may need a later one.
    `tegra` marks systems on chip, for which code of a lower minor is not promised to run. `open_kernel_modules` and
    `closed_kernel_modules` tell which of NVIDIA's kernel modules drive it. `formerly` is the number that the same
    GPU had in older toolkits. `source` holds keys of `architecture_sources`.
    """

    capability: ComputeCapability
    architecture: str
    architecture_name: str
    first_cuda: CudaVersion
    last_cuda: CudaVersion | None = None
    first_driver_branch: int
    last_driver_branch: int | None = None
    tegra: bool = False
    open_kernel_modules: bool
    closed_kernel_modules: bool
    formerly: ComputeCapability | None = None
    source: tuple[str, ...]
    note: str = ""


class _Architecture(Noun, frozen=True, kw_only=True):
    id: str
    name: str
    open_kernel_modules: bool
    closed_kernel_modules: bool
    source: tuple[str, ...]
    note: str = ""


class _CapabilityRow(Noun, frozen=True, kw_only=True):
    capability: ComputeCapability
    architecture: str
    first_cuda: CudaVersion
    last_cuda: CudaVersion | None = None
    first_driver_branch: int
    last_driver_branch: int | None = None
    tegra: bool = False
    formerly: ComputeCapability | None = None
    source: tuple[str, ...]
    note: str = ""


class _Table(Noun, frozen=True, kw_only=True):
    checked: str
    families: tuple[tuple[ComputeCapability, ...], ...]
    sources: dict[str, str]
    architecture: tuple[_Architecture, ...]
    capability: tuple[_CapabilityRow, ...]


@cache
def _table() -> _Table:
    text = (Path(__file__).parent / "architectures.toml").read_text("utf-8")
    return from_builtins(tomllib.loads(text), _Table)


def architecture_sources() -> dict[str, str]:
    """What the keys in `source` stand for: document, section and address."""
    return dict(_table().sources)


@cache
def load_capabilities() -> tuple[Capability, ...]:
    """All compute capabilities that are known, lowest first."""
    architectures = {row.id: row for row in _table().architecture}
    rows = sorted(_table().capability, key=lambda row: row.capability)
    return tuple(_with_architecture(row, architectures[row.architecture]) for row in rows)


def _with_architecture(row: _CapabilityRow, architecture: _Architecture) -> Capability:
    return Capability(
        capability=row.capability,
        architecture=architecture.id,
        architecture_name=architecture.name,
        first_cuda=row.first_cuda,
        last_cuda=row.last_cuda,
        first_driver_branch=row.first_driver_branch,
        last_driver_branch=row.last_driver_branch,
        tegra=row.tegra,
        open_kernel_modules=architecture.open_kernel_modules,
        closed_kernel_modules=architecture.closed_kernel_modules,
        formerly=row.formerly,
        source=tuple(dict.fromkeys(row.source + architecture.source)),
        note="; ".join(filter(None, (row.note, architecture.note))),
    )


@cache
def _by_capability() -> dict[ComputeCapability, Capability]:
    rows = load_capabilities()
    former = {row.formerly: row for row in rows if row.formerly is not None}
    return former | {row.capability: row for row in rows}


def find_capability(capability: ComputeCapability) -> Capability | None:
    """The row of this compute capability, also under its former number (10.1 gives 11.0); None when unknown."""
    return _by_capability().get(capability)


def family(capability: ComputeCapability) -> frozenset[ComputeCapability]:
    """The capabilities among which code with the suffix f moves upwards, this one included; empty without family.

    Source: PTX ISA manual, table of arch- and family-specific targets.
    """
    return next((frozenset(members) for members in _table().families if capability in members), frozenset())
