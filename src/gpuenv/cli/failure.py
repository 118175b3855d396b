"""How errors look: the conclusion, a line per reason, then hints; on standard error, or as JSON on standard output."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click

from gpuenv.cli.text import WIDEST, paint, printable
from gpuenv.errors import GpuenvError
from gpuenv.model import ErrorBody, ErrorDocument, to_json

__all__ = ["show_failure", "show_problem", "show_usage_error"]


def show_failure(error: GpuenvError, *, as_json: bool, verbose: bool) -> None:
    """Print an error of ours."""
    body = ErrorBody.of(error)
    if as_json:
        click.echo(to_json(ErrorDocument(error=body)))
    _print(body, verbose=verbose)


def show_problem(problem: ErrorBody, *, verbose: bool) -> None:
    """Print one of several things that went wrong, beside the answers."""
    _print(problem, verbose=verbose)


def show_usage_error(error: click.ClickException, *, as_json: bool) -> None:
    """Print what is wrong with the words of the command line."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "gpuenv"
    message = error.format_message().rstrip(".")
    body = ErrorBody(
        code="usage", exit_code=2, message=message[:1].lower() + message[1:], hints=(f"see `{path} --help`",)
    )
    if as_json:
        click.echo(to_json(ErrorDocument(error=body)))
    _print(body, verbose=False)


def _print(body: ErrorBody, *, verbose: bool) -> None:
    _say("error:", body.message, colour="red")
    for reason in body.reasons:
        _say("", reason)
    if verbose and body.details:
        click.echo("in the solver's own words:", err=True)
        for line in body.details.splitlines():
            click.echo(f"  {line}", err=True)
    for hint in body.hints:
        click.echo(f"{paint('hint:', 'cyan', err=True)} {hint}", err=True)


def _say(first: str, text: str, *, colour: str = "") -> None:
    """`text` after the word `first`, or indented; on a terminal in lines that fit. Hints are left as they are, since
    commands that were broken up could not be copied.
    """
    lead = f"{first} " if first else "  "
    shown = printable(text)
    if sys.stderr.isatty():
        width = min(shutil.get_terminal_size().columns, WIDEST) - len(lead)
        lines = textwrap.wrap(shown, max(width, 20), break_long_words=False, break_on_hyphens=False)
        shown = f"\n{' ' * len(lead)}".join(lines)
    click.echo(f"{paint(first, colour, err=True)} {shown}" if first else f"{lead}{shown}", err=True)
