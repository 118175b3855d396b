"""Why a plan is as it is: for every newer or GPU build passed over, the first reason in GPU words."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.channels.catalog import Build, find_project
from gpuenv.channels.catalog.projects import GpuNote
from gpuenv.model import Choice, Explanation, GpuPolicy, OperatingSystem, PassedOver, Verdict
from gpuenv.plans.candidates import Candidate, Tier, objections
from gpuenv.plans.clashes import why_not
from gpuenv.plans.layer import Layer, gpu_spots, on_a_gpu_machine
from gpuenv.plans.ordering import version_key
from gpuenv.plans.setting import Setting
from gpuenv.plans.solver import matches
from gpuenv.plans.specs import GpuSpec
from gpuenv.plans.wording import preference

__all__ = ["explain"]


def explain(
    layer: Layer, specs: tuple[GpuSpec, ...], setting: Setting, *, preferred_python: str | None = None
) -> Explanation:
    """Why these builds and not others, for the packages of the GPU layer that users would ask about.

    `preferred_python` would have been planned for, had everything builds for it.
    """
    notes = list(layer.notes)
    hints = [hint for note in _notes_of_asked(layer, specs, setting) for hint in note.hints]
    python = setting.first.python
    if preferred_python and preferred_python != python:
        notes.append(f"Python {python} rather than {preferred_python}, for which not everything has wheels")
    if gpu_spots(layer) and not setting.prefers_gpu and setting.gpu is not GpuPolicy.NEVER:
        other = dict.fromkeys(gpu.name for machine in setting.machines for gpu in machine.gpus or ())
        notes.append(f"no NVIDIA GPU was found{' (' + ', '.join(other) + ' cannot run CUDA)' if other else ''}")
        picks = on_a_gpu_machine(specs, setting)
        asked = [name for name in dict.fromkeys(spec.project.name for spec in specs) if name in picks]
        there = [f"{name} {picks[name].build.version} ({picks[name].build.build})" for name in asked]
        if there:
            notes.append(f"a machine with an NVIDIA GPU would get {', '.join(there)}")
            hints.append("plan for another machine: `--machine gpu=NAME,driver=VERSION`")
    return Explanation(
        choices=_explain_choices(layer, specs, setting), notes=tuple(notes), hints=tuple(dict.fromkeys(hints))
    )


def _notes_of_asked(layer: Layer, specs: tuple[GpuSpec, ...], setting: Setting) -> Iterator[GpuNote]:
    for name in dict.fromkeys(spec.project.name for spec in specs):
        if name in layer.picks:
            yield from _gpu_notes(layer.picks[name], layer, setting)


def _explain_choices(layer: Layer, specs: tuple[GpuSpec, ...], setting: Setting) -> tuple[Choice, ...]:
    asked = {spec.project.name for spec in specs}
    return tuple(
        Choice(
            package=name,
            passed_over=tuple(_passed_over(pick, layer, specs, setting)),
            notes=tuple(dict.fromkeys(_notes(pick, layer, setting))),
        )
        for name, pick in layer.picks.items()
        if name in asked and pick.build.has_files
    )


def _passed_over(pick: Candidate, layer: Layer, specs: tuple[GpuSpec, ...], setting: Setting) -> Iterator[PassedOver]:
    asked_for = [_admitted_by(spec, pick.build.project, layer) for spec in specs]
    for candidate in _worth_telling(pick, layer, prefers_gpu=setting.prefers_gpu):
        if not all(any(matches(text, candidate) for text in texts) for texts in asked_for if texts):
            continue
        reason = why_not(candidate, layer)
        if reason:
            yield PassedOver(version=candidate.build.version, build=candidate.build.build, reason=reason)


def _worth_telling(pick: Candidate, layer: Layer, *, prefers_gpu: bool) -> list[Candidate]:
    """Of each version that would have been preferred the build that came nearest to being picked, newest first."""
    nearest: dict[tuple[str, str], Candidate] = {}
    python = _python_bounds(pick.build)
    # Of builds that differ in their Python only, the one for the Python of the plan is told.
    alike_first = sorted(layer.candidates[pick.build.project], key=lambda one: _python_bounds(one.build) != python)
    for one in sorted(alike_first, key=_distance):
        if _would_be_preferred(one.build, pick.build, prefers_gpu=prefers_gpu):
            # Users of channels see the builds for each CUDA, and ask for each.
            is_other = one.build.record is not None and one.build.version == pick.build.version
            line = str(one.build.needs.cuda_newest or "") if is_other else ""
            nearest.setdefault((one.build.version, line), one)
    return sorted(nearest.values(), key=preference, reverse=True)


def _distance(one: Candidate) -> tuple[bool, int, bool, int]:
    """GPU builds first, then by tier and build number; but of those that the driver is too old for, which a new driver
    would cure, the one that asks for least.
    """
    wants_driver = one.tier is Tier.REFUSED and objections(one)[0].rule == "driver-floor"
    return not one.build.gpu, one.tier, wants_driver, one.build.number if wants_driver else -one.build.number


def _would_be_preferred(build: Build, pick: Build, *, prefers_gpu: bool) -> bool:
    if pick.gpu and not build.gpu:
        return False
    if prefers_gpu and build.gpu and not pick.gpu:
        # An older release on the GPU goes before a newer one on the CPU.
        return True
    if build.version == pick.version:
        return build.gpu and (not pick.gpu or _rank(build) > _rank(pick))
    return version_key(build.version) > version_key(pick.version)


def _admitted_by(spec: GpuSpec, name: str, layer: Layer) -> tuple[str, ...]:
    """What a spec lets the package `name` be, any of these; a metapackage speaks for the package that it pulls in.
    Empty where it says nothing of it.
    """
    if spec.name == name:
        return (spec.conda,)
    builds = layer.candidates.get(spec.name, ())
    stand_ins = [one for one in builds if not one.build.has_files and matches(spec.conda, one)]
    pulled_in = (depend for one in stand_ins for depend in one.build.depends if depend.split()[0] == name)
    return tuple(dict.fromkeys(pulled_in))


def _notes(pick: Candidate, layer: Layer, setting: Setting) -> Iterator[str]:
    if pick.build.note:
        yield pick.build.note
    for finding in pick.findings:
        is_told = finding.verdict in {Verdict.DEGRADED, Verdict.UNKNOWN}
        if is_told or (finding.rule == "side-library" and finding.verdict is Verdict.WORKS):
            yield f"on {finding.machine}: {finding.message}" if finding.machine else finding.message
    yield from (note.text for note in _gpu_notes(pick, layer, setting))


def _gpu_notes(pick: Candidate, layer: Layer, setting: Setting) -> tuple[GpuNote, ...]:
    """What to tell those who got the CPU build of a package because there is no GPU build of it here (any more)."""
    project = find_project(pick.build.project)
    there_is = any(
        one.build.gpu and version_key(one.build.version) >= version_key(pick.build.version)
        for one in layer.candidates[pick.build.project]
    )
    on_mac = setting.first.system.os is OperatingSystem.MACOS
    somebody_may_ask = any(one.nvidia_gpus for one in setting.machines) or (on_mac and not pick.build.note)
    if project is None or pick.build.gpu or there_is or not somebody_may_ask:
        return ()
    return tuple(note for note in project.gpu_notes if setting.platform in note.platforms)


def _python_bounds(build: Build) -> tuple[str, ...]:
    """What a conda package asks of Python; nothing for a wheel."""
    if build.record is None:
        return ()
    return tuple(text for text in build.depends if text.split()[0] in {"python", "python_abi"})


def _rank(build: Build) -> tuple[int, tuple[int, ...]]:
    """The order among builds of one release: by build number, and for conda packages then by CUDA."""
    cuda = build.needs.cuda_newest if build.record else None
    return build.number, cuda.numbers if cuda else ()
