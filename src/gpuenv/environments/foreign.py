"""Distributions that a user added with another tool, beside the lock."""

from __future__ import annotations

from pathlib import Path

from gpuenv.channels.pylock import read_lock
from gpuenv.environments.installed import Distribution, read_distributions
from gpuenv.environments.state import Environment, load
from gpuenv.errors import RequestError
from gpuenv.model import Plan, Reporter

__all__ = ["check_foreign", "foreign_packages", "hand_added"]


def foreign_packages(prefix: Path) -> tuple[str, ...]:
    """What was added to `prefix` from an index, as requirements to add to the next request (`name==version`).

    RequestError names those that came from elsewhere (a directory, a URL), which no request can bring back.
    """
    environment = load(prefix)
    from_index, from_elsewhere = _foreign(environment)
    if from_elsewhere:
        raise _cannot_carry(environment, from_elsewhere)
    return tuple(f"{one.name}=={one.version}" for one in from_index)


def check_foreign(environment: Environment, plan: Plan, *, drop: bool, report: Reporter) -> None:
    """RequestError when `plan` would lose what a user added to `environment`; with `drop` only a word about it."""
    from_index, from_elsewhere = _foreign(environment)
    planned = {package.name for package in read_lock(plan.pylock)}
    lost = tuple(distribution for distribution in from_index if distribution.key not in planned)
    if drop:
        for distribution in (*from_elsewhere, *lost):
            report.detail(f"leaving out {distribution.name} {distribution.version}, which was added by hand")
        return
    if from_elsewhere:
        raise _cannot_carry(environment, from_elsewhere)
    if lost:
        raise RequestError(
            f"the plan would lose packages that were added to `{environment.name}` by hand",
            reasons=tuple(f"{distribution.name} {distribution.version}" for distribution in lost),
            hints=("add them to the request, or leave them out with `--drop-foreign`",),
        )


def hand_added(environment: Environment) -> tuple[str, ...]:
    """All that was added to `environment` by hand, as it would be asked for."""
    from_index, from_elsewhere = _foreign(environment)
    return (
        *(f"{one.name}=={one.version}" for one in from_index),
        *(f"{one.name} @ {one.url}" for one in from_elsewhere),
    )


def _foreign(environment: Environment) -> tuple[tuple[Distribution, ...], tuple[Distribution, ...]]:
    """From an index and not in the lock; from elsewhere although the lock does not say so."""
    locked = {package.name: package for package in read_lock(environment.plan.pylock)}
    installed = read_distributions(environment.prefix)
    from_index = tuple(one for one in installed if one.url is None and one.key not in locked)
    from_elsewhere = tuple(
        one for one in installed if one.url and (one.key not in locked or not locked[one.key].direct)
    )
    return from_index, from_elsewhere


def _cannot_carry(environment: Environment, distributions: tuple[Distribution, ...]) -> RequestError:
    return RequestError(
        f"`{environment.name}` holds packages that were not installed from an index and would be lost",
        reasons=tuple(
            f"{one.name} {one.version} from `{one.url}`{' (editable)' if one.editable else ''}" for one in distributions
        ),
        hints=("go on without them with `--drop-foreign`, and install them again afterwards",),
    )
