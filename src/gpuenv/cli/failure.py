"""How errors look: the conclusion, a line per reason, then hints; on standard error, or as JSON on standard output."""

from __future__ import annotations

import click

from gpuenv.cli.text import paint, printable
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
    click.echo(f"{paint('error:', 'red', err=True)} {printable(body.message)}", err=True)
    for reason in body.reasons:
        click.echo(f"  {printable(reason)}", err=True)
    if verbose and body.details:
        click.echo("in the solver's own words:", err=True)
        for line in body.details.splitlines():
            click.echo(f"  {line}", err=True)
    for hint in body.hints:
        click.echo(f"{paint('hint:', 'cyan', err=True)} {hint}", err=True)
