"""Every build that could take part in a plan, each judged by the rules on the machines."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec
from packaging.version import Version

from gpuenv.channels.catalog import Build, Project, find_project
from gpuenv.channels.conda.gpu_builds import builds_of_records
from gpuenv.model import Evidence, Finding, GpuPolicy, Jit, Vendor, Verdict
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import GpuSpec

if TYPE_CHECKING:
    from rattler import RepoDataRecord

    from gpuenv.channels.conda.view import ChannelView

__all__ = ["TIERS_TAKEN", "Candidate", "Candidates", "Tier", "find_candidates", "objections", "tier_of"]


_HASHED = re.compile(r"\b(?:sha256|md5)\s*=")


class Tier(IntEnum):
    """How good a build is on the machines, by the worst of them. Code that the driver compiles at first use counts as
    whole.

    `BY_HAND` needs CUDA libraries that somebody has to install, so a build that needs none is better, on the CPU too.
    """

    WHOLE = 0
    DEGRADED = 1
    UNKNOWN = 2
    BY_HAND = 3
    REFUSED = 4


TIERS_TAKEN = tuple(tier for tier in Tier if tier is not Tier.REFUSED)
"""The tiers from which builds may be taken, in the order in which they are let in."""

_TIER_OF = {
    Verdict.WORKS: Tier.WHOLE,
    Verdict.DEGRADED: Tier.DEGRADED,
    Verdict.UNKNOWN: Tier.UNKNOWN,
    Verdict.FAILS: Tier.REFUSED,
}


# What these say is about the first start or the machine as a whole, and no reason to take an older release.
_NOT_HELD_AGAINST = {"host-memory", "cpu-cores", "board-class"}


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One build and what the rules say of it. `is_unread` marks one whose GPU code can still be read: until then it
    counts as good, since reading is what tells.
    """

    build: Build
    findings: tuple[Finding, ...]
    is_unread: bool = False

    @property
    def verdict(self) -> Verdict:
        """The worst word of any rule."""
        return Verdict.worst(finding.verdict for finding in self.findings)

    @cached_property
    def tier(self) -> Tier:
        """Where the build stands in the order of preference."""
        against = objections(self)
        return tier_of(tuple(one for one in against if not _is_unread(one)) if self.is_unread else against)


def tier_of(findings: Iterable[Finding]) -> Tier:
    """The tier of what these findings are about."""
    against = [finding for finding in findings if _held_against(finding)]
    if any(finding.rule == "c-library" for finding in against):
        # uv is asked for wheels that the C library of the machine, known or assumed, can load.
        return Tier.REFUSED
    tier = _TIER_OF[Verdict.worst(finding.verdict for finding in against)]
    by_hand = any(finding.rule == "system-cuda" for finding in against)
    return Tier.BY_HAND if by_hand and tier is not Tier.REFUSED else tier


def _held_against(finding: Finding) -> bool:
    if finding.verdict is Verdict.WORKS or finding.rule in _NOT_HELD_AGAINST:
        return False
    # Of several machines one may have no GPU, where the build does without.
    does_without = finding.rule == "gpu-present" and finding.verdict is Verdict.DEGRADED
    return not does_without and not _is_jit(finding)


def _is_jit(finding: Finding) -> bool:
    return finding.rule == "kernel-image" and finding.verdict is Verdict.DEGRADED and "compiles it" in finding.message


def _is_unread(finding: Finding) -> bool:
    return finding.rule == "kernel-image" and finding.verdict is Verdict.UNKNOWN


def objections(candidate: Candidate) -> tuple[Finding, ...]:
    """The findings that put a candidate in its tier, the worst first and otherwise in the order of the rules."""
    against = [finding for finding in candidate.findings if _held_against(finding)]
    return tuple(sorted(against, key=lambda finding: -finding.verdict.badness))


class Candidates(dict[str, list[Candidate]]):
    """The builds that are judged, by package name: those of the catalog at once, those of channels as they are met."""

    def __init__(self, setting: Setting, asked: frozenset[str] = frozenset()) -> None:
        super().__init__()
        self.setting = setting
        self.asked = asked
        self._plain: set[str] = set()
        self._several: dict[str, bool] = {}
        self.by_number: frozenset[str] = frozenset()
        self.fits: dict[tuple[str, ...], bool] = {}
        self._features = self._tracked_features()

    @property
    def view(self) -> ChannelView | None:
        """The channels that take part."""
        return self.setting.view

    @property
    def subdirs(self) -> tuple[str, ...]:
        """The directories of channels that packages come from; those of the catalog are all `noarch`."""
        return (self.view.subdir, "noarch") if self.view else ("noarch",)

    @property
    def virtual_packages(self) -> tuple[tuple[str, str, str], ...]:
        """What the machines offer, as conda packages ask for it: name, version, build. Where no channel has a Python,
        theirs is among it.
        """
        if self.view is None:
            return ()
        python = self.setting.first.python
        if not python or self.view.has("python"):
            return self.setting.virtual_packages
        # A bound such as >=3.11.4 is asked of the newest patch that could exist.
        abi = ("python_abi", python, f"0_cp{python.replace('.', '')}")
        return (*self.setting.virtual_packages, ("python", f"{python}.99", "0_cpython"), abi)

    def knows(self, name: str) -> bool:
        """Whether the catalog or a channel has packages of that name."""
        return name in self or name.startswith("__") or (self.view is not None and self.view.has_met(name))

    async def fetch(self, name: str) -> list[Candidate] | None:
        """The candidates of one package; None where a channel has it and it has nothing to do with GPUs."""
        if name not in self and self.view and name not in self._plain:
            await self.view.fetch(name)
            self.judge(name)
        return None if name in self._plain else self.get(name, [])

    def judge(self, name: str) -> None:
        """Judges what the channels have of a package, where that has to do with GPUs or was asked for by name."""
        view = self.view
        if name in self or name in self._plain or view is None or not view.records(name):
            return
        builds = view.builds(name)
        if builds is None and name in self.asked:
            builds = builds_of_records(view.records(name))
        if builds is None:
            self._plain.add(name)
            return
        known = tuple(map(self.setting.knowledge.as_read, builds))
        judged = _judged(known, self.setting, has_gpu_builds=any(one.gpu for one in known))
        self[name] = [*_with_features(judged, self._features)]

    def _tracked_features(self) -> frozenset[str]:
        """What the packages that were asked for track: builds with such a feature go before those without."""
        records = (self.view.records(name) for name in self.asked) if self.view else ()
        tracked = [set.intersection(*(set(one.track_features) for one in there)) for there in records if there]
        return frozenset().union(*tracked)

    def has_several_lines(self, name: str) -> bool:
        """Whether conda builds of a package differ in nothing but CUDA: version and build number alike."""
        if name not in self._several:
            lines: dict[tuple[str, int], set[object]] = {}
            for one in self.get(name, ()):
                if one.build.gpu and one.build.record is not None:
                    lines.setdefault((one.build.version, one.build.number), set()).add(one.build.needs.cuda_newest)
            self._several[name] = any(len(there) > 1 for there in lines.values()) and name not in self.by_number
        return self._several[name]

    async def plain_records(self, name: str, subdir: str, *, newest: bool) -> tuple[list[RepoDataRecord], bool]:
        """The records of a package that is not judged, in one directory of its channel; with `newest` only those of its
        newest releases. And whether there are more.
        """
        return await self.view.fetch_of(name, subdir, newest=newest) if self.view else ([], False)


def find_candidates(specs: tuple[GpuSpec, ...], setting: Setting) -> Candidates:
    """All builds of the packages that `specs` name and of what those depend on, by package name.

    The Python of the setting's machines is the one they are judged for. Dependencies are followed from builds that may
    be taken; those of conda packages only when the solver asks for them.
    """
    requested = {spec.name for spec in specs} | {spec.project.name for spec in specs}
    there = [spec for spec in specs if spec.from_channel]
    # Who names a file by its hash, as explicit lists do, has no choice that a look inside could serve.
    found = Candidates(setting, asked=frozenset(spec.name for spec in there if not _HASHED.search(spec.conda)))
    # Who asks for a build number means the channel's own.
    found.by_number = frozenset(spec.name for spec in there if "build_number" in spec.conda)
    for name in sorted({spec.name for spec in there}):
        found.judge(name)
    waiting = [spec.project.name for spec in specs if not spec.from_channel]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        project = find_project(name)
        if name in seen or project is None or (found.view and found.view.has(name)):
            continue
        seen.add(name)
        for candidate in _candidates_of(project, specs, requested, setting):
            found.setdefault(candidate.build.project, []).append(candidate)
            if candidate.tier is not Tier.REFUSED:
                waiting += [depend.split()[0] for depend in candidate.build.depends]
    return found


def _candidates_of(
    project: Project, specs: tuple[GpuSpec, ...], requested: set[str], setting: Setting
) -> Iterator[Candidate]:
    wheels = {spec.wheel for spec in specs if spec.project.name == project.name and spec.wheel}
    extras = {spec.extra for spec in specs if spec.project.name == project.name and spec.extra}
    builds = [
        build
        for build in setting.knowledge.builds(project, setting.first)
        if (not wheels or build.wheel in {*wheels, ""})
        and (not extras or not extras.isdisjoint(build.extras))
        and (build.beside is None or build.beside in requested)
    ]
    has_gpu_builds = any(rule.gpu for rule in project.builds)
    yield from _judged(_through_what_is_requested(builds, requested), setting, has_gpu_builds=has_gpu_builds)


def _judged(builds: Iterable[Build], setting: Setting, *, has_gpu_builds: bool) -> Iterator[Candidate]:
    prefers_gpu = setting.prefers_gpu
    judged = [
        Candidate(
            build=_within_driver(build, setting),
            findings=tuple(_findings(build, setting, has_gpu_builds=has_gpu_builds, prefers_gpu=prefers_gpu)),
        )
        for build in builds
    ]
    for one in judged:
        candidate = one if one.build.record else _as_its_neighbours(one, judged)
        open_question = candidate.build.look_inside or any(map(_is_unread, candidate.findings))
        unread = candidate.tier is not Tier.REFUSED and open_question
        is_unread = unread and setting.knowledge.is_learnable(candidate.build)
        yield dataclasses.replace(candidate, is_unread=True) if is_unread else candidate


def _through_what_is_requested(builds: list[Build], requested: set[str]) -> list[Build]:
    through = {build.through for build in builds if build.through} & requested
    return [build for build in builds if build.through in through] if through else _without_pulling(builds, requested)


def _without_pulling(builds: list[Build], requested: set[str]) -> list[Build]:
    # Chainer works without CuPy, so CuPy is not brought in for it; Keras works with no backend at all, so one is.
    alone = [build for build in builds if not build.through]
    return [build for build in builds if build.through in {None, *requested}] if alone else builds


def _findings(build: Build, setting: Setting, *, has_gpu_builds: bool, prefers_gpu: bool) -> Iterator[Finding]:
    """The rules' words for each machine, up to the first that it cannot run on; then those of the GPU policy."""
    several = len(setting.machines) > 1
    for machine in setting.machines:
        # A GPU build on a machine without a GPU is worth it only where it is shared with one that has one.
        found = setting.knowledge.judge(build, machine, without_gpu_too=prefers_gpu)
        yield from (msgspec.structs.replace(one, machine=machine.name) for one in found) if several else found
        if several and any(one.verdict is Verdict.FAILS for one in found):
            return
    if setting.knowledge.refused_files and (refused := setting.knowledge.refused(build)):
        yield Finding(rule="lying-file", verdict=Verdict.FAILS, subject=build.needs.subject, message=refused)
    yield from _for_others(build, setting)
    if build.look_inside and setting.knowledge.is_learnable(build):
        # What it is shows when it is read.
        return
    unwanted = build.gpu if setting.gpu is GpuPolicy.NEVER else has_gpu_builds and not build.gpu
    if setting.gpu is not GpuPolicy.PREFER and unwanted and build.has_files and not build.library:
        wanted = "on the CPU" if setting.gpu is GpuPolicy.NEVER else "on the GPU"
        message = f"the request wants everything {wanted}"
        yield Finding(rule="gpu-policy", verdict=Verdict.FAILS, subject=build.needs.subject, message=message)


def _for_others(build: Build, setting: Setting) -> Iterator[Finding]:
    """A conda build for GPUs of another maker is none for the CPU: nobody knows whether it runs without such a GPU."""
    if build.record is None or build.gpu or not build.needs.other_vendors:
        return
    vendors = {gpu.vendor for machine in setting.machines for gpu in machine.gpus or ()}
    made_for = " and ".join(build.needs.other_vendors)
    is_there = bool(vendors - {Vendor.NVIDIA})
    yield Finding(
        rule="other-vendor",
        verdict=Verdict.UNKNOWN if is_there else Verdict.FAILS,
        subject=build.needs.subject,
        message=f"is built for GPUs of another maker ({made_for})"
        + (", which no rule judges" if is_there else "; there is none here"),
    )


def _within_driver(build: Build, setting: Setting) -> Build:
    """A build that hands PTX to the driver keeps the CUDA line from being newer than the driver's own CUDA."""
    if build.needs.jit is not Jit.PTX:
        return build
    served = [one.driver.cuda for one in setting.machines if one.driver.cuda and one.nvidia_gpus]
    if not served:
        return build
    return dataclasses.replace(build, constrains=(*build.constrains, f"cuda-version <={min(served)}"))


def _with_features(candidates: Iterable[Candidate], features: frozenset[str]) -> Iterator[Candidate]:
    """Of a release that has builds for a feature that is asked for (`cpuonly`), only those may be taken."""
    several = [*candidates]
    featured = {one.build.version for one in several if _has_feature(one.build, features)}
    for one in several:
        if one.build.version in featured and not _has_feature(one.build, features):
            message = f"{' and '.join(sorted(features))} asks for builds with that feature"
            finding = Finding(
                rule="track-features", verdict=Verdict.FAILS, subject=one.build.needs.subject, message=message
            )
            yield dataclasses.replace(one, findings=(*one.findings, finding), is_unread=False)
        else:
            yield one


def _has_feature(build: Build, features: frozenset[str]) -> bool:
    own = (build.record.features or "").split() if build.record else ()
    return not features.isdisjoint(own)


def _as_its_neighbours(candidate: Candidate, judged: list[Candidate]) -> Candidate:
    """A build whose code nobody read is refused where its neighbours were read and carry none for the GPU: the nearest
    release of the same minor version, or those on both sides. That they do run would prove nothing.
    """
    build = candidate.build
    if not build.gpu or candidate.tier is Tier.REFUSED or not any(map(_is_unread, candidate.findings)):
        return candidate
    read = [one for one in judged if _same_wheel(one.build, build) and one.build.needs.libraries]
    older = max((one for one in read if _release(one) < _release(candidate)), key=_release, default=None)
    newer = min((one for one in read if _release(one) > _release(candidate)), key=_release, default=None)
    beside = [one for one in (newer, older) if one]
    witnesses = [one for one in beside if _release(one).release[:2] == _release(candidate).release[:2]]
    if not witnesses and len(beside) == 2:
        witnesses = beside
    lacking = [finding for one in witnesses for finding in one.findings if _lacks_code(finding)]
    if not witnesses or len({finding.subject for finding in lacking}) < len(witnesses):
        return candidate
    finding = msgspec.structs.replace(
        lacking[0],
        subject=build.needs.subject,
        message=f"like the releases beside it, {lacking[0].message}",
        evidence=(*(Evidence(what="code read of", value=finding.subject) for finding in lacking), *lacking[0].evidence),
    )
    return Candidate(build=build, findings=(finding, *candidate.findings))


def _same_wheel(one: Build, other: Build) -> bool:
    return (one.wheel, one.extras, one.index) == (other.wheel, other.extras, other.index)


def _release(candidate: Candidate) -> Version:
    return Version(candidate.build.version)


def _lacks_code(finding: Finding) -> bool:
    return finding.rule == "kernel-image" and finding.verdict is Verdict.FAILS
