"""Writes `docs/commands.md` from the commands themselves: `python scripts/write_commands_page.py`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gpuenv.cli.main import cli

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
HEAD = """\
# Commands

<!-- Made by `python scripts/write_commands_page.py` from the help texts in src/gpuenv/cli: do not edit. -->

Every command shows this with `--help`. What it tells goes to standard output, what went wrong and progress to standard
error. The exit code is 0 for yes or done, 1 where the answer is no, 2 where the question is wrong, 3 where it could
not be found out, 70 for a defect of gpuenv and 130 after Ctrl-C; `gpuenv run` ends with the code of its command.

What a SPEC may be is in [Specs](specs.md), what a MACHINE may be in [Machines](machines.md).
"""


def every_command() -> Iterator[click.Context]:
    """The command itself and all below it, each as the context that its help is written in."""
    yield from _walk(click.Context(cli, info_name="gpuenv", **cli.context_settings))


def _walk(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _walk(click.Context(command, parent=context, info_name=name))


def commands_page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(line for context in every_command() for line in _entry(context))])


def _entry(context: click.Context) -> Iterator[str]:
    command = context.command
    yield f"## {context.command_path}"
    yield ""
    yield "```text"
    yield " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield "```"
    yield ""
    yield inspect.cleandoc(command.help or "")
    yield ""
    options = (parameter for parameter in command.get_params(context) if isinstance(parameter, click.Option))
    records = (option.get_help_record(context) for option in options)
    yield from (f"- `{names}`: {' '.join(text.split())}" for names, text in filter(None, records))
    yield ""


def main() -> int:
    """Writes the page."""
    PAGE.write_text(commands_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
