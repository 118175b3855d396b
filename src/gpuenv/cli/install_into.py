"""`gpuenv install` in an environment that gpuenv did not make: what would change, consent, the change, the way back."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

import gpuenv
from gpuenv.cli.plan_text import show_done, show_notes
from gpuenv.cli.progress import Progress
from gpuenv.cli.text import hanging, page, plain_table
from gpuenv.errors import RequestError
from gpuenv.model import Conflict, InstallReport, Machine, PackageChange, to_json

__all__ = ["install_into_foreign", "show_changes", "undo_in_foreign"]

_MOST_CONFLICTS = 10


def install_into_foreign(
    specs: tuple[str, ...],
    prefix: Path,
    machine: Machine,
    *,
    channels: tuple[str, ...] = (),
    dry_run: bool,
    override_frozen: bool = False,
    yes: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Show what would change at `prefix`, ask, and change it."""
    with Progress() as progress:
        preview = gpuenv.plan_into(specs, prefix, machine=machine, report=progress, channels=channels)
    if not as_json:
        _show_preview(preview.report, verbose=verbose)
    if not (dry_run or preview.is_empty or yes) and not _consents(prefix):
        click.echo("nothing was changed", err=True)
        return 1
    if dry_run:
        if as_json:
            click.echo(to_json(preview.report))
        elif not preview.is_empty:
            click.echo("Nothing was changed.")
        return 0
    with Progress() as progress:
        result = gpuenv.install_into(preview, report=progress, override_frozen=override_frozen)
    if as_json:
        click.echo(to_json(result))
    elif not preview.is_empty:
        _show_result(result, told=preview.report.notes)
    return 0


def undo_in_foreign(prefix: Path, *, yes: bool, override_frozen: bool = False, as_json: bool) -> int:
    """Take the last installation at `prefix` back."""
    with Progress() as progress:
        result = gpuenv.undo_install(prefix, report=progress, force=yes, override_frozen=override_frozen)
    if as_json:
        click.echo(to_json(result))
        return 0
    show_changes(result.changes)
    show_notes(result.notes)
    click.echo(f"{prefix} is as it was before the last installation.")
    return 0


def show_changes(changes: tuple[PackageChange, ...]) -> None:
    """What comes, goes and changes, as `uv` marks it."""
    table = plain_table("", "", "")
    for one in changes:
        mark = "+" if one.before is None else "-" if one.after is None else "~"
        table.add_row(mark, one.name, " -> ".join(version for version in (one.before, one.after) if version))
    with page() as out:
        if changes:
            out.print(table)
        else:
            out.print("All of it was there already.")


def _show_preview(report: InstallReport, *, verbose: bool) -> None:
    if report.plan:
        show_done(report.plan, explained=True, verbose=verbose)
    click.echo(f"{report.prefix}:")
    show_changes(report.changes)
    with page() as out:
        for kept in report.kept:
            out.print(hanging("stays: ", kept))
        for name, value in report.variables.items():
            out.print(hanging("note: ", f"each start of its Python sets {name}={value} where you did not"))
    show_notes(report.notes)
    _show_conflicts(report, happened=False)


def _show_result(report: InstallReport, *, told: tuple[str, ...]) -> None:
    show_notes(note for note in report.notes if note not in told)
    _show_conflicts(report, happened=True)
    click.echo(f"Done. The last change can be taken back: gpuenv install --undo -p {shlex.quote(report.prefix)}")


def _show_conflicts(report: InstallReport, *, happened: bool) -> None:
    """Requirements that are not met; before the change only those that are there already."""
    old = {(one.name, one.requires) for one in report.conflicts_before}
    new = [one for one in report.conflicts if (one.name, one.requires) not in old]
    with page() as out:
        for one in new[:_MOST_CONFLICTS]:
            out.print(hanging("conflict: ", _in_words(one)))
        if len(new) > _MOST_CONFLICTS:
            out.print(f"and {len(new) - _MOST_CONFLICTS} more conflicts")
        still = report.conflicts_before if not happened else [one for one in report.conflicts if one not in new]
        for one in list(still)[:_MOST_CONFLICTS] if not happened else ():
            out.print(hanging("note: ", f"a conflict was there before: {_in_words(one)}"))
        if happened and not report.conflicts:
            out.print("Everything installed there gets what it requires.")
        elif happened and not new:
            count = len(report.conflicts)
            out.print(f"No new conflicts; {count} {'was' if count == 1 else 'were'} there before.")


def _in_words(one: Conflict) -> str:
    there = f"{one.found} is there" if one.found else "it is not there"
    return f"{one.name} {one.version} requires {one.requires}, and {there}"


def _consents(prefix: Path) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RequestError(
            f"nobody can be asked whether to change `{prefix}`",
            reasons=("gpuenv did not make this environment, and this is no terminal",),
            hints=("add `--yes` to change it, or `--dry-run` to see only what would change",),
        )
    return click.confirm(f"Change {prefix}?", err=True)
