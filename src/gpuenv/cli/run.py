"""`gpuenv run` and `gpuenv shell`: use an environment."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.options import chosen_prefix, environment_options
from gpuenv.cli.progress import Progress

__all__ = ["run_command", "shell_command"]


@click.command(
    "run",
    short_help="Run a command in an environment.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@environment_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def run_command(name: str | None, prefix: Path | None, command: tuple[str, ...]) -> int:
    """Run COMMAND... in the environment -n NAME, -p PATH or the active one, and end with its exit code."""
    return gpuenv.run_in(chosen_prefix(name, prefix), command)


@click.command("shell", short_help="Open a shell in an environment.")
@environment_options
def shell_command(name: str | None, prefix: Path | None) -> int:
    """Open your shell with the environment -n NAME or -p PATH active; `exit` leaves it."""
    with Progress() as progress:
        return gpuenv.shell_in(chosen_prefix(name, prefix), report=progress)
