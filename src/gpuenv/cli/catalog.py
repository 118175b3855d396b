"""`gpuenv catalog`: how old the catalog is, to renew it, and to read it again."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv import settings
from gpuenv.cli.catalog_text import show_status, show_update, show_verification
from gpuenv.cli.failure import show_problem
from gpuenv.cli.options import as_json, verbose_option
from gpuenv.cli.progress import Progress
from gpuenv.model import CatalogUpdate, to_json

__all__ = ["catalog_command"]

_budget_option = click.option(
    "--budget",
    type=click.FloatRange(min=0),
    default=settings.CATALOG_BUDGET_GB,
    show_default=True,
    metavar="GB",
    help="How many GB of wheels are opened at most; 0 opens none.",
)


@click.group("catalog", short_help="Say how old the catalog is, renew it, or read it again.")
def catalog_command() -> None:
    """The catalog is what gpuenv knows ahead of time: which releases there are and which GPU code is in them."""


@catalog_command.command("status", short_help="Say how much the catalog knows and how old it is.")
@verbose_option
@as_json
def catalog_status(verbose: bool, as_json: bool) -> int:
    """Say how much the catalog knows and how old it is; with -v for each name on the package index."""
    status = gpuenv.catalog_status()
    if as_json:
        click.echo(to_json(status))
    else:
        show_status(status, verbose=verbose)
    return 0


@catalog_command.command("update", short_help="Bring your copy of the catalog up to date.")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@_budget_option
@verbose_option
@as_json
def catalog_update(names: tuple[str, ...], budget: float, verbose: bool, as_json: bool) -> int:
    """Bring your copy of the catalog up to date, for all names or for NAME... (torch, torch==2.10.0).

    New releases are added, and the newest wheels opened for the GPU code in them. Releases that were yanked or are gone
    are marked, and no plan takes them. It may be stopped at any moment; the next update goes on from there.
    """
    with Progress() as progress:
        update = gpuenv.update_catalog(names, budget_gb=budget, report=progress)
    return _tell(update, verbose=verbose, as_json=as_json)


@catalog_command.command("build", short_help="Write the catalog's rows to a directory.")
@click.argument("names", nargs=-1, metavar="[NAME...]")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="DIRECTORY",
    help="Where the files are written; what is in them is kept and brought up to date.",
)
@_budget_option
@click.option("--again", is_flag=True, help="Open wheels again that were opened before.")
@click.option(
    "--second-python",
    is_flag=True,
    help="Then open a wheel for another Python of each newest opened release, and tell what differs.",
)
@verbose_option
@as_json
def catalog_build(
    names: tuple[str, ...],
    output: Path,
    budget: float,
    again: bool,
    second_python: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Write the catalog's rows of all names, or of NAME..., to a directory, as gpuenv's own package has them.

    Wheels are opened in the order of their worth: the newest minor release of each project first. It may be stopped at
    any moment and goes on from there. With --second-python the exit code is 1 where two wheels differ.
    """
    with Progress() as progress:
        update = gpuenv.build_catalog(
            output, names, budget_gb=budget, again=again, second_python=second_python, report=progress
        )
    return _tell(update, verbose=verbose, as_json=as_json)


@catalog_command.command("verify", short_help="Read a release again and compare.")
@click.argument("requirement", metavar="NAME==VERSION")
@verbose_option
@as_json
def catalog_verify(requirement: str, verbose: bool, as_json: bool) -> int:
    """Read a release again, the binaries in its wheels too, and compare with what the catalog says of it.

    The exit code is 0 when it is the same, 1 when something differs, 3 when it could not be read.
    """
    with Progress() as progress:
        found = gpuenv.verify_release(requirement, report=progress)
    if as_json:
        click.echo(to_json(found))
    else:
        show_verification(found)
    for problem in found.problems:
        show_problem(problem, verbose=verbose)
    return {True: 0, False: 1, None: 3}[found.equal]


def _tell(update: CatalogUpdate, *, verbose: bool, as_json: bool) -> int:
    if as_json:
        click.echo(to_json(update))
    else:
        show_update(update, verbose=verbose)
    for problem in update.problems:
        show_problem(problem, verbose=verbose)
    return 3 if update.problems else 1 if update.differences else 0
