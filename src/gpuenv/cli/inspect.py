"""`gpuenv inspect`: what GPU code packages carry, and what that asks of a machine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

import gpuenv
from gpuenv.cli.artifact_text import show_inspection, summary_row, support_in_words
from gpuenv.cli.channel_option import channel_option
from gpuenv.cli.failure import show_problem
from gpuenv.cli.options import (
    as_json,
    chosen_place,
    environment_options,
    looking_options,
    python_option,
    verbose_option,
)
from gpuenv.cli.progress import Progress
from gpuenv.cli.text import hanging, page, plain_table, printable
from gpuenv.model import InspectionReport, to_json

__all__ = ["inspect_command"]


@click.command("inspect", short_help="Show which GPUs a package has code for, without installing it.")
@click.argument("targets", nargs=-1, metavar="TARGET...")
@channel_option
@environment_options
@click.option("--platform", metavar="PLATFORM", help="Builds for another system, such as windows-x86_64.")
@python_option
@click.option("--summary", is_flag=True, help="One line for each package.")
@looking_options
@verbose_option
@as_json
def inspect_command(
    targets: tuple[str, ...],
    channels: tuple[str, ...],
    name: str | None,
    prefix: Path | None,
    platform: str | None,
    python: str | None,
    summary: bool,
    no_cache: bool,
    offline: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Show which GPUs each TARGET has machine code for, which CUDA and driver it needs, and how that is known.

    A TARGET is a package on the index (torch, "torch==2.15.0", a wheel's file name) or in a conda channel (with -c, or
    conda-forge::numba=0.58), a file (.whl, .conda, .tar.bz2, .so, .dll, .cubin, .fatbin), an address, a directory with
    an environment, or a list: requirements.txt, pylock.toml, uv.lock, environment.yml, conda-lock.yml, pixi.lock. With
    -n or -p the targets are packages of that environment, all of them when none is named.
    """
    place = chosen_place(targets, name, prefix)
    with Progress() as progress:
        report = gpuenv.inspect_targets(
            targets,
            prefix=place,
            platform=platform,
            python=python,
            channels=channels,
            cache=not no_cache,
            offline=offline,
            report=progress,
        )
    if as_json:
        click.echo(to_json(report))
    else:
        _show(report, summary=summary, verbose=verbose)
    for problem in report.problems:
        show_problem(problem, verbose=verbose)
    return max((problem.exit_code for problem in report.problems), default=0)


def _show(report: InspectionReport, *, summary: bool, verbose: bool) -> None:
    with page() as out:
        # Of a list of many packages those that have nothing to do with a GPU are only counted.
        many = len(report.artifacts) > 1 and not verbose
        shown = [one for one in report.artifacts if not many or support_in_words(one.needs) != "no"]
        if len(report.artifacts) == 2:
            shown = list(report.artifacts)
        if summary:
            table = plain_table("package", "uses a GPU", "CUDA", "runs on")
            listed = report.artifacts if verbose else shown
            counts = Counter(one.artifact.subject for one in listed)
            for one in listed:
                # Wheels of one package (`dist`) are told apart by their files.
                name = one.artifact.filename if counts[one.artifact.subject] > 1 else None
                table.add_row(*summary_row(one, name=name))
            if table.row_count:
                out.print(table)
        else:
            for number, inspection in enumerate(shown):
                if number:
                    out.print()
                show_inspection(out, inspection, verbose=verbose)
        for note in report.notes:
            out.print(hanging("note: ", printable(note)))
        left = len(report.artifacts) - len(shown)
        if not (report.artifacts or report.problems):
            out.print("nothing to inspect: there is no package in it")
        elif report.artifacts and not shown:
            out.print(f"none of the {left} packages uses a GPU; `-v` shows them")
        elif left:
            out.print()
            out.print(f"{left} more {'uses' if left == 1 else 'use'} no GPU; `-v` shows them.")
