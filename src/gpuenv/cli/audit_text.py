"""An audit in words: each package with what is wrong, then the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gpuenv.cli.text import hanging, heading, indented, page, plain_table, printable
from gpuenv.model import AuditedPackage, AuditFinding, AuditReport, Severity

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["show_audited", "show_totals"]

_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow"}


def show_audited(package: AuditedPackage, *, verbose: bool) -> None:
    """One package and its findings, errors first. Hints for warnings come with `verbose` only."""
    with page() as out:
        where = f"{package.subdir}/" if package.subdir else ""
        out.print(heading(printable(f"{where}{package.file}: {_counted(package.findings)}")))
        for finding in sorted(package.findings, key=lambda one: one.severity is Severity.WARNING):
            out.print(indented(_told(finding), 2))
            if finding.evidence:
                table = plain_table("", "", "")
                for one in finding.evidence:
                    source = one.source if verbose else one.source.rpartition("/")[2]
                    table.add_row(printable(one.what), printable(one.value), printable(source))
                out.print(indented(table, 6))
            for hint in finding.hints if verbose or finding.severity is Severity.ERROR else ():
                out.print(hanging("hint: ", printable(hint), indent=6))
        out.print()


def _told(finding: AuditFinding) -> Table:
    """What was found, its later lines under the first."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text(f"{finding.severity.value}: ", style=_STYLES[finding.severity]), printable(finding.message))
    return grid


def _counted(findings: Iterable[AuditFinding]) -> str:
    severities = [finding.severity for finding in findings]
    return _in_words(severities.count(Severity.ERROR), severities.count(Severity.WARNING))


def _in_words(errors: int, warnings: int) -> str:
    parts = [
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in ((errors, "error"), (warnings, "warning"))
        if count
    ]
    return " and ".join(parts) or "nothing wrong"


def show_totals(report: AuditReport) -> None:
    """What it comes to, and what a patch does about it."""
    unread = len(report.problems)
    if not report.packages and unread:
        return
    with page() as out:
        found = _in_words(report.errors, report.warnings)
        # Of a directory without files the error below tells.
        found += f", and {unread} could not be read" if unread and not report.unread_packages else ""
        out.print(heading(printable(f"audited {_counted_packages(report)}: {found}")))
        for note in report.notes:
            out.print(hanging("note: ", printable(note)))
        findings = [finding for package in report.audited for finding in package.findings]
        mendable = [finding for finding in findings if finding.mendable]
        for line in _about_patch(report, findings, mendable):
            out.print(hanging("hint: ", printable(line)) if report.patch is None else printable(line))


def _counted_packages(report: AuditReport) -> str:
    """`3 packages, 1 with GPU code`, and how many of them by their metadata alone."""
    counted = f"{report.packages} package{'' if report.packages == 1 else 's'}"
    if report.unread_packages == report.packages:
        return f"{counted} by metadata alone" if report.packages else counted
    gpu = f", {report.gpu_packages or 'none'} with GPU code"
    alone = f", {report.unread_packages} by metadata alone" if report.unread_packages else ""
    return f"{counted}{gpu}{alone}"


def _about_patch(report: AuditReport, findings: Sequence[AuditFinding], mendable: Sequence[AuditFinding]) -> list[str]:
    told = "all of it" if len(mendable) == len(findings) else f"{len(mendable)} of {len(findings)} findings"
    if report.patch is not None:
        return [f"wrote `{report.patch}`, a repodata patch that puts {told if mendable else 'nothing'} right"]
    if not mendable:
        return []
    return [f"`--patch DIRECTORY` writes a repodata patch that puts {told} right"]
