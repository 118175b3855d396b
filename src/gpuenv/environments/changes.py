"""Create, change and remove environments: all or nothing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gpuenv.environments import layout
from gpuenv.environments.build import build, check_plan, with_lock
from gpuenv.environments.conda_protection import check_pins, read_pins, refuse_frozen
from gpuenv.environments.conda_registry import forget, register
from gpuenv.environments.failures import refusals_explained
from gpuenv.environments.foreign import check_foreign
from gpuenv.environments.leftovers import sweep, sweep_neighbours
from gpuenv.environments.locking import holding
from gpuenv.environments.naming import real_prefix
from gpuenv.environments.own_files import carry_over
from gpuenv.environments.space import check_space
from gpuenv.environments.state import Environment, read_state
from gpuenv.environments.switch import put_in_place, take_away
from gpuenv.errors import RequestError, UnavailableError
from gpuenv.model import Plan, Reporter, Request, Silence

__all__ = ["create", "remove", "replace"]


def create(
    plan: Plan,
    prefix: Path,
    *,
    report: Reporter,
    force: bool = False,
    offline: bool = False,
    asked_with: Request | None = None,
    override_frozen: bool = False,
) -> Environment:
    """Make the environment of `plan` at `prefix`, which is empty or not there; with `force` also over one of ours.

    Nothing stands at `prefix` until all of it does. With `offline` only cached files are used; `asked_with` is
    the request with the logins of its channels, which no plan keeps. RequestError when
    something is in the way or the plan is for another kind of machine, UnavailableError for network, disk, interpreter
    or another writer, IntegrityError for a file that is not the planned one.
    """
    prefix = real_prefix(prefix)
    plan = with_lock(plan)
    check_plan(plan)
    with _changing(prefix, "creating"):
        _check_place(prefix, force=force)
        refuse_frozen(prefix, override=override_frozen)
        now = datetime.now(UTC)
        new = layout.beside(prefix, "new")
        check_space(plan, prefix.parent, report=report)
        old = prefix if layout.is_environment(prefix) else None
        notes = build(
            plan,
            new,
            final=prefix,
            name=prefix.name,
            created=now,
            changed=now,
            old=old,
            offline=offline,
            report=report,
            asked_with=asked_with,
        )
        put_in_place(new, prefix)
        register(prefix)
        return Environment(prefix=prefix, state=read_state(prefix), notes=notes)


def replace(
    plan: Plan,
    prefix: Path,
    *,
    report: Reporter,
    drop_foreign: bool = False,
    seen: Environment | None = None,
    offline: bool = False,
    asked_with: Request | None = None,
    override_frozen: bool = False,
) -> Environment:
    """Make the environment at `prefix` that of the new `plan`; until it is complete, the old one stays in use.

    Files of the user's own come along. Distributions that the user added with another tool must be in the new plan
    (`foreign_packages` gives them), or RequestError names them; `drop_foreign` leaves them out. `seen` is the
    environment that the plan was made from; UnavailableError when it was changed since. RequestError where it is
    frozen, unless `override_frozen`; NoPlanError where the plan breaks a pin. Else as `create`.
    """
    from gpuenv.environments.conda_truth import as_it_is, is_same_conda

    prefix = real_prefix(prefix)
    plan = with_lock(plan)
    check_plan(plan)
    if not os.path.lexists(prefix.parent):
        read_state(prefix)
    with _changing(prefix, "changing"):
        old = Environment(prefix=prefix, state=read_state(prefix))
        refuse_frozen(prefix, override=override_frozen)
        check_pins(read_pins(prefix), plan.conda)
        conda = as_it_is(old, report=Silence()).plan.conda
        if seen and (seen.state.changed != old.state.changed or not is_same_conda(seen.plan.conda, conda)):
            raise UnavailableError(
                f"`{prefix}` was changed by another command meanwhile",
                reasons=(f"last at {old.state.changed:%Y-%m-%d %H:%M:%S} UTC",),
                hints=("look at it with `gpuenv list`, and try again",),
            )
        check_foreign(old, plan, drop=drop_foreign, report=report)
        new = layout.beside(prefix, "new")
        check_space(plan, prefix.parent, report=report)
        now = datetime.now(UTC)
        notes = build(
            plan,
            new,
            final=prefix,
            name=prefix.name,
            created=old.created,
            changed=now,
            old=prefix,
            offline=offline,
            report=report,
            asked_with=asked_with,
        )
        if carried := carry_over(prefix, new):
            report.detail(f"kept {len(carried)} files of your own, such as `{carried[0]}`")
        shutil.copymode(prefix, new)
        put_in_place(new, prefix)
        register(prefix)
        return Environment(prefix=prefix, state=read_state(prefix), notes=notes)


def remove(prefix: Path, *, override_frozen: bool = False) -> None:
    """Delete the environment at `prefix`. It is gone at once, or not at all.

    RequestError where gpuenv made none, and where it is frozen, unless `override_frozen`.
    """
    real = real_prefix(prefix)
    if not os.path.lexists(real.parent):
        read_state(real)
    with _changing(real, "removing"):
        if not layout.is_environment(real):
            read_state(real)
        refuse_frozen(real, override=override_frozen)
        take_away(real)
        forget(real)
    if prefix.is_symlink():
        prefix.unlink()


@contextmanager
def _changing(prefix: Path, doing: str) -> Iterator[None]:
    """Inside, this process alone changes `prefix`. What is unfinished or replaced at the end is cleared away."""
    with refusals_explained(doing, prefix):
        prefix.parent.mkdir(parents=True, exist_ok=True)
        with holding(prefix, doing):
            sweep(prefix)
            sweep_neighbours(prefix)
            try:
                yield
            finally:
                with suppress(OSError):
                    sweep(prefix)


def _check_place(prefix: Path, *, force: bool) -> None:
    if layout.is_environment(prefix):
        if force:
            return
        raise RequestError(
            f"there is an environment at `{prefix}` already",
            hints=("change it with `gpuenv install`, or make it anew with `gpuenv create --force`",),
        )
    if os.path.lexists(prefix) and not (prefix.is_dir() and not any(prefix.iterdir())):
        raise RequestError(
            f"something else is at `{prefix}`",
            reasons=("it is not empty, and gpuenv did not make it",),
            hints=("take another path, or move it away first",),
        )
