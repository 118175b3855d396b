"""A lock written down for other tools, one plan of it at a time."""

from __future__ import annotations

from pathlib import Path

from gpuenv.environments import ExportFormat, export_plan
from gpuenv.errors import RequestError
from gpuenv.machines import probe_here
from gpuenv.model import Machine
from gpuenv.workspaces.channel_words import unlocked
from gpuenv.workspaces.choosing import choose_plan
from gpuenv.workspaces.freshness import refuse_stale
from gpuenv.workspaces.lock_file import load_lock
from gpuenv.workspaces.wanted_lock import lock_place

__all__ = ["export_lock"]


def export_lock(
    format: ExportFormat,  # noqa: A002  (the word that users know it by)
    *,
    start: Path,
    path: Path | None = None,
    machine: Machine | None = None,
) -> str:
    """The plan that a lock holds for `machine`, as the text of a file for another tool.

    Without a machine it is the only plan of the lock, or the one for this computer. Errors as those of `load_lock` and
    `choose_plan`; IntegrityError for a lock that is older than what the project asks for, RequestError where the format
    cannot hold the plan.
    """
    place = lock_place(path, start)
    lock = load_lock(place)
    refuse_stale(lock, place)
    if not lock.plans:
        raise RequestError(f"`{place}` holds no plan", hints=("make one: `gpuenv lock`",))
    if machine is None and len(lock.plans) == 1:
        plan = lock.plans[0].whole
    else:
        plan = choose_plan(lock, machine or probe_here(), where=place.name).plan
    plan = unlocked(plan, place.parent)
    names = ", ".join(dict.fromkeys(one.name for one in plan.machines))
    heading = (
        f"`{place.name}` of gpuenv {lock.gpuenv} for Python {plan.python} on {names}.",
        f"Asked for: {' '.join(plan.request.specs)}",
    )
    return export_plan(plan, format, name=place.parent.name or "gpuenv", heading=heading)
