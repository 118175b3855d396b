"""The answers of `gpuenv check` in words: a table for one machine, a matrix for several, and the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console

from gpuenv.cli.describe import machine_line
from gpuenv.cli.text import hanging, heading, page, plain_table, printable, verdict_text
from gpuenv.model import CheckedArtifact, CheckReport, Finding, Machine, MachineAnswer, Verdict

__all__ = ["show_check"]

# What is said of a machine as a whole is no reason against one package, and stands once in `gpuenv info`.
_OF_THE_MACHINE = {"host-memory", "cpu-cores", "board-class"}


def show_check(report: CheckReport, machines: tuple[Machine, ...], *, verbose: bool) -> None:
    """Print the report for `machines`, which are those it was made for."""
    with page() as out:
        if len(machines) == 1:
            out.print(hanging("for ", machine_line(machines[0]), indent=0))
            out.print()
        if not report.rows:
            return
        shown = [row for row in report.rows if verbose or _says_something(row)]
        if len(report.rows) <= 1:
            shown = list(report.rows)
        if len(machines) == 1:
            _show_list(out, shown)
        else:
            _show_matrix(out, shown, machines)
        _show_reasons(out, shown, machines, verbose=verbose)
        for note in report.notes:
            out.print(hanging("note: ", printable(note)))
        if left := len(report.rows) - len(shown):
            out.print(f"{left} more {'uses' if left == 1 else 'use'} no GPU and {'fits' if left == 1 else 'fit'}.")


def _says_something(row: CheckedArtifact) -> bool:
    return any(answer.uses_gpu or answer.verdict is not Verdict.WORKS for answer in row.answers if answer)


def _show_list(out: Console, rows: list[CheckedArtifact]) -> None:
    table = plain_table("package", "verdict", "")
    for row in rows:
        answer = row.answers[0]
        if answer is None:
            continue
        said = next(iter(_reasons(answer, verbose=False)), None)
        table.add_row(printable(row.subject), verdict_text(answer.verdict), printable(said.message) if said else "")
    out.print(table)


def _show_matrix(out: Console, rows: list[CheckedArtifact], machines: tuple[Machine, ...]) -> None:
    labels = _labels(machines)
    for label, machine in zip(labels, machines, strict=True):
        out.print(hanging(f"{label}  ", machine_line(machine)))
    out.print()
    table = plain_table("package", *labels)
    for row in rows:
        verdicts = (verdict_text(answer.verdict) if answer else "" for answer in row.answers)
        table.add_row(printable(row.subject), *verdicts)
    out.print(table)


def _labels(machines: tuple[Machine, ...]) -> list[str]:
    """A short name for each machine: its GPU, and its number where two have the same."""
    names = [machine.gpus[0].name if machine.gpus else "no GPU" for machine in machines]
    short = [name.removeprefix("NVIDIA ").removeprefix("GeForce ").removeprefix("Tesla ") for name in names]
    counts, seen = Counter(short), Counter[str]()
    labels = []
    for one in short:
        seen[one] += 1
        labels.append(f"{one} #{seen[one]}" if counts[one] > 1 else one)
    return labels


def _show_reasons(out: Console, rows: list[CheckedArtifact], machines: tuple[Machine, ...], *, verbose: bool) -> None:
    labels = _labels(machines)
    hints: dict[str, None] = {}
    first = True
    for row in rows:
        for label, answer in zip(labels, row.answers, strict=True):
            if answer is None:
                continue
            findings = list(_reasons(answer, verbose=verbose))
            hints |= dict.fromkeys(hint for one in findings for hint in one.hints if one.verdict is not Verdict.WORKS)
            # With one machine the first reason stands beside the verdict already.
            told = findings if verbose or len(machines) > 1 else findings[1:]
            if not told:
                continue
            if first:
                out.print()
                out.print(heading("why"))
                first = False
            where = f" on {label}" if len(machines) > 1 else ""
            out.print(hanging("  ", f"{printable(row.subject)}{where}"))
            for one in told:
                out.print(hanging(f"    {one.verdict.value}: ", printable(one.message)))
                if verbose:
                    for evidence in one.evidence:
                        source = f" ({evidence.source})" if evidence.source else ""
                        out.print(hanging("      ", printable(f"{evidence.what}: {evidence.value}{source}")))
    if not first:
        out.print()
    for hint in hints:
        out.print(hanging("hint: ", hint))


def _reasons(answer: MachineAnswer, *, verbose: bool) -> Iterator[Finding]:
    """The findings that tell why, the worst first: all of them with `verbose`, else objections and remarks on code."""
    told = [
        one
        for one in answer.findings
        if verbose
        or (one.verdict is not Verdict.WORKS and one.rule not in _OF_THE_MACHINE)
        or one.rule in {"kernel-image", "side-library", "toolkit-dropped-gpu", "driver-loads-ptx"}
    ]
    yield from sorted(told, key=lambda one: -one.verdict.badness)
