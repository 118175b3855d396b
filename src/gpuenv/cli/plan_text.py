"""A plan as text: the machine, the packages, why each build was chosen, and how much there is to download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

import gpuenv
from gpuenv.cli.describe import machine_line
from gpuenv.cli.text import bytes_in_words, hanging, heading, indented, page, plain_table, verdict_text
from gpuenv.model import Choice, GpuSupport, Plan, PlannedPackage, Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_done", "show_plan"]

_MOST_REASONS = 4
# Packages that use a GPU themselves, not through another one.
_OWN = {GpuSupport.COMPILE_TIME, GpuSupport.RUN_TIME}


def show_plan(plan: Plan, *, verbose: bool, last: str) -> None:
    """Print a plan that is still to be carried out; `verbose` adds every wheel and every rule's word.

    `last` ends the line that says how much there is to download.
    """
    with page() as out:
        out.print(hanging("for ", f"{machine_line(plan.machine)}, Python {plan.python}"))
        out.print()
        _show_packages(out, plan)
        out.print()
        _show_choices(out, plan, verbose=verbose)
        if verbose:
            _show_findings(out, plan)
            _show_wheels(out, plan)
        _show_notes(out, plan)
        for hint in plan.explanation.hints:
            out.print(hanging("hint: ", hint))
        out.print(f"{_count(plan)} to download. {last}")


def show_done(plan: Plan, *, explained: bool, verbose: bool) -> None:
    """Print a plan that was carried out; `explained` tells why each build was chosen, too."""
    with page() as out:
        _show_packages(out, plan)
        out.print()
        if explained or verbose:
            _show_choices(out, plan, verbose=verbose)
        if verbose:
            _show_findings(out, plan)
        if explained:
            _show_notes(out, plan)
        out.print(f"{_count(plan)}, for Python {plan.python}.")


def _show_packages(out: Console, plan: Plan) -> None:
    """The packages that were asked for or could run on a GPU, with their builds; then what else was asked for."""
    table = plain_table("package", "version", "build", "runs on", "verdict")
    asked = {choice.package for choice in plan.explanation.choices}
    shown = [package for package in plan.packages if package.gpu_support in _OWN or package.name in asked]
    for package in shown:
        where = _runs_on(package)
        table.add_row(package.name, package.version, package.build, where, verdict_text(package.verdict))
    versions = {wheel.name: wheel.version for wheel in plan.wheels}
    names = (canonicalize_name(gpuenv.spec_name(spec)) for spec in plan.request.specs)
    for name in dict.fromkeys(names):
        if name in versions and name not in {package.name for package in plan.packages}:
            table.add_row(name, versions[name], "", "", "")
    out.print(table)


def _runs_on(package: PlannedPackage) -> str:
    cuda = f"CUDA {package.cuda}" if package.cuda else ""
    if package.gpu:
        return ", ".join(filter(None, ["GPU", cuda]))
    return "CPU" if package.gpu_support in _OWN else cuda


def _show_choices(out: Console, plan: Plan, *, verbose: bool) -> None:
    """Why each build was chosen: what was passed over with the reason, newest first."""
    told = [choice for choice in plan.explanation.choices if choice.passed_over or choice.notes]
    if not told:
        return
    out.print(heading("why"))
    for choice in told:
        package = next(one for one in plan.packages if one.name == choice.package)
        out.print(f"  {package.name} {package.version}")
        for line in _reasons(choice, package.version, verbose=verbose):
            out.print(indented(line, 4))
    out.print()


def _reasons(choice: Choice, chosen: str, *, verbose: bool) -> Iterator[str]:
    groups: list[tuple[list[str], str]] = []
    for passed in choice.passed_over:
        message = passed.reason.message
        version = f"its build {passed.build}" if passed.version == chosen else passed.version
        if groups and groups[-1][1] == message and version == passed.version:
            groups[-1][0].append(version)
        else:
            groups.append(([version], message))
    for versions, message in groups if verbose else groups[:_MOST_REASONS]:
        span = versions[0] if len(versions) == 1 else f"{versions[-1]} to {versions[0]}"
        yield f"not {span}: {message}"
    left = len(groups) - _MOST_REASONS
    if left > 0 and not verbose:
        yield f"and {left} more {'reason' if left == 1 else 'reasons'} (`-v` lists them)"
    yield from choice.notes


def _show_notes(out: Console, plan: Plan) -> None:
    for note in plan.explanation.notes:
        out.print(hanging("note: ", note))
    if plan.verdict is Verdict.UNKNOWN:
        out.print(hanging("note: ", "whether all of it runs there is not known, for the reasons above"))


def _show_findings(out: Console, plan: Plan) -> None:
    out.print(heading("what the rules say"))
    table = plain_table("package", "rule", "verdict", "")
    for package in plan.packages:
        for finding in package.findings:
            table.add_row(package.name, finding.rule, verdict_text(finding.verdict), finding.message)
    out.print(table)
    out.print()


def _show_wheels(out: Console, plan: Plan) -> None:
    out.print(heading("wheels"))
    table = plain_table("name", "version", "size", right=("size",))
    for wheel in plan.wheels:
        table.add_row(wheel.name, wheel.version, bytes_in_words(wheel.size_bytes) if wheel.size_bytes else "")
    out.print(table)
    out.print()


def _count(plan: Plan) -> str:
    known = sum(wheel.size_bytes for wheel in plan.wheels if wheel.size_bytes)
    words = f"{len(plan.wheels)} {'wheel' if len(plan.wheels) == 1 else 'wheels'}"
    return f"{words}, {bytes_in_words(known)}" if known else words
