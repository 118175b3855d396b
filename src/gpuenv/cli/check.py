"""`gpuenv check`: whether packages run on machines, before they are installed."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.channel_option import channel_option
from gpuenv.cli.check_text import show_check
from gpuenv.cli.failure import show_problem
from gpuenv.cli.options import (
    as_json,
    chosen_machines,
    chosen_place,
    environment_options,
    looking_options,
    python_option,
    verbose_option,
)
from gpuenv.cli.progress import Progress
from gpuenv.model import CheckReport, Verdict, to_json

__all__ = ["check_command"]

_COULD_NOT_TELL = 3


@click.command("check", short_help="Say whether packages run on this machine or others; download nothing.")
@click.argument("targets", nargs=-1, metavar="TARGET...")
@click.option(
    "--machine",
    "-m",
    "machines",
    multiple=True,
    metavar="MACHINE",
    help="A machine to check for, once for each: a file, or `gpu=RTX5090,driver=570.133.07`. Default: this one.",
)
@channel_option
@environment_options
@python_option
@click.option("--strict", is_flag=True, help="Exit with 1 for `degraded`, too.")
@looking_options
@verbose_option
@as_json
def check_command(
    targets: tuple[str, ...],
    channels: tuple[str, ...],
    machines: tuple[str, ...],
    name: str | None,
    prefix: Path | None,
    python: str | None,
    strict: bool,
    no_cache: bool,
    offline: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Say whether each TARGET runs on each MACHINE, and why. TARGETs are those of `gpuenv inspect`.

    Exit code 0: each works, or works with limits (degraded). 1: one fails. 3: for one it is unknown.
    """
    place = chosen_place(targets, name, prefix)
    chosen = chosen_machines(machines)
    with Progress() as progress:
        report = gpuenv.check_targets(
            targets,
            machines=chosen,
            prefix=place,
            python=python,
            channels=channels,
            cache=not no_cache,
            offline=offline,
            report=progress,
        )
    if as_json:
        click.echo(to_json(report))
    else:
        show_check(report, chosen, verbose=verbose)
    for problem in report.problems:
        show_problem(problem, verbose=verbose)
    return _exit_code(report, strict=strict)


def _exit_code(report: CheckReport, *, strict: bool) -> int:
    """What could not be looked at is told before the answer about the rest, which is no answer to the question."""
    if report.problems:
        return max(problem.exit_code for problem in report.problems)
    refused = {Verdict.FAILS, Verdict.DEGRADED} if strict else {Verdict.FAILS}
    verdicts = {answer.verdict for row in report.rows for answer in row.answers if answer}
    if refused & verdicts:
        return 1
    return _COULD_NOT_TELL if Verdict.UNKNOWN in verdicts else 0
