"""`gpuenv env list` and `gpuenv env remove`: whole environments."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.frozen_option import frozen_option
from gpuenv.cli.list import show_environments
from gpuenv.cli.options import as_json, chosen_prefix, environment_options

__all__ = ["env_command"]


@click.group("env", short_help="List or remove whole environments.")
def env_command() -> None:
    """List or remove whole environments."""


@env_command.command("list")
@as_json
def env_list(as_json: bool) -> int:
    """List the environments."""
    return show_environments(as_json=as_json)


@env_command.command("remove")
@environment_options
@frozen_option
def env_remove(name: str | None, prefix: Path | None, override_frozen: bool) -> int:
    """Remove the environment -n NAME or -p PATH with all that is in it."""
    if name is None and prefix is None:
        # The active environment is not taken for granted when everything in it would go.
        raise click.UsageError("say which environment to remove: -n NAME or -p PATH")
    place = chosen_prefix(name, prefix)
    gpuenv.remove(place, override_frozen=override_frozen)
    click.echo(f"removed {name or prefix}", err=True)
    return 0
