"""The answers of `gpuenv check` in words: a table for one machine, a matrix for several, and the reasons."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from gpuenv.cli.describe import machine_line
from gpuenv.cli.text import hanging, heading, page, plain_table, printable, verdict_text
from gpuenv.model import CheckedArtifact, CheckReport, Finding, Machine, MachineAnswer, Verdict

__all__ = ["show_check"]

# What is said of a machine as a whole is no reason against one package, and stands once in `gpuenv info`.
_OF_THE_MACHINE = {"host-memory", "cpu-cores", "board-class"}
_ON_CODE = {"kernel-image", "side-library", "toolkit-older-than-gpu", "driver-loads-ptx"}
_FEW_PACKAGES = 3
_WIDEST_VERDICT = len(Verdict.DEGRADED.value)
_ROOM_FOR_NAMES = 30
_HERE = "this machine"
_ASKED_GPU = re.compile(r"gpu=([^,]+)")


def show_check(report: CheckReport, machines: tuple[Machine, ...], *, verbose: bool) -> None:
    """Print the report for `machines`, which are those it was made for."""
    with page() as out:
        if not report.rows:
            if not report.problems:
                out.print("nothing to check: there is no package in it for the machine")
            _show_notes(out, report)
            return
        if len(machines) == 1:
            out.print(hanging("for ", printable(machine_line(machines[0]))))
            out.print()
        shown = [row for row in report.rows if verbose or _says_something(row)]
        if len(report.rows) <= 1:
            shown = list(report.rows)
        labels = _labels(machines)
        if not shown:
            out.print(f"none of the {len(report.rows)} packages uses a GPU, and all fit")
        elif len(machines) == 1:
            _show_list(out, shown)
            _show_reasons(out, shown, labels, verbose=verbose)
        elif len(shown) <= _FEW_PACKAGES:
            _show_each(out, shown, labels, verbose=verbose)
        else:
            labels = _short_labels(labels, out.width)
            _show_matrix(out, shown, labels, machines)
            _show_reasons(out, shown, labels, verbose=verbose)
        _show_hints(out, shown)
        _show_notes(out, report)
        left = len(report.rows) - len(shown)
        if shown and left:
            out.print(f"{left} more {'uses' if left == 1 else 'use'} no GPU and {'fits' if left == 1 else 'fit'}.")


def _show_notes(out: Console, report: CheckReport) -> None:
    if report.notes:
        out.print()
    for note in report.notes:
        out.print(hanging("note: ", printable(note)))


def _says_something(row: CheckedArtifact) -> bool:
    return any(answer.uses_gpu or answer.verdict is not Verdict.WORKS for answer in row.answers if answer)


def _show_list(out: Console, rows: list[CheckedArtifact]) -> None:
    """One machine: the packages with their first reasons."""
    table = plain_table("package", "verdict", "")
    for row in rows:
        if answer := row.answers[0]:
            table.add_row(printable(row.subject), verdict_text(answer.verdict), _first_reason(answer))
    out.print(table)


def _show_each(out: Console, rows: list[CheckedArtifact], labels: list[str], *, verbose: bool) -> None:
    """Few packages: for each the machines with their reasons."""
    for number, row in enumerate(rows):
        if number:
            out.print()
        table = plain_table(printable(row.subject), "verdict", "")
        for label, answer in zip(labels, row.answers, strict=True):
            if answer is None:
                table.add_row(label, "", "no part of what it gets")
                continue
            table.add_row(label, verdict_text(answer.verdict), _first_reason(answer))
            for one in list(_reasons(answer, verbose=verbose))[1:]:
                if verbose or not _is_plain(one):
                    table.add_row("", verdict_text(one.verdict), printable(one.message))
        out.print(table)


def _short_labels(labels: list[str], width: int) -> list[str]:
    """Numbers in their place where the columns would leave no room for the names of packages."""
    room = width - sum(max(len(label), _WIDEST_VERDICT) + 2 for label in labels)
    return labels if room >= _ROOM_FOR_NAMES else [f"#{number}" for number in range(1, len(labels) + 1)]


def _show_matrix(out: Console, rows: list[CheckedArtifact], labels: list[str], machines: tuple[Machine, ...]) -> None:
    """Several of both: verdicts only."""
    legend = plain_table("", "")
    for label, machine in zip(labels, machines, strict=True):
        legend.add_row(label, printable(machine_line(machine)))
    out.print(legend)
    width = max(_WIDEST_VERDICT, *map(len, labels)) + 2
    at_once = max(1, (out.width - _ROOM_FOR_NAMES) // width)
    for first in range(0, len(labels), at_once):
        out.print()
        part = slice(first, first + at_once)
        table = plain_table("package", *labels[part])
        for column in table.columns[1:]:
            column.no_wrap = True
        for row in rows:
            verdicts = (verdict_text(answer.verdict) if answer else "" for answer in row.answers[part])
            table.add_row(printable(row.subject), *verdicts)
        out.print(table)


def _labels(machines: tuple[Machine, ...]) -> list[str]:
    """A short name for each machine: the GPU it was asked for with, or its file; its driver where those are the same,
    else a number.
    """
    names = [_short_name(machine) for machine in machines]
    drivers = [str(machine.driver.version) if machine.driver.version else "no driver" for machine in machines]
    if len(set(names)) < len(names) and len(set(drivers)) > 1:
        names = [f"{name}, {driver}" for name, driver in zip(names, drivers, strict=True)]
    counts, seen = Counter(names), Counter[str]()
    labels = []
    for one in names:
        seen[one] += 1
        labels.append(f"{one} #{seen[one]}" if counts[one] > 1 else one)
    return labels


def _short_name(machine: Machine) -> str:
    if asked := _ASKED_GPU.search(machine.name):
        return printable(asked[1].strip())
    if machine.name not in {"", _HERE} and "=" not in machine.name:
        return printable(machine.name)
    name = machine.gpus[0].name if machine.gpus else "no GPU"
    return printable(name).removeprefix("NVIDIA ").removeprefix("GeForce ").removeprefix("Tesla ")


def _show_reasons(out: Console, rows: list[CheckedArtifact], labels: list[str], *, verbose: bool) -> None:
    """What the table does not tell yet."""
    told = _reasons_told(rows, labels, verbose=verbose)
    if told:
        out.print()
        out.print(heading("why"))
    for subjects, where, findings in told:
        out.print(
            hanging("  ", printable(", ".join(subjects)) + (f" on {', '.join(where)}" if len(labels) > 1 else ""))
        )
        for one in findings:
            out.print(hanging(f"    {one.verdict.value}: ", printable(one.message)))
            for evidence in one.evidence if verbose else ():
                source = f" ({evidence.source})" if evidence.source else ""
                out.print(hanging("      ", printable(f"{evidence.what}: {evidence.value}{source}")))


def _reasons_told(
    rows: list[CheckedArtifact], labels: list[str], *, verbose: bool
) -> list[tuple[list[str], list[str], tuple[Finding, ...]]]:
    """Packages, machines, and their reasons: those with the same reasons together. With `verbose` each package has its
    own, since the evidence differs.
    """
    told: dict[object, tuple[list[str], list[str], tuple[Finding, ...]]] = {}
    for row in rows:
        by_reasons: dict[tuple[Finding, ...], list[str]] = {}
        for label, answer in zip(labels, row.answers, strict=True):
            if answer and (findings := _untold(answer, is_alone=len(labels) == 1, verbose=verbose)):
                by_reasons.setdefault(tuple(findings), []).append(label)
        for reasons, where in by_reasons.items():
            texts = tuple((one.verdict, one.message) for one in reasons)
            key = (texts, *where, row.subject if verbose else "")
            subjects, _, _ = told.setdefault(key, ([], where, reasons))
            if row.subject not in subjects:
                subjects.append(row.subject)
    return list(told.values())


def _untold(answer: MachineAnswer, *, is_alone: bool, verbose: bool) -> list[Finding]:
    """With one machine the first reason stands beside the verdict."""
    findings = list(_reasons(answer, verbose=verbose))
    if verbose:
        return findings
    return [one for one in findings[1 if is_alone else 0 :] if not _is_plain(one)]


def _show_hints(out: Console, rows: list[CheckedArtifact]) -> None:
    """What would help; nothing for an answer of which one reason stays whatever is done about the others."""
    hints: dict[str, None] = {}
    for answer in (answer for row in rows for answer in row.answers if answer):
        against = [one for one in _reasons(answer, verbose=False) if one.verdict is not Verdict.WORKS]
        if all(one.hints for one in against if one.verdict is Verdict.FAILS):
            hints |= dict.fromkeys(hint for one in against for hint in one.hints)
    if hints:
        out.print()
    for hint in hints:
        out.print(hanging("hint: ", printable(hint)))


def _first_reason(answer: MachineAnswer) -> str:
    first = next(_reasons(answer, verbose=False), None)
    return printable(first.message) if first else "" if answer.uses_gpu else "uses no GPU"


def _is_plain(finding: Finding) -> bool:
    """Whether a finding only says once more that it works."""
    return finding.verdict is Verdict.WORKS and finding.rule != "side-library"


def _reasons(answer: MachineAnswer, *, verbose: bool) -> Iterator[Finding]:
    """The findings that tell why, the worst first: all of them with `verbose`, else objections and words on code."""
    told = [
        one
        for one in answer.findings
        if verbose or (one.verdict is not Verdict.WORKS and one.rule not in _OF_THE_MACHINE) or one.rule in _ON_CODE
    ]
    yield from sorted(told, key=lambda one: -one.verdict.badness)
