"""`gpuenv install`, `update` and `remove`: change what an environment holds, all or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gpuenv
from gpuenv.cli.install_into import install_into_foreign, undo_in_foreign
from gpuenv.cli.options import (
    as_json,
    chosen_machine,
    chosen_prefix,
    environment_options,
    machine_option,
    verbose_option,
)
from gpuenv.cli.plan_text import show_done
from gpuenv.cli.progress import Progress
from gpuenv.cli.text import page, plain_table
from gpuenv.errors import RequestError
from gpuenv.model import LockedWheel, Plan, to_json

if TYPE_CHECKING:
    from gpuenv import Change

__all__ = ["install_command", "remove_command", "update_command"]


def _change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    drop = click.option(
        "--drop-foreign", "drop_foreign", is_flag=True, help="Lose what was installed there with another tool."
    )
    return environment_options(machine_option(drop(verbose_option(as_json(function)))))


@click.command("install", short_help="Add packages to an environment.")
@click.argument("specs", nargs=-1, metavar="SPEC...")
@_change_options
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", "-y", is_flag=True, help="Change an environment that gpuenv did not make without asking.")
@click.option("--undo", is_flag=True, help="Take the last change to an environment that gpuenv did not make back.")
def install_command(specs: tuple[str, ...], dry_run: bool, yes: bool, undo: bool, **options: Any) -> int:
    """Add SPEC... to the environment -n NAME, -p PATH or the active one; what is there stays where it can.

    It may be a venv or conda environment of yours that gpuenv did not make: then it is shown what would change, and you
    are asked. The last such change can be taken back with --undo.
    """
    if bool(specs) == undo:
        what = "--undo takes back the whole last change: name no package" if undo else "name a package"
        raise click.UsageError(what, click.get_current_context())
    foreign = gpuenv.chosen_foreign(options["name"], options["prefix"], os.environ)
    as_json = options["as_json"]
    if undo:
        return undo_in_foreign(_undoable(foreign, options["name"], options["prefix"]), yes=yes, as_json=as_json)
    if foreign is not None:
        machine = chosen_machine(options["machine"])
        verbose = options["verbose"]
        return install_into_foreign(specs, foreign, machine, dry_run=dry_run, yes=yes, verbose=verbose, as_json=as_json)
    return _show_planned(specs, **options) if dry_run else _carry_out(gpuenv.install, specs, **options)


def _undoable(foreign: Path | None, name: str | None, prefix: Path | None) -> Path:
    if foreign is not None:
        return foreign
    place = chosen_prefix(name, prefix)
    gpuenv.load(place)
    raise RequestError(
        f"`{place}` was made by gpuenv, and `--undo` is for environments that it did not make",
        hints=("bring it back by what you ask for: `gpuenv remove`, or `gpuenv install NAME=VERSION`",),
    )


def _show_planned(
    specs: tuple[str, ...],
    *,
    name: str | None,
    prefix: Path | None,
    machine: str | None,
    drop_foreign: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """What `install` would make of an environment of gpuenv's own."""
    place = chosen_prefix(name, prefix)
    with Progress() as progress:
        before, plan = gpuenv.plan_install(
            specs, place, machine=chosen_machine(machine), report=progress, drop_foreign=drop_foreign
        )
    if as_json:
        click.echo(to_json(plan))
        return 0
    show_done(plan, explained=True, verbose=verbose)
    _show_difference(before, plan)
    click.echo("Nothing was changed.")
    return 0


@click.command("update", short_help="Bring an environment to the newest that fits.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@_change_options
def update_command(names: tuple[str, ...], **options: Any) -> int:
    """Bring the environment -n NAME, -p PATH or the active one to the newest that fits, or only the packages named."""
    return _carry_out(gpuenv.update, names, **options)


@click.command("remove", short_help="Take packages out of an environment.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_change_options
def remove_command(names: tuple[str, ...], **options: Any) -> int:
    """Take packages out of the environment -n NAME, -p PATH or the active one, with what only they needed."""
    return _carry_out(gpuenv.uninstall, names, **options)


def _carry_out(
    verb: Callable[..., Change],
    words: tuple[str, ...],
    *,
    name: str | None,
    prefix: Path | None,
    machine: str | None,
    drop_foreign: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    place = chosen_prefix(name, prefix)
    with Progress() as progress:
        change = verb(words, place, machine=chosen_machine(machine), report=progress, drop_foreign=drop_foreign)
    plan = change.environment.plan
    if as_json:
        click.echo(to_json(plan))
        return 0
    show_done(plan, explained=False, verbose=verbose)
    if change.before:
        _show_difference(change.before, plan)
    return 0


def _show_difference(before: Plan, after: Plan) -> None:
    """What came, went and changed, as `uv` marks it."""
    old = {wheel.name: wheel for wheel in before.wheels}
    new = {wheel.name: wheel for wheel in after.wheels}
    table = plain_table("", "", "")
    changed = 0
    for name in sorted(old.keys() | new.keys()):
        was, now = old.get(name), new.get(name)
        if was and now and was.version == now.version:
            continue
        changed += 1
        table.add_row(_mark(was, now), name, _versions(was, now))
    with page() as out:
        if changed:
            out.print(table)
        else:
            out.print("All of it was there already.")


def _mark(was: LockedWheel | None, now: LockedWheel | None) -> str:
    return "+" if was is None else "-" if now is None else "~"


def _versions(was: LockedWheel | None, now: LockedWheel | None) -> str:
    return " -> ".join(wheel.version for wheel in (was, now) if wheel)
