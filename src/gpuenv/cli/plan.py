"""`gpuenv plan`: what would be installed, and why."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

import gpuenv
from gpuenv.cli.imports import import_options, refuse_nothing, with_file, with_notes
from gpuenv.cli.options import (
    ChosenSources,
    as_json,
    channel_options,
    chosen_machines,
    chosen_request,
    is_elsewhere,
    looking_options,
    machines_option,
    policy_options,
    python_option,
    verbose_option,
)
from gpuenv.cli.plan_format import format_options, show_commands
from gpuenv.cli.plan_text import show_plans
from gpuenv.cli.progress import Progress
from gpuenv.model import to_json

__all__ = ["plan_command"]


@click.command("plan", short_help="Print what would be installed, and why; install nothing.")
@click.argument("specs", nargs=-1, metavar="SPEC...")
@import_options
@machines_option
@python_option
@policy_options
@channel_options
@looking_options
@format_options
@verbose_option
@as_json
def plan_command(
    specs: tuple[str, ...],
    file: Path | None,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    machines: tuple[str, ...],
    python: str | None,
    gpu: str,
    allow_degraded: bool,
    index_policy: str,
    sources: ChosenSources,
    no_cache: bool,
    offline: bool,
    form: str | None,
    hashes: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Print what would be installed for SPEC..., and why each build was chosen. Nothing is installed.

    A SPEC is conda's (pytorch, tensorflow=2.19=gpu_*, "cupy>=13", cudatoolkit=12.1) or Python's ("jax[cuda12]").
    For several machines it is one plan where there is one for all, else the fewest that cover them.
    """
    refuse_nothing(specs, file)
    if (form and as_json) or (hashes and not form):
        what = "--format prints commands and --json data: give one of them" if form else "--hashes is for --format"
        raise click.UsageError(what, click.get_current_context())
    request = chosen_request(
        specs, python=python, gpu=gpu, allow_degraded=allow_degraded, index_policy=index_policy, sources=sources
    )
    interpreters = () if is_elsewhere(machines) else gpuenv.find_interpreters()
    named = chosen_machines(machines)
    request, notes = with_file(request, file, extras=extras, groups=groups, machines=named)
    with Progress() as progress:
        found = gpuenv.make_plans(
            request,
            named,
            interpreters=interpreters,
            report=progress,
            cache=not no_cache,
            offline=offline,
        )
    found = msgspec.structs.replace(found, plans=tuple(with_notes(plan, notes) for plan in found.plans))
    if form:
        show_commands(found, form, hashes=hashes)
    elif as_json:
        click.echo(to_json(found if len(machines) > 1 else found.plans[0]))
    else:
        each = "package" if any(plan.conda for plan in found.plans) else "wheel"
        last = "Nothing was installed." if verbose else f"`-v` lists every {each}."
        show_plans(found, verbose=verbose, last=last)
    return 0
