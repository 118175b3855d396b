"""`gpuenv plan`: what would be installed, and why."""

from __future__ import annotations

import click

import gpuenv
from gpuenv.cli.options import as_json, chosen_machine, is_elsewhere, machine_option, python_option, verbose_option
from gpuenv.cli.plan_text import show_plan
from gpuenv.cli.progress import Progress
from gpuenv.model import Request, to_json

__all__ = ["plan_command"]


@click.command("plan", short_help="Print what would be installed, and why; download nothing.")
@click.argument("specs", nargs=-1, required=True, metavar="SPEC...")
@machine_option
@python_option
@verbose_option
@as_json
def plan_command(specs: tuple[str, ...], machine: str | None, python: str | None, verbose: bool, as_json: bool) -> int:
    """Print what would be installed for SPEC..., and why each build was chosen. Nothing is downloaded.

    A SPEC is conda's (pytorch, tensorflow=2.19=gpu_*, "cupy>=13", cudatoolkit=12.1) or Python's ("jax[cuda12]").
    """
    interpreters = () if is_elsewhere(machine) else gpuenv.find_interpreters()
    with Progress() as progress:
        plan = gpuenv.make_plan(
            Request(specs=specs, python=python), chosen_machine(machine), interpreters=interpreters, report=progress
        )
    if as_json:
        click.echo(to_json(plan))
    else:
        show_plan(plan, verbose=verbose, last="Nothing was downloaded." if verbose else "`-v` lists every wheel.")
    return 0
