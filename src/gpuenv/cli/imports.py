"""`-r FILE`: take what is asked for from the file of another tool."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

import gpuenv
from gpuenv.model import Machine, Plan, Request

__all__ = ["divided_channels", "import_options", "refuse_nothing", "with_file", "with_notes"]


def import_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`-r FILE`, and which extras and groups of it."""
    file = click.option(
        "--requirements",
        "-r",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A requirements.txt, pyproject.toml, environment.yml, pixi.toml, pylock.toml or explicit list to read.",
    )
    extras = click.option("--extra", "extras", multiple=True, metavar="NAME", help="An extra of that pyproject.toml.")
    groups = click.option(
        "--group",
        "groups",
        multiple=True,
        metavar="NAME",
        help="A group of that pyproject.toml, or a feature for pixi.",
    )
    return file(extras(groups(function)))


def refuse_nothing(specs: tuple[str, ...], file: Path | None) -> None:
    """A usage error where neither a package nor a file is named."""
    if not specs and file is None:
        raise click.UsageError("Missing argument 'SPEC...'.", click.get_current_context())


def with_file(
    request: Request,
    file: Path | None,
    *,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    machines: tuple[Machine, ...],
) -> tuple[Request, tuple[str, ...]]:
    """The request with what the file asks for, and what there is to know of it."""
    if file is None:
        if extras or groups:
            raise click.UsageError("`--extra` and `--group` belong to `-r FILE`", click.get_current_context())
        return request, ()
    named, further = divided_channels(request.channels)
    request, notes = gpuenv.request_with_file(
        msgspec.structs.replace(request, channels=named),
        file,
        further_channels=further,
        extras=extras,
        groups=groups,
        machines=machines,
        offline=bool(click.get_current_context().params.get("offline")),
    )
    return request, tuple(f"`{file}`: {note}" for note in notes)


def divided_channels(channels: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The channels that `-c` named, and those of the user's configuration after them."""
    count = len(dict.fromkeys(click.get_current_context().params.get("channels", ())))
    return channels[:count], channels[count:]


def with_notes(plan: Plan, notes: tuple[str, ...]) -> Plan:
    """The plan with further notes, before its own."""
    explanation = msgspec.structs.replace(plan.explanation, notes=(*notes, *plan.explanation.notes))
    return msgspec.structs.replace(plan, explanation=explanation) if notes else plan
