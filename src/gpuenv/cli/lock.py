"""`gpuenv lock`: decide for all machines of a project, and write it down."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import msgspec
from click.core import ParameterSource

import gpuenv
from gpuenv import settings
from gpuenv.cli.imports import divided_channels, import_options
from gpuenv.cli.options import (
    ChosenSources,
    as_json,
    channel_options,
    chosen_request,
    machines_option,
    policy_options,
    python_option,
    said_policies,
)
from gpuenv.cli.progress import Progress
from gpuenv.cli.text import bytes_in_words, hanging, page, plain_table, verdict_text
from gpuenv.model import Lock, LockReport, LockState, Plan, PlannedPackage, to_json

__all__ = ["lock_command"]

_SAID = {
    LockState.WRITTEN: "written",
    LockState.UNCHANGED: "up to date already; it was left as it is",
    LockState.CURRENT: "up to date",
    LockState.STALE: "not up to date",
}


@click.command("lock", short_help="Write a plan for a project's machines to `gpuenv.lock`.")
@click.argument("specs", nargs=-1, metavar="[SPEC]...")
@machines_option
@import_options
@python_option
@policy_options
@channel_options
@click.option("--lock", "path", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Which lock.")
@click.option("--check", is_flag=True, help="Only say whether the lock is up to date: exit code 0 or 1.")
@click.option("--upgrade", is_flag=True, help="Take the newest of everything, and keep nothing of the old lock.")
@as_json
def lock_command(
    specs: tuple[str, ...],
    machines: tuple[str, ...],
    file: Path | None,
    extras: tuple[str, ...],
    groups: tuple[str, ...],
    python: str | None,
    gpu: str,
    allow_degraded: bool,
    index_policy: str,
    sources: ChosenSources,
    path: Path | None,
    check: bool,
    upgrade: bool,
    as_json: bool,
) -> int:
    """Decide for SPEC..., or for what the `gpuenv.toml` here or above asks for, on all machines; write `gpuenv.lock`.

    Nothing is installed: `gpuenv sync` does that. Versions of an existing lock stay where they still fit. A machine
    named with -m is added to those of the `gpuenv.toml` or of the lock; a policy that is named counts from now on.
    """
    request = chosen_request(
        specs, python=python, gpu=gpu, allow_degraded=allow_degraded, index_policy=index_policy, sources=sources
    )
    named, further = divided_channels(request.channels)
    options = gpuenv.LockOptions(
        request=msgspec.structs.replace(request, channels=named),
        machines=machines,
        usual_machine=settings.variable("GPUENV_MACHINE") or None,
        file=file,
        extras=extras,
        groups=groups,
        said=said_policies() | _said_sources(),
        further_channels=further,
    )
    with Progress() as progress:
        if check:
            report = gpuenv.check_lock(options, start=Path.cwd(), path=path, report=progress)
        else:
            report = gpuenv.lock(options, start=Path.cwd(), path=path, upgrade=upgrade, report=progress)
    if as_json:
        click.echo(to_json(report))
    else:
        _show(report)
    return 1 if report.state is LockState.STALE else 0


def _said_sources() -> frozenset[str]:
    """The fields of a request that the user said by `channel_options`."""
    context = click.get_current_context()
    options = {"channels": "channels", "override_channels": "channels", "only": "sources"}
    given = (name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    return frozenset(options[name] for name in given)


def _show(report: LockReport) -> None:
    with page() as out:
        if report.state is not LockState.STALE:
            _show_plans(report.lock)
        out.print(f"{_shown_path(report.path)} is {_SAID[report.state]}.")
        for reason in report.reasons:
            out.print(hanging("  ", reason))
        for note in report.notes:
            out.print(hanging("note: ", note))
        if report.state is LockState.STALE:
            option = (
                "" if Path(report.path).name == "gpuenv.lock" else f" --lock {shlex.quote(_shown_path(report.path))}"
            )
            out.print(hanging("hint: ", f"bring it up to date: `gpuenv lock{option}`"))


def _show_plans(lock: Lock) -> None:
    with page() as out:
        for number, one in enumerate(lock.plans, 1):
            plan = one.plan
            names = ", ".join(dict.fromkeys(machine.name for machine in plan.machines))
            out.print(hanging(f"plan {number} for " if len(lock.plans) > 1 else "for ", names))
            table = plain_table("", "", "", "", "")
            for package in _main_packages(plan):
                where = "GPU" if package.gpu else ""
                verdict = verdict_text(package.verdict)
                table.add_row(f"  {package.name}", package.version, package.build, where, verdict)
            out.print(table)
            sizes = (*(one.size_bytes for one in plan.conda), *(one.size_bytes for one in plan.wheels))
            size = sum(one or 0 for one in sizes)
            out.print(f"  Python {plan.python}, {_files(plan)}, {bytes_in_words(size)}")
        for reason in lock.reasons:
            out.print(hanging("note: ", reason))
        out.print()


def _files(plan: Plan) -> str:
    counts = ((len(plan.conda), "conda package"), (len(plan.wheels), "wheel"))
    told = [f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts if count or name == "wheel"]
    return ", ".join(told if plan.wheels or not plan.conda else told[:1])


def _main_packages(plan: Plan) -> list[PlannedPackage]:
    asked = {choice.package for choice in plan.explanation.choices}
    return [package for package in plan.packages if package.gpu or package.name in asked]


def _shown_path(path: str) -> str:
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path
