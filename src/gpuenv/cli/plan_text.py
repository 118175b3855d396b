"""A plan as text: the machine, the packages, why each build was chosen, and how much there is to download."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

import gpuenv
from gpuenv.cli.describe import machine_line
from gpuenv.cli.text import bytes_in_words, hanging, heading, indented, page, plain_table, verdict_text
from gpuenv.model import Choice, Finding, GpuSupport, PassedOver, Plan, PlannedPackage, PlanSet, Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "count_in_words",
    "runs_on",
    "show_done",
    "show_machines",
    "show_notes",
    "show_packages",
    "show_plans",
    "show_reasons",
    "spans_of",
    "told",
]


_MOST_REASONS = 4
# Packages that use a GPU themselves, not through another one.
_OWN = {GpuSupport.COMPILE_TIME, GpuSupport.RUN_TIME}


def show_plans(found: PlanSet, *, verbose: bool, last: str) -> None:
    """Print plans that are still to be carried out, and what forces more than one.

    `verbose` adds every wheel and every rule's word; `last` ends the line that says how much there is to download.
    """
    with page() as out:
        for number, plan in enumerate(found.plans, start=1):
            if len(found.plans) > 1:
                out.print(heading(f"environment {number} of {len(found.plans)}"))
            _show_plan(out, plan, verbose=verbose, last=last)
            if number < len(found.plans):
                out.print()
        show_reasons(out, found)


def show_reasons(out: Console, found: PlanSet) -> None:
    """What forces more than one plan, where something does."""
    if found.reasons:
        out.print()
        out.print(heading(f"why {len(found.plans)} environments"))
        for reason in found.reasons:
            out.print(indented(reason, 2))


def _show_plan(out: Console, plan: Plan, *, verbose: bool, last: str) -> None:
    show_machines(out, plan)
    out.print()
    show_packages(out, plan)
    out.print()
    _show_choices(out, plan, verbose=verbose)
    if verbose:
        _show_findings(out, plan)
        if plan.conda:
            _show_conda(out, plan)
        if plan.wheels or not plan.conda:
            _show_wheels(out, plan)
    _show_notes(out, plan)
    for hint in plan.explanation.hints:
        out.print(hanging("hint: ", hint))
    out.print(f"{count_in_words(plan)} to download. {last}")


def show_machines(out: Console, plan: Plan) -> None:
    """For which machines a plan is made, and from which indexes beside the user's own."""
    _show_machine_lines(out, plan)
    if plan.request.channels:
        out.print(hanging("from ", f"the channels {', '.join(plan.request.channels)}"))
    if plan.indexes:
        out.print(hanging("from ", f"your own index and the project indexes {', '.join(plan.indexes)}"))


def _show_machine_lines(out: Console, plan: Plan) -> None:
    if not plan.others:
        out.print(hanging("for ", f"{machine_line(plan.machine)}, Python {plan.python}"))
        return
    out.print(f"for {len(plan.machines)} machines, Python {plan.python}")
    for machine in plan.machines:
        out.print(indented(machine_line(machine), 2))


def show_done(plan: Plan, *, explained: bool, verbose: bool) -> None:
    """Print a plan that was carried out; `explained` tells why each build was chosen, too."""
    with page() as out:
        show_packages(out, plan)
        out.print()
        if explained or verbose:
            _show_choices(out, plan, verbose=verbose)
        if verbose:
            _show_findings(out, plan)
        if explained:
            _show_notes(out, plan)
        out.print(f"{count_in_words(plan)}, for Python {plan.python}.")


def show_notes(notes: Iterable[str]) -> None:
    """Print what is to be told of what was done."""
    with page() as out:
        for note in notes:
            out.print(hanging("note: ", note))


def show_packages(out: Console, plan: Plan) -> None:
    """The packages that were asked for or could run on a GPU, with their builds; then what else was asked for."""
    table = plain_table("package", "version", "build", "runs on", "verdict")
    asked = {choice.package for choice in plan.explanation.choices}
    shown = [package for package in plan.packages if package.gpu_support in _OWN or package.name in asked]
    for package in shown:
        where = runs_on(package)
        table.add_row(package.name, package.version, package.build, where, verdict_text(package.verdict))
    builds = {one.name: (one.version, one.build) for one in plan.conda}
    builds |= {wheel.name: (wheel.version, "") for wheel in plan.wheels}
    names = (canonicalize_name(gpuenv.spec_name(spec)) for spec in plan.request.specs)
    for name in dict.fromkeys(names):
        if name in builds and name not in {package.name for package in plan.packages}:
            table.add_row(name, *builds[name], "", "")
    out.print(table)


def runs_on(package: PlannedPackage) -> str:
    """Where a package computes: `GPU, CUDA 12.8`."""
    cuda = f"CUDA {package.cuda}" if package.cuda else ""
    if package.gpu:
        return ", ".join(filter(None, ["GPU", cuda]))
    return "CPU" if package.gpu_support in _OWN else cuda


def _show_choices(out: Console, plan: Plan, *, verbose: bool) -> None:
    """Why each build was chosen: what was passed over with the reason, newest first."""
    chosen = [choice for choice in plan.explanation.choices if choice.passed_over or choice.notes]
    others = [*_not_whole(plan)]
    if not chosen and not others:
        return
    out.print(heading("why"))
    for choice in chosen:
        package = next(one for one in plan.packages if one.name == choice.package)
        out.print(f"  {package.name} {package.version}")
        for line in _reasons(choice, package.version, verbose=verbose):
            out.print(indented(line, 4))
    for package, messages in others:
        out.print(f"  {package.name} {package.version}")
        for message in messages:
            out.print(indented(message, 4))
    out.print()


def _not_whole(plan: Plan) -> Iterator[tuple[PlannedPackage, list[str]]]:
    """What came along from the catalog and may not run whole, with what the rules say of it; and releases that were
    looked into and left out, of packages that no catalog knows.
    """
    explained = {choice.package for choice in plan.explanation.choices}
    for package in plan.packages:
        if package.source == "inspected":
            learned = (one for one in plan.explanation.learned if one.package == package.name and one.reason)
            if left_out := [f"not {one.version}: {told(one.reason)}" for one in learned if one.reason]:
                yield package, left_out
            continue
        if package.name in explained or package.verdict is Verdict.WORKS:
            continue
        if package.gpu_support in _OWN:
            against = (finding for finding in package.findings if finding.verdict is not Verdict.WORKS)
            yield package, [*dict.fromkeys(told(finding) for finding in against)]


def _reasons(choice: Choice, chosen: str, *, verbose: bool) -> Iterator[str]:
    groups = spans_of(choice, chosen)
    for span, reason in groups if verbose else groups[:_MOST_REASONS]:
        yield f"not {span}: {told(reason)}"
    left = len(groups) - _MOST_REASONS
    if left > 0 and not verbose:
        yield f"and {left} more {'reason' if left == 1 else 'reasons'} (`gpuenv explain` lists them)"
    yield from choice.notes


def told(reason: Finding) -> str:
    """What a finding says, and on which of several machines."""
    return f"{reason.message} (on {reason.machine})" if reason.machine else reason.message


def spans_of(choice: Choice, chosen: str) -> list[tuple[str, Finding]]:
    """The builds passed over, newest first, with one line for releases in a row that have the same reason: `2.11.0 to
    2.14.1`.
    """
    groups: list[list[PassedOver]] = []
    for passed in choice.passed_over:
        if groups and told(groups[-1][0].reason) == told(passed.reason):
            groups[-1].append(passed)
        else:
            groups.append([passed])
    return [(_span(group, chosen), group[0].reason) for group in groups]


def _span(group: list[PassedOver], chosen: str) -> str:
    newest, oldest = group[0], group[-1]
    if newest.version == oldest.version:
        return f"its build {newest.build}" if newest.version == chosen else newest.version
    # Of the chosen version it is another build that was passed over.
    first, last = (f"{one.version} ({one.build})" if one.version == chosen else one.version for one in (oldest, newest))
    return f"{first} to {last}"


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


def _show_conda(out: Console, plan: Plan) -> None:
    out.print(heading("conda packages"))
    table = plain_table("name", "version", "build", "size", right=("size",))
    for one in plan.conda:
        size = bytes_in_words(one.size_bytes) if one.size_bytes else ""
        table.add_row(one.name, one.version, one.build, size)
    out.print(table)
    out.print()


def count_in_words(plan: Plan) -> str:
    """How many wheels and conda packages a plan has, and how large they are."""
    known = sum(one.size_bytes or 0 for one in plan.conda) + sum(one.size_bytes or 0 for one in plan.wheels)
    conda = f"{len(plan.conda)} conda {'package' if len(plan.conda) == 1 else 'packages'}"
    wheels = f"{len(plan.wheels)} {'wheel' if len(plan.wheels) == 1 else 'wheels'}"
    words = f"{conda} and {wheels}" if plan.conda and plan.wheels else conda if plan.conda else wheels
    return f"{words}, {bytes_in_words(known)}" if known else words
