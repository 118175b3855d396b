"""`gpuenv explain`: why each build and not another, down to what was read, and what would change the answer."""

from __future__ import annotations

from pathlib import Path

import click

import gpuenv
from gpuenv.cli.explain_text import show_explanations
from gpuenv.cli.options import (
    ChosenSources,
    as_json,
    channel_options,
    chosen_machines,
    chosen_prefix,
    chosen_request,
    environment_options,
    is_elsewhere,
    looking_options,
    machines_option,
    policy_options,
    python_option,
)
from gpuenv.cli.progress import Progress
from gpuenv.model import PlanSet, to_json

__all__ = ["explain_command"]


@click.command("explain", short_help="Say why a plan is as it is, and what would change it.")
@click.argument("specs", nargs=-1, metavar="[SPEC...]")
@environment_options
@machines_option
@python_option
@policy_options
@channel_options
@looking_options
@as_json
def explain_command(
    specs: tuple[str, ...],
    name: str | None,
    prefix: Path | None,
    machines: tuple[str, ...],
    python: str | None,
    gpu: str,
    allow_degraded: bool,
    index_policy: str,
    sources: ChosenSources,
    no_cache: bool,
    offline: bool,
    as_json: bool,
) -> int:
    """Say for each package of a plan for SPEC... which build was chosen, why each newer one was passed over with the
    numbers that decided, what was looked into, and which single change would alter the answer most.

    Without SPEC it is the plan that an environment (-n or -p) was made from.
    """
    if specs:
        request = chosen_request(
            specs, python=python, gpu=gpu, allow_degraded=allow_degraded, index_policy=index_policy, sources=sources
        )
        with Progress() as progress:
            found = gpuenv.explain_plans(
                request,
                chosen_machines(machines),
                interpreters=() if is_elsewhere(machines) else gpuenv.find_interpreters(),
                report=progress,
                cache=not no_cache,
                offline=offline,
            )
    else:
        found = PlanSet(plans=(gpuenv.load(chosen_prefix(name, prefix)).plan,))
    if as_json:
        click.echo(to_json(found if len(machines) > 1 else found.plans[0]))
    else:
        show_explanations(found)
    return 0
