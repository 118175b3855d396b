"""`gpuenv plan --format`: the plan as commands for people who keep their own tool."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

import gpuenv
from gpuenv.cli.text import paint
from gpuenv.errors import RequestError
from gpuenv.model import PlanSet

__all__ = ["format_options", "show_commands"]

_FORMATS = ("uv", "pip", "conda")


def format_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--format` and `--hashes`."""
    form = click.option(
        "--format", "-f", "form", type=click.Choice(_FORMATS), help="Print only commands for that tool to paste."
    )
    hashes = click.option("--hashes", is_flag=True, help="With --format: pin the files themselves.")
    return form(hashes(function))


def show_commands(found: PlanSet, form: str, *, hashes: bool) -> None:
    """Print commands and nothing else; what is to be known about them goes to standard error.

    RequestError where there are several plans, since commands make one environment.
    """
    if len(found.plans) > 1:
        raise RequestError(
            f"the machines need {len(found.plans)} plans, and commands make one environment",
            reasons=found.reasons,
            hints=("ask for one of the machines at a time",),
        )
    commands = gpuenv.commands(found.plans[0], gpuenv.CommandFormat(form), hashes=hashes)
    click.echo(commands.text, nl=False)
    for note in commands.notes:
        click.echo(f"{paint('note:', 'cyan', err=True)} {note}", err=True)
