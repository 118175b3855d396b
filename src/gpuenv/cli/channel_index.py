"""`gpuenv channel index`: writes the index of a channel's packages."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.channel_text import show_index
from gpuenv.cli.failure import show_problem
from gpuenv.cli.options import as_json, verbose_option
from gpuenv.cli.progress import Progress
from gpuenv.model import to_json

__all__ = ["index_command"]


@click.command("index", short_help="Write the index of a channel's packages.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--zst/--no-zst", default=True, show_default=True, help="Write repodata.json.zst as well.")
@click.option("--shards/--no-shards", help="Write sharded repodata as well.")
@verbose_option
@as_json
def index_command(directory: Path, zst: bool, shards: bool, verbose: bool, as_json: bool) -> int:
    """Write repodata.json and run_exports.json for the packages in DIRECTORY, a channel with linux-64 and noarch.

    Packages that are broken, or are not what their name says, are left out and named; then the exit code is 1.
    """
    with Progress() as progress:
        report = gpuenv.index_channel(directory, zst=zst, shards=shards, report=progress)
    if as_json:
        click.echo(to_json(report))
    else:
        show_index(report)
    for problem in report.problems:
        show_problem(problem, verbose=verbose)
    return 1 if report.problems else 0
