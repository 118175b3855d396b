"""`gpuenv sync`: make the environment that a lock describes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

import gpuenv
from gpuenv.cli.frozen_option import frozen_option
from gpuenv.cli.options import as_json, chosen_machine, chosen_prefix, environment_options, is_elsewhere, machine_option
from gpuenv.cli.progress import Progress
from gpuenv.cli.text import hanging, page, plain_table
from gpuenv.model import PackageChange, SyncReport, SyncState, to_json

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["sync_command"]

_MOST_SHOWN = 200


@click.command("sync", short_help="Make the environment that a `gpuenv.lock` describes.")
@environment_options
@click.option("--lock", "path", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Which lock.")
@machine_option
@click.option("--offline", is_flag=True, help="Ask no network: all files must be in the cache of `uv`.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--drop-foreign", is_flag=True, help="Lose what was installed there with another tool.")
@frozen_option
@as_json
def sync_command(
    name: str | None,
    prefix: Path | None,
    path: Path | None,
    machine: str | None,
    offline: bool,
    dry_run: bool,
    drop_foreign: bool,
    override_frozen: bool,
    as_json: bool,
) -> int:
    """Make the environment -n NAME or -p PATH that of the `gpuenv.lock` here or above; `.venv` beside it by default.

    It gets the plan that the lock holds for this machine, with exactly the files that were locked. What was installed
    there with another tool stays as long as the environment need not change.
    """
    place = chosen_prefix(name, prefix) if name is not None or prefix is not None else None
    named = (machine,) if machine is not None else ()
    with Progress() as progress:
        report = gpuenv.sync(
            start=Path.cwd(),
            path=path,
            prefix=place,
            machine=chosen_machine(machine) if is_elsewhere(named) else None,
            offline=offline,
            dry_run=dry_run,
            drop_foreign=drop_foreign,
            override_frozen=override_frozen,
            report=progress,
        )
    if as_json:
        click.echo(to_json(report))
    else:
        _show(report, name)
    return 0


def _show(report: SyncReport, name: str | None) -> None:
    prefix = _shown_path(report.prefix)
    with page() as out:
        if report.state is not SyncState.UNCHANGED:
            _show_changes(out, report.changes)
        for note in report.notes:
            out.print(hanging("note: ", note))
        match report.state:
            case SyncState.UNCHANGED:
                out.print(f"{prefix} is as the lock says; nothing to do.")
            case SyncState.WOULD_CREATE:
                out.print(f"{prefix} would be made; nothing was done.")
            case SyncState.WOULD_CHANGE:
                out.print(f"{prefix} would change; nothing was done.")
            case _:
                option = f"-n {name}" if name else f"-p {shlex.quote(prefix)}"
                out.print(f"{prefix} is as the lock says now, with Python {report.plan.python}. Use it:")
                out.print(f"  gpuenv run {option} python")
                out.print(f"  gpuenv shell {option}")


def _show_changes(out: Console, changes: tuple[PackageChange, ...]) -> None:
    table = plain_table("", "", "")
    for change in changes[:_MOST_SHOWN]:
        mark = "+" if change.before is None else "-" if change.after is None else "~"
        table.add_row(mark, change.name, " -> ".join(filter(None, (change.before, change.after))))
    if changes:
        out.print(table)
    else:
        out.print("The packages stay as they are.")


def _shown_path(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
