"""`make_plan`: from a request and a machine to exactly what to install, with the reason for every choice."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.channels.catalog import Build, catalog_problems
from gpuenv.channels.conda.records import locked_conda, printable_channel
from gpuenv.channels.destinations import destination_of
from gpuenv.errors import NoPlanError, UnavailableError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import LockedConda, Machine, Plan, PlannedPackage, Reporter, Request, Silence
from gpuenv.plans.candidates import Candidate
from gpuenv.plans.explain import explain
from gpuenv.plans.indexes import ProjectIndexes
from gpuenv.plans.keeping import kept_bounds, kept_conda
from gpuenv.plans.knowledge import Knowledge
from gpuenv.plans.layer import Layer, choose_layer
from gpuenv.plans.learning import Learner
from gpuenv.plans.pythons import PythonChoice, minor_of
from gpuenv.plans.rounds import Rounds, Settled
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import Wanted
from gpuenv.plans.wanting import in_order, open_channels_once, printable_request, pythons_for, wanted_of, with_python

if TYPE_CHECKING:
    from gpuenv.targets.means import Means

__all__ = ["make_plan"]

_RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"


def make_plan(
    request: Request,
    machine: Machine,
    *,
    others: tuple[Machine, ...] = (),
    interpreters: tuple[Interpreter, ...] = (),
    report: Reporter | None = None,
    keep: Plan | None = None,
    renew: frozenset[str] = frozenset(),
    cache: bool = True,
    offline: bool = False,
    knowledge: Knowledge | None = None,
) -> Plan:
    """The plan that gives `machine` what `request` asks for, and `others` of the same platform in the same environment.

    Nothing is downloaded but metadata, and native files of wheels that nobody has read yet, which are looked into and
    kept in the cache of readings. `interpreters` are the Pythons found on the machine, the preferred one first; without
    any, the plan is for a machine elsewhere and the Python that was asked for, or this one's. `keep` is a plan whose
    versions stay where the request allows, except those of the packages in `renew`. `knowledge` is what an earlier plan
    of the same command has found out. Raises RequestError for a spec that is none, NoPlanError when nothing fits (the
    reasons say what was found and what was needed), UnavailableError when the index does not answer.
    """
    report = report or Silence()
    knowledge = Knowledge(can_learn=True) if knowledge is None else knowledge
    open_channels_once(knowledge, request, offline=offline, report=report)
    wanted = wanted_of(request, machine.platform, knowledge)
    report.step("choosing builds for the machine")
    pythons = pythons_for(request, wanted, machine.platform, knowledge, interpreters)
    bounds = (*wanted.bounds, *kept_bounds(keep, wanted, renew))
    kept = kept_conda(keep, renew)
    machines = (machine, *others)

    def setting_for(python: str) -> Setting:
        here = (with_assumptions(one, python or None) for one in machines)
        return Setting.of(request, here, knowledge, kept=kept)

    pythons = in_order(pythons, wanted, setting_for)
    with ExitStack() as closing:
        indexes = ProjectIndexes(policy=request.indexes, offline=offline, report=report)
        interpreter, setting, layer = _first_layer(wanted, setting_for, pythons, bounds, indexes, keep)
        rounds = Rounds(
            wanted=with_python(wanted, interpreter),
            setting=setting,
            interpreter=interpreter,
            bounds=bounds,
            learner=_learner(setting, closing, cache=cache, offline=offline, report=report),
            indexes=indexes,
            report=report,
            keep=keep,
            renew=renew,
        )
        try:
            settled = rounds.settle(layer)
        except UnavailableError as error:
            raise _with_what_was_chosen(error, layer) from error
    plan = _plan(request, setting, interpreter, settled, preferred_python=pythons[0].version)
    return msgspec.structs.replace(plan, others=tuple(with_assumptions(one, interpreter.version) for one in others))


def _learner(setting: Setting, closing: ExitStack, *, cache: bool, offline: bool, report: Reporter) -> Learner:
    def means() -> Means:
        from gpuenv.targets.means import open_means

        return closing.enter_context(open_means(cache=cache, offline=offline, report=report))

    return Learner(
        knowledge=setting.knowledge,
        destination=destination_of(setting.oldest),
        offline=offline,
        report=report,
        open_means=means,
    )


def _plan(
    request: Request, setting: Setting, interpreter: PythonChoice, settled: Settled, *, preferred_python: str
) -> Plan:
    layer = settled.layer
    explanation = explain(layer, settled.specs, setting, preferred_python=preferred_python)
    conda = locked_conda(layer.records)
    return Plan(
        request=printable_request(request, setting.knowledge),
        machine=setting.first,
        indexes=tuple(dict.fromkeys(pick.build.index for pick in layer.picks.values() if pick.build.index)),
        python=_python_of(conda) or interpreter.version or _RUNNING,
        interpreter=interpreter.path,
        packages=(*_planned(layer), *(one.planned for one in settled.outside)),
        wheels=settled.wheels,
        conda=conda,
        explanation=msgspec.structs.replace(
            explanation,
            notes=(*explanation.notes, *settled.notes, *catalog_problems()),
            learned=settled.learned,
        ),
        source_packages=layer.source_packages,
        build_constraints=layer.build_constraints,
        pylock=settled.pylock,
    )


def _python_of(conda: tuple[LockedConda, ...]) -> str | None:
    """The Python among conda packages, as 3.11."""
    versions = (package.version for package in conda if package.name == "python")
    return next(map(minor_of, versions), None)


def _with_what_was_chosen(error: UnavailableError, layer: Layer) -> UnavailableError:
    """The error with the builds that the catalog alone led to, which is most of the answer."""
    builds = [pick.build for pick in layer.shown.values() if pick.build.has_files]
    chosen = ", ".join(f"{build.project} {build.version} {build.build}" for build in builds)
    reasons = (*error.reasons, f"from the catalog alone it would be {chosen}") if chosen else error.reasons
    return UnavailableError(error.message, reasons=reasons, hints=error.hints, details=error.details)


def _first_layer(
    wanted: Wanted,
    setting_for: Callable[[str], Setting],
    pythons: tuple[PythonChoice, ...],
    bounds: tuple[str, ...],
    indexes: ProjectIndexes,
    keep: Plan | None,
) -> tuple[PythonChoice, Setting, Layer]:
    """The layer to begin with; what projects' indexes have counts where nothing else fits, or where it is to stay."""
    if keep and keep.indexes:
        indexes.widen(wanted.gpu, setting_for(keep.python))
    try:
        return _first_that_fits(wanted, setting_for, pythons, bounds)
    except NoPlanError:
        if not indexes.widen(wanted.gpu, setting_for(pythons[0].version)):
            raise
        return _first_that_fits(wanted, setting_for, pythons, bounds)


def _first_that_fits(
    wanted: Wanted,
    setting_for: Callable[[str], Setting],
    pythons: tuple[PythonChoice, ...],
    bounds: tuple[str, ...],
) -> tuple[PythonChoice, Setting, Layer]:
    refusals: list[NoPlanError] = []
    for interpreter in pythons:
        setting = setting_for(interpreter.version)
        try:
            return interpreter, setting, choose_layer(with_python(wanted, interpreter).gpu, setting, bounds)
        except NoPlanError as refusal:
            refusals.append(refusal)
            # Which Pythons a channel's packages are for shows when they are solved.
            if interpreter.spec is None and not any("wheels are for Python" in reason for reason in refusal.reasons):
                break
    first = refusals[0]
    if len(pythons) > 1 and len(refusals) > 1:
        place = "the channels" if pythons[0].spec else "this machine"
        found = ", ".join(one.version for one in pythons)
        raise NoPlanError(
            first.message,
            reasons=(*first.reasons, f"Pythons found {'in' if pythons[0].spec else 'on'} {place}: {found}"),
            hints=first.hints,
            details=first.details,
        )
    raise first


def _planned(layer: Layer) -> tuple[PlannedPackage, ...]:
    return tuple(_planned_package(name, pick, layer) for name, pick in layer.shown.items())


def _planned_package(name: str, pick: Candidate, layer: Layer) -> PlannedPackage:
    build = pick.build
    line = layer.picks.get("cuda-version")
    cuda = line.build.version if line and (build.gpu or build.library) else None
    if build.record is not None and build.gpu and build.needs.cuda_newest:
        cuda = str(build.needs.cuda_newest)
    return PlannedPackage(
        name=name,
        version=build.version,
        build=build.build,
        gpu=build.gpu,
        gpu_support=build.needs.gpu_support,
        cuda=cuda,
        requirements=build.requirements,
        variables=build.variables,
        source=_source_of(build, layer),
        verdict=pick.verdict,
        findings=pick.findings,
    )


def _source_of(build: Build, layer: Layer) -> str:
    if build.channel is not None and layer.candidates.view is not None:
        return printable_channel(build.channel, layer.candidates.view.channels.places)
    return build.index or "catalog"
