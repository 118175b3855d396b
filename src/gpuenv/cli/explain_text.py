"""An explanation as text: each choice with all that was passed over, the evidence, and what would change it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gpuenv.cli.plan_text import runs_on, show_machines, show_reasons, spans_of, told
from gpuenv.cli.text import hanging, heading, indented, page, plain_table, verdict_text
from gpuenv.model import Choice, Finding, Plan, PlannedPackage, PlanSet, Verdict

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["show_explanations"]


def show_explanations(found: PlanSet) -> None:
    """Print why each plan is as it is, and what forces more than one."""
    with page() as out:
        for number, plan in enumerate(found.plans, start=1):
            if len(found.plans) > 1:
                out.print(heading(f"environment {number} of {len(found.plans)}"))
            show_machines(out, plan)
            out.print()
            for package in plan.packages:
                choice = next((one for one in plan.explanation.choices if one.package == package.name), None)
                if choice or package.source == "inspected":
                    _show_package(out, package, choice)
            _show_learned(out, plan)
            _show_changes(out, plan)
            for note in plan.explanation.notes:
                out.print(hanging("note: ", note))
            for hint in plan.explanation.hints:
                out.print(hanging("hint: ", hint))
        show_reasons(out, found)


def _show_package(out: Console, package: PlannedPackage, choice: Choice | None) -> None:
    where = runs_on(package)
    words = " ".join(filter(None, (package.name, package.version, package.build)))
    out.print(heading(f"{words}{f' on the {where}' if where else ''}"))
    if package.source != "catalog":
        from_where = "looked into, since no catalog knows it" if package.source == "inspected" else package.source
        out.print(indented(f"from: {from_where}", 2))
    for finding in package.findings:
        if finding.rule in _TOLD_ALWAYS or finding.verdict is not Verdict.WORKS:
            out.print(hanging(f"{finding.verdict.value}: ", told(finding), indent=2))
            _show_evidence(out, finding)
    if choice:
        for span, reason in spans_of(choice, package.version):
            out.print(hanging("not ", f"{span}: {told(reason)}", indent=2))
            _show_evidence(out, reason)
        for note in choice.notes:
            if note not in {told(finding) for finding in package.findings}:
                out.print(hanging("note: ", note, indent=2))
    out.print()


# What a reader wants to see even where all is well.
_TOLD_ALWAYS = {"kernel-image", "driver-floor"}


def _show_evidence(out: Console, finding: Finding) -> None:
    line = "; ".join(_evidence(finding))
    if line:
        out.print(indented(line, 6), style="dim")


def _evidence(finding: Finding) -> Iterator[str]:
    for one in finding.evidence:
        if one.value and one.source:
            yield f"{one.what} {one.value}, from {one.source}"
        elif one.value:
            yield f"{one.what}: {one.value}"


def _show_learned(out: Console, plan: Plan) -> None:
    learned = plan.explanation.learned
    if not learned:
        return
    out.print(heading("looked into on the way"))
    table = plain_table("file", "verdict", "")
    for one in learned:
        table.add_row(one.filename, verdict_text(one.verdict), one.reason.message if one.reason else "")
    out.print(indented(table, 2))
    out.print()


def _show_changes(out: Console, plan: Plan) -> None:
    changes = plan.explanation.what_if
    if not changes:
        return
    out.print(heading("what would change it"))
    for one in changes:
        out.print(hanging(f"{one.change}: ", ", ".join(one.gains), indent=2))
    out.print()
