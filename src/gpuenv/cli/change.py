"""`gpuenv install`, `update` and `remove`: change what an environment holds, all or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import gpuenv
from gpuenv.cli.channel_option import channel_option
from gpuenv.cli.frozen_option import frozen_option
from gpuenv.cli.imports import with_notes
from gpuenv.cli.install_into import install_into_foreign, undo_in_foreign
from gpuenv.cli.options import (
    as_json,
    chosen_machine,
    chosen_prefix,
    environment_options,
    machine_option,
    verbose_option,
)
from gpuenv.cli.plan_text import show_done, show_notes
from gpuenv.cli.progress import Progress
from gpuenv.cli.text import page, plain_table
from gpuenv.errors import RequestError
from gpuenv.model import Plan, to_json

if TYPE_CHECKING:
    from gpuenv import Change

__all__ = ["install_command", "remove_command", "update_command"]


def _change_options(function: Callable[..., Any]) -> Callable[..., Any]:
    drop = click.option(
        "--drop-foreign", "drop_foreign", is_flag=True, help="Lose what was installed there with another tool."
    )
    return environment_options(machine_option(drop(frozen_option(verbose_option(as_json(function))))))


@click.command("install", short_help="Add packages to an environment.")
@click.argument("specs", nargs=-1, metavar="SPEC...")
@channel_option
@_change_options
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@click.option("--yes", "-y", is_flag=True, help="Change an environment that gpuenv did not make without asking.")
@click.option("--undo", is_flag=True, help="Take the last change to an environment that gpuenv did not make back.")
def install_command(specs: tuple[str, ...], dry_run: bool, yes: bool, undo: bool, **options: Any) -> int:
    """Add SPEC... to the environment -n NAME, -p PATH or the active one; what is there stays where it can.

    It may be a venv or conda environment of yours that gpuenv did not make: then it is shown what would change, and you
    are asked. With -c its conda packages are changed, without it wheels. The last such change can be taken back with
    --undo.
    """
    if bool(specs) == undo:
        what = "--undo takes back the whole last change: name no package" if undo else "name a package"
        raise click.UsageError(what, click.get_current_context())
    foreign = gpuenv.chosen_foreign(options["name"], options["prefix"], os.environ)
    as_json = options["as_json"]
    if undo:
        place = _undoable(foreign, options["name"], options["prefix"])
        return undo_in_foreign(place, yes=yes, override_frozen=options["override_frozen"], as_json=as_json)
    if foreign is not None:
        machine = chosen_machine(options["machine"])
        verbose = options["verbose"]
        return install_into_foreign(
            specs,
            foreign,
            machine,
            channels=options["channels"],
            dry_run=dry_run,
            override_frozen=options["override_frozen"],
            yes=yes,
            verbose=verbose,
            as_json=as_json,
        )
    if dry_run:
        options.pop("override_frozen")
        return _show_planned(specs, **options)
    return _carry_out(gpuenv.install, specs, **options)


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
    channels: tuple[str, ...],
) -> int:
    """What `install` would make of an environment of gpuenv's own."""
    place = chosen_prefix(name, prefix)
    with Progress() as progress:
        before, plan = gpuenv.plan_install(
            specs,
            place,
            machine=chosen_machine(machine),
            report=progress,
            drop_foreign=drop_foreign,
            channels=channels,
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
@channel_option
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
    **further: Any,
) -> int:
    place = chosen_prefix(name, prefix)
    with Progress() as progress:
        change = verb(
            words, place, machine=chosen_machine(machine), report=progress, drop_foreign=drop_foreign, **further
        )
    plan = change.environment.plan
    if as_json:
        click.echo(to_json(with_notes(plan, change.notes)))
        return 0
    show_done(plan, explained=False, verbose=verbose)
    if change.before:
        _show_difference(change.before, plan)
    show_notes(change.notes)
    return 0


def _show_difference(before: Plan, after: Plan) -> None:
    """What came, went and changed, as `uv` marks it."""
    old, new = _versions_in(before), _versions_in(after)
    table = plain_table("", "", "")
    changed = 0
    for kind, name in sorted(old.keys() | new.keys(), key=lambda one: (one[1], one[0])):
        was, now = old.get((kind, name)), new.get((kind, name))
        if was == now:
            continue
        changed += 1
        table.add_row(_mark(was, now), name, " -> ".join(version for version in (was, now) if version))
    with page() as out:
        if changed:
            out.print(table)
        else:
            out.print("All of it was there already.")


def _versions_in(plan: Plan) -> dict[tuple[str, str], str]:
    """What a plan has by kind and name; of conda packages the build belongs to the version."""
    wheels = {("wheel", one.name): one.version for one in plan.wheels}
    return wheels | {("conda", one.name): f"{one.version} {one.build}" for one in plan.conda}


def _mark(was: str | None, now: str | None) -> str:
    return "+" if was is None else "-" if now is None else "~"
