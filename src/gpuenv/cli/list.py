"""`gpuenv list`: environments, or the packages of one with their build, source, GPU support and verdict."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv import settings
from gpuenv.cli.options import as_json, chosen_prefix, environment_options
from gpuenv.cli.text import hanging, page, plain_table, verdict_text
from gpuenv.model import EnvironmentList, EnvironmentRow, GpuSupport, PackageList, to_json

__all__ = ["list_command", "show_environments"]


@click.command("list", short_help="List environments, or the packages of one.")
@environment_options
@as_json
def list_command(name: str | None, prefix: Path | None, as_json: bool) -> int:
    """List the environments, or the packages of the one that -n NAME or -p PATH names."""
    if name is None and prefix is None:
        return show_environments(as_json=as_json)
    place = chosen_prefix(name, prefix)
    packages = gpuenv.list_packages(place)
    problems = gpuenv.load(place).conda_problems
    if as_json:
        click.echo(to_json(PackageList(prefix=str(place), packages=packages, problems=problems)))
        return 0
    table = plain_table("package", "version", "build", "source", "uses a GPU", "verdict")
    any_on_gpu = any(package.gpu for package in packages)
    for package in packages:
        support = package.gpu_support
        # What computes through another package does so where that one does.
        on_gpu = package.gpu or (support is GpuSupport.THROUGH and any_on_gpu)
        shown = "" if support in {None, GpuSupport.NONE} else f"{support.value}{'' if on_gpu else ' (on CPU)'}"
        verdict = verdict_text(package.verdict) if package.verdict else ""
        table.add_row(package.name, package.version, package.build or "", package.source, shown, verdict)
    with page() as out:
        out.print(table)
        for problem in problems:
            out.print(hanging("note: ", problem))
    return 0


def show_environments(*, as_json: bool) -> int:
    """Print the named environments: where they are, for which machine, what was asked for."""
    directory = settings.data_directory()
    rows = tuple(
        EnvironmentRow(
            name=found.prefix.name,
            prefix=str(found.prefix),
            python=found.environment.plan.python if found.environment else None,
            specs=found.environment.plan.request.specs if found.environment else (),
            problem=found.problem,
        )
        for found in gpuenv.find_environments(directory)
    )
    if as_json:
        click.echo(to_json(EnvironmentList(environments=rows)))
    elif not rows:
        click.echo(f"There is no environment in {directory}. Make one: `gpuenv create -n NAME SPEC...`")
    else:
        table = plain_table("name", "python", "asked for", "")
        for row in rows:
            table.add_row(row.name, row.python or "", " ".join(row.specs), row.problem or "")
        with page() as out:
            out.print(table)
    return 0
