"""`gpuenv create`: plan, and make the environment."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

import gpuenv
from gpuenv.cli.frozen_option import frozen_option
from gpuenv.cli.imports import import_options, refuse_nothing, with_file, with_notes
from gpuenv.cli.options import (
    ChosenSources,
    as_json,
    channel_options,
    chosen_machine,
    chosen_prefix,
    chosen_request,
    environment_options,
    machine_option,
    policy_options,
    python_option,
    verbose_option,
)
from gpuenv.cli.plan_text import show_done
from gpuenv.cli.progress import Progress
from gpuenv.model import to_json

__all__ = ["create_command"]


@click.command("create", short_help="Make an environment that fits this machine.")
@click.argument("specs", nargs=-1, metavar="SPEC...")
@import_options
@environment_options
@machine_option
@python_option
@policy_options
@channel_options
@click.option("--force", is_flag=True, help="Put it in the place of an environment that is there.")
@frozen_option
@verbose_option
@as_json
def create_command(
    specs: tuple[str, ...],
    file: Path | None,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    name: str | None,
    prefix: Path | None,
    machine: str | None,
    python: str | None,
    gpu: str,
    allow_degraded: bool,
    index_policy: str,
    sources: ChosenSources,
    force: bool,
    override_frozen: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Make the environment -n NAME or -p PATH with SPEC... in builds that run on this machine (or --machine).

    All or nothing: when it is stopped half-way, nothing is left.
    """
    refuse_nothing(specs, file)
    place = chosen_prefix(name, prefix)
    here = chosen_machine(machine)
    asked = chosen_request(
        specs, python=python, gpu=gpu, allow_degraded=allow_degraded, index_policy=index_policy, sources=sources
    )
    request, notes = with_file(asked, file, extras=extras, groups=groups, machines=(here,))
    with Progress() as progress:
        change = gpuenv.create_environment(
            request,
            place,
            machine=here,
            report=progress,
            force=force,
            override_frozen=override_frozen,
        )
    plan = with_notes(change.environment.plan, (*notes, *change.notes))
    if as_json:
        click.echo(to_json(plan))
        return 0
    show_done(plan, explained=True, verbose=verbose)
    where = str(prefix) if prefix else str(place)
    option = f"-p {shlex.quote(str(prefix))}" if prefix else f"-n {name or place.name}"
    click.echo(f"The environment is at {where}. Use it:")
    click.echo(f"  gpuenv run {option} python")
    click.echo(f"  gpuenv shell {option}")
    return 0
