"""`gpuenv info`: this machine, and what runs on it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

import gpuenv
from gpuenv.cli.describe import driver_in_words, gpus_in_words, system_in_words
from gpuenv.cli.options import as_json, chosen_machine, machine_option, verbose_option
from gpuenv.cli.text import hanging, heading, page, plain_table, verdict_text
from gpuenv.model import Machine, MachineReport, Verdict, to_json

__all__ = ["info_command"]

_GIB = 2**30


@click.command("info", short_help="Show this machine and which GPU packages it can run.")
@machine_option
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write down all that was asked of the machine, to plan for it elsewhere.",
)
@click.option("--check", is_flag=True, help="Exit with 1 when CUDA packages do not run here.")
@verbose_option
@as_json
def info_command(machine: str | None, record: Path | None, check: bool, verbose: bool, as_json: bool) -> int:
    """Show this machine (or --machine) and which GPU packages it can run."""
    described = gpuenv.record_here(record) if record else chosen_machine(machine)
    report = gpuenv.report_machine(described)
    if as_json:
        click.echo(to_json(report))
    else:
        with page() as out:
            _show(out, report, verbose=verbose)
    if record:
        click.echo(f"written to {record}: use it with `--machine {record}`", err=True)
    runs = any(line.verdict in {Verdict.WORKS, Verdict.DEGRADED} for line in report.cuda_lines)
    return 0 if runs or not check else 1


def _show(out: Console, report: MachineReport, *, verbose: bool) -> None:
    machine = report.machine
    facts = plain_table("", "", "") if verbose else plain_table("", "")
    for name, value, field in _facts(machine):
        facts.add_row(name, value, *((machine.sources.get(field, ""),) if verbose else ()))
    if verbose:
        packages = ("=".join(package) for package in gpuenv.virtual_packages(machine))
        facts.add_row("to conda", " ".join(packages), "CEP 30, CEP 46")
    out.print(facts)
    for note in machine.notes:
        out.print(hanging("note: ", note))
    out.print()
    out.print(heading("This machine for GPU packages"))
    table = plain_table("", "")
    for finding in report.findings:
        table.add_row(verdict_text(finding.verdict), finding.message)
    out.print(table)
    out.print()
    out.print(heading("Packages of each CUDA version"))
    lines = plain_table("", "", "")
    for span, verdict, message in _spans(report, each=verbose):
        lines.add_row(span, verdict_text(verdict), message)
    out.print(lines)
    hints = dict.fromkeys(hint for finding in report.findings for hint in finding.hints)
    for hint in hints:
        out.print(hanging("hint: ", hint))


def _facts(machine: Machine) -> list[tuple[str, str, str]]:
    system, cpu = machine.system, machine.cpu
    details = [system.distribution, f"glibc {system.glibc}" if system.glibc else None, system.release]
    cores = f"{cpu.cores} cores" if cpu.cores else "cores not known"
    gpus = gpus_in_words(machine) or ["none"]
    sizes = {gpu.memory_bytes for gpu in machine.gpus or () if gpu.memory_bytes}
    gpu_memory = f", {max(sizes) / _GIB:.3g} GiB each" if len(sizes) == 1 else ""
    return [
        ("system", ", ".join([system_in_words(machine), *filter(None, details)]), "system"),
        ("processor", ", ".join(filter(None, [cpu.model, cores])), "cpu.cores"),
        ("memory", f"{machine.memory_bytes / _GIB:.3g} GiB" if machine.memory_bytes else "not known", "memory_bytes"),
        ("driver", driver_in_words(machine).removeprefix("driver "), "driver.version"),
        ("GPUs", " + ".join(gpus) + gpu_memory, "gpus"),
    ]


def _spans(report: MachineReport, *, each: bool) -> list[tuple[str, Verdict, str]]:
    """The CUDA lines, newest first, neighbours with the same answer taken together unless `each`."""
    spans: list[tuple[list[str], Verdict, str]] = []
    for line in reversed(report.cuda_lines):
        worst = [finding for finding in line.findings if finding.verdict is line.verdict]
        message = worst[0].message.replace(f"CUDA {line.cuda} ", "") if worst else ""
        same = spans and spans[-1][1] is line.verdict and (spans[-1][2] == message or not message)
        if same and not each:
            spans[-1][0].append(str(line.cuda))
        else:
            spans.append(([str(line.cuda)], line.verdict, message))
    return [
        (versions[0] if len(versions) == 1 else f"{versions[-1]} to {versions[0]}", verdict, message)
        for versions, verdict, message in spans
    ]
