"""What `uv` adds to the GPU layer: packages of the catalog that others bring along, and wheels that nobody has read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpuenv.artifacts.cuda_lines import NVIDIA_PREFIXES
from gpuenv.channels.catalog import find_project
from gpuenv.channels.destinations import Destination
from gpuenv.channels.pylock import parse_lock, read_lock
from gpuenv.facts.frameworks import find_framework
from gpuenv.facts.libraries import library_cuda
from gpuenv.facts.plain_packages import carries_no_gpu_code
from gpuenv.model import ArtifactKind, Finding, LockedWheel, Needs, PlannedPackage, Reading, Verdict
from gpuenv.plans.candidates import Tier, tier_of
from gpuenv.plans.layer import Layer
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import GpuSpec
from gpuenv.rules import check
from gpuenv.versions import CudaVersion

if TYPE_CHECKING:
    from gpuenv.targets.wanted import WantedFile

__all__ = ["Outside", "brought_along", "judge_files", "native_files", "side_by_side"]

_PURE = "-any.whl"
"""How the names of wheels end that hold no machine code (PEP 425)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """One wheel that no catalog knows, what it needs, and what the rules say of it."""

    file: WantedFile
    needs: Needs
    findings: tuple[Finding, ...]

    @property
    def reason(self) -> Finding | None:
        """The first finding that keeps it out of a plan; None where nothing does."""
        return next((one for one in self.findings if one.verdict is Verdict.FAILS), None)

    @property
    def is_degraded(self) -> bool:
        """Whether a part of it does not run there, while the rest does."""
        return tier_of(self.findings) is Tier.DEGRADED

    @property
    def objection(self) -> Finding | None:
        """The first finding that says so."""
        return next((one for one in self.findings if tier_of((one,)) is Tier.DEGRADED), None)

    @property
    def verdict(self) -> Verdict:
        """The worst word of any rule."""
        return Verdict.worst(finding.verdict for finding in self.findings)

    @property
    def planned(self) -> PlannedPackage:
        """It as a package of the plan."""
        return PlannedPackage(
            name=self.file.name,
            version=self.file.version or "",
            build="",
            gpu=True,
            gpu_support=self.needs.gpu_support,
            cuda=str(self.needs.cuda_newest) if self.needs.cuda_newest else None,
            verdict=self.verdict,
            findings=self.findings,
            source="inspected",
        )


def brought_along(names: Iterable[str], layer: Layer) -> tuple[GpuSpec, ...]:
    """Packages of the catalog among the distributions of a lock that the layer did not choose, as specs."""
    chosen = {canonicalize_name(pick.build.wheel) for pick in layer.picks.values() if pick.build.wheel}
    for pick in layer.picks.values():
        chosen |= {canonicalize_name(Requirement(text).name) for text in pick.build.requirements}
    found: list[GpuSpec] = []
    for name in names:
        project = find_project(name)
        if project is None or not project.listed or project.library or name in chosen:
            continue
        if any(rule.wheel == name for rule in project.builds):
            found.append(GpuSpec(typed=name, name=project.name, conda=project.name, project=project, wheel=name))
    return tuple(found)


def native_files(pylock: str, destination: Destination) -> tuple[WantedFile, ...]:
    """The wheels of a lock with machine code in them that neither the catalog nor a table knows."""
    unknown = {one.name for one in read_lock(pylock) if not (one.filename or _PURE).endswith(_PURE)}
    unknown = {name for name in unknown if not _is_known(name)}
    if not unknown:
        return ()
    from gpuenv.targets.selection import select_packages

    files = select_packages(parse_lock(pylock), destination, base=Path()).files
    return tuple(file for file in files if file.name in unknown and file.kind is ArtifactKind.WHEEL)


def _is_known(name: str) -> bool:
    return find_project(name) is not None or name.startswith(NVIDIA_PREFIXES) or carries_no_gpu_code(name)


def judge_files(
    files: Sequence[WantedFile], readings: Mapping[str, Reading], names: Iterable[str], layer: Layer, setting: Setting
) -> tuple[Outside, ...]:
    """What the rules say of those files that use a GPU, where the distributions `names` lie beside them."""
    if not files:
        return ()
    from gpuenv.artifacts.needs import needs_together
    from gpuenv.artifacts.outside_libraries import without_brought

    read = [(file, readings[file.filename]) for file in files if file.filename in readings]
    together = needs_together([reading for _, reading in read], cuda=_cuda_in_use(layer))
    brought = tuple(names)
    found = []
    for (file, _), needs in zip(read, together, strict=True):
        asked = without_brought(needs, brought)
        if find_framework(file.name) is None:
            # Whether it can do without a GPU nobody knows; that it came along is no reason to refuse a plan.
            asked = msgspec.structs.replace(asked, runs_without_gpu=True)
        if asked.uses_gpu or asked.libraries is None:
            found.append(Outside(file=file, needs=asked, findings=tuple(_findings(asked, setting))))
    return tuple(found)


def side_by_side(wheels: Iterable[LockedWheel]) -> str | None:
    """A word on NVIDIA's libraries of several CUDA majors in one environment; None where they are of one."""
    majors: dict[int, list[str]] = {}
    for wheel in wheels:
        found = library_cuda(wheel.name, wheel.version)
        if found:
            majors.setdefault(found[0], []).append(wheel.name)
    if len(majors) < 2:
        return None
    told = [f"CUDA {major} by {_some(majors[major])}" for major in sorted(majors)]
    return f"libraries of {len(majors)} CUDA majors lie side by side: {', '.join(told)}"


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _cuda_in_use(layer: Layer) -> CudaVersion | None:
    line = layer.picks.get("cuda-version")
    on_gpu = any(pick.build.gpu for pick in layer.picks.values())
    return CudaVersion(line.build.version) if line and on_gpu else None


def _findings(needs: Needs, setting: Setting) -> Iterator[Finding]:
    several = len(setting.machines) > 1
    for machine in setting.machines:
        for finding in check(needs, machine):
            yield msgspec.structs.replace(finding, machine=machine.name) if several else finding
