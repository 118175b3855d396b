"""`make_plan`: from a request and a machine to exactly what to install, with the reason for every choice."""

from __future__ import annotations

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.errors import NoPlanError, UnavailableError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import Machine, Plan, PlannedPackage, Reporter, Request, Silence
from gpuenv.plans.candidates import Candidate
from gpuenv.plans.explain import explain
from gpuenv.plans.keeping import kept_bounds
from gpuenv.plans.layer import Layer, choose_layer
from gpuenv.plans.pythons import PythonChoice, choose_pythons
from gpuenv.plans.resolve import resolve
from gpuenv.plans.specs import Wanted, read_specs
from gpuenv.plans.wheels import locked_wheels

__all__ = ["make_plan"]


def make_plan(
    request: Request,
    machine: Machine,
    *,
    interpreters: tuple[Interpreter, ...] = (),
    report: Reporter | None = None,
    keep: Plan | None = None,
    renew: frozenset[str] = frozenset(),
) -> Plan:
    """The plan that gives `machine` what `request` asks for. Nothing is downloaded but metadata.

    `interpreters` are the Pythons found on the machine, the preferred one first; without any, the plan is for a
    machine elsewhere and the Python that was asked for, or this one's. `keep` is a plan whose versions stay where the
    request allows, except those of the packages in `renew`. Raises RequestError for a spec that is none,
    NoPlanError when nothing fits (the reasons say what was found and what was needed), UnavailableError when the
    index does not answer.
    """
    report = report or Silence()
    wanted = read_specs(request.specs, machine.platform)
    report.step("choosing builds for the machine")
    pythons = choose_pythons(request.python, wanted.python, interpreters)
    bounds = (*wanted.bounds, *kept_bounds(keep, wanted, renew))
    interpreter, layer = _first_that_fits(wanted, machine, pythons, bounds)
    here = with_assumptions(machine, interpreter.version)
    try:
        layer, pylock = resolve(layer, wanted, here, interpreter, report, keep=keep, renew=renew)
    except UnavailableError as error:
        raise _with_what_was_chosen(error, layer) from error
    return Plan(
        request=request,
        machine=here,
        python=interpreter.version,
        interpreter=interpreter.path,
        packages=_planned(layer),
        wheels=locked_wheels(pylock),
        explanation=explain(layer, wanted.gpu, here, preferred_python=pythons[0].version),
        source_packages=layer.source_packages,
        build_constraints=layer.build_constraints,
        pylock=pylock,
    )


def _with_what_was_chosen(error: UnavailableError, layer: Layer) -> UnavailableError:
    """The error with the builds that the catalog alone led to, which is most of the answer."""
    builds = [pick.build for pick in layer.shown.values() if pick.build.wheel]
    chosen = ", ".join(f"{build.project} {build.version} {build.build}" for build in builds)
    reasons = (*error.reasons, f"from the catalog alone it would be {chosen}") if chosen else error.reasons
    return UnavailableError(error.message, reasons=reasons, hints=error.hints, details=error.details)


def _first_that_fits(
    wanted: Wanted, machine: Machine, pythons: tuple[PythonChoice, ...], bounds: tuple[str, ...]
) -> tuple[PythonChoice, Layer]:
    refusals: list[NoPlanError] = []
    for interpreter in pythons:
        try:
            return interpreter, choose_layer(wanted.gpu, with_assumptions(machine, interpreter.version), bounds)
        except NoPlanError as refusal:
            refusals.append(refusal)
            if not any("wheels are for Python" in reason for reason in refusal.reasons):
                break
    first = refusals[0]
    if len(pythons) > 1 and len(refusals) > 1:
        found = ", ".join(one.version for one in pythons)
        raise NoPlanError(
            first.message,
            reasons=(*first.reasons, f"Pythons found on this machine: {found}"),
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
    return PlannedPackage(
        name=name,
        version=build.version,
        build=build.build,
        gpu=build.gpu,
        gpu_support=build.needs.gpu_support,
        cuda=cuda,
        requirements=build.requirements,
        variables=build.variables,
        verdict=pick.verdict,
        findings=pick.findings,
    )
