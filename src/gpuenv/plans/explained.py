"""`explain_plans`: plans with all that is to say of them, what would change them as well."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gpuenv.channels.conda.view import Channels
from gpuenv.errors import NoPlanError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.model import Machine, Plan, PlanSet, Reporter, Request
from gpuenv.plans.fleet import make_plans
from gpuenv.plans.knowledge import Knowledge
from gpuenv.plans.pythons import minor_of
from gpuenv.plans.wanting import pythons_for, wanted_of
from gpuenv.plans.what_if import what_would_change

__all__ = ["explain_plans"]


def explain_plans(
    request: Request,
    machines: Sequence[Machine],
    *,
    interpreters: tuple[Interpreter, ...] = (),
    report: Reporter | None = None,
    cache: bool = True,
    offline: bool = False,
) -> PlanSet:
    """The plans of `make_plans`, each with the single changes that would alter it most in its explanation.

    Errors as those of `make_plans`; where there is no plan, the hints say which single change would make one.
    """
    pythons = tuple(minor_of(one.version) for one in interpreters)
    knowledge = Knowledge(can_learn=True)
    try:
        found = make_plans(
            request,
            machines,
            interpreters=interpreters,
            report=report,
            cache=cache,
            offline=offline,
            knowledge=knowledge,
        )
    except NoPlanError as refusal:
        wanted = wanted_of(request, machines[0].platform, knowledge)
        python = pythons_for(request, wanted, machines[0].platform, knowledge, interpreters)[0].version
        changes = what_would_change(request, machines, python=python, pythons=pythons, channels=knowledge.channels)
        hints = tuple(
            f"with one change there would be a plan: {one.change} ({', '.join(one.gains)})" for one in changes
        )
        raise NoPlanError(
            refusal.message, reasons=refusal.reasons, hints=(*refusal.hints, *hints), details=refusal.details
        ) from refusal
    return msgspec.structs.replace(
        found, plans=tuple(_with_changes(plan, pythons, knowledge.channels) for plan in found.plans)
    )


def _with_changes(plan: Plan, pythons: tuple[str, ...], channels: Channels | None) -> Plan:
    changes = what_would_change(plan.request, plan.machines, python=plan.python, pythons=pythons, channels=channels)
    return msgspec.structs.replace(plan, explanation=msgspec.structs.replace(plan.explanation, what_if=changes))
