"""The machine as a whole: each CUDA line judged, with what decided it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import DriverState, Gpu, Machine, MachineReport, Vendor, Verdict, from_json, to_json
from gpuenv.rules import report_machine
from rule_cases import gpu, machine

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict
ALL = [str(toolkit.version) for toolkit in load_toolkits()]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """A machine and the CUDA lines that work on it, from one to another; `partly` are degraded."""

    here: Machine
    first: str | None
    last: str | None = None
    partly: tuple[str, ...] = ()


MACHINES = {
    "V100, 535": Lines(here=machine(gpu(), driver="535.129.03"), first="9.0", last="12.9"),
    "V100, 580": Lines(here=machine(gpu(), driver="580.65.06"), first="9.0", last="12.9"),
    "V100, 470": Lines(here=machine(gpu(), driver="470.57.02"), first="9.0", last="11.8"),
    "V100, 590": Lines(here=machine(gpu(), driver="590.44.01"), first=None),
    "T4, 580": Lines(here=machine(gpu("T4"), driver="580.65.06"), first="10.0", last="13.4"),
    "A100, 450": Lines(here=machine(gpu("A100"), driver="450.80.02"), first="11.0", last="11.8"),
    "K80, 470": Lines(here=machine(gpu("K80"), driver="470.256.02"), first="7.0", last="11.8"),
    "RTX 4090, 560": Lines(here=machine(gpu("RTX 4090"), driver="560.35.03"), first="11.8", last="12.9"),
    "RTX 4090, 560.94 on Windows": Lines(
        here=machine(gpu("RTX 4090"), driver="560.94", os="windows"), first="11.8", last="12.9"
    ),
    "RTX 4090, 560.94 under WSL": Lines(
        here=machine(gpu("RTX 4090"), driver="560.94", system={"wsl": True}), first="11.8", last="12.9"
    ),
    "RTX 5090, 570": Lines(here=machine(gpu("RTX 5090"), driver="570.86.10"), first="12.8", last="12.9"),
    "RTX 5090, 580": Lines(here=machine(gpu("RTX 5090"), driver="580.65.06"), first="12.8", last="13.4"),
    "B300, 580": Lines(here=machine(gpu("B300"), driver="580.65.06"), first="12.9", last="13.4"),
    "Thor, JetPack 7": Lines(
        here=machine(gpu("Thor"), driver="580.00", arch="aarch64", system={"jetson": "Jetson AGX Thor"}),
        first="12.8",
        last="13.4",
    ),
    "RTX 5090 and GTX 1080 Ti, 580": Lines(
        here=machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"), driver="580.65.06"),
        first="12.8",
        last="12.9",
        partly=("8.0", "9.0", "10.0", "11.8", "12.6", "13.0", "13.4"),
    ),
    "GTX 1080, 582 on Windows": Lines(
        here=machine(gpu("GTX 1080 Ti"), driver="582.28", os="windows"), first="8.0", last="12.9"
    ),
    "A100 with cuda-compat 12.4 on 470": Lines(
        here=machine(gpu("A100"), driver="470.57.02", cuda="12.4"), first="11.0", last="12.9"
    ),
    "V100 on POWER": Lines(
        here=machine(gpu(), driver="535.129.03", arch="ppc64le"), first=None, partly=("9.0", "10.2", "12.4")
    ),
    "V100 known by CUDA 12.0": Lines(here=machine(gpu(), driver=None, cuda="12.0"), first="9.0", last="12.9"),
    "no GPU": Lines(here=machine(driver=None, state=DriverState.MISSING), first=None),
    "AMD": Lines(here=machine(Gpu(vendor=Vendor.AMD, name="AMD Instinct MI300X")), first=None),
    "Nouveau": Lines(
        here=machine(gpu(), driver=None, state=DriverState.MISSING, module="nouveau"),
        first=None,
    ),
    "MIG without an instance": Lines(here=machine(gpu("A100", mig="enabled", usable=False)), first=None),
}


@pytest.mark.parametrize("name", MACHINES)
def test_the_cuda_lines_that_work_on_a_machine(name: str) -> None:
    """From the driver and the GPU's generation: a span of toolkits, and nothing outside of it."""
    expected = MACHINES[name]
    report = report_machine(expected.here)
    works = [str(line.cuda) for line in report.cuda_lines if line.verdict is WORKS]
    span = ALL[ALL.index(expected.first) : ALL.index(expected.last) + 1] if expected.first and expected.last else []
    assert works == span
    verdicts = {str(line.cuda): line.verdict for line in report.cuda_lines}
    assert {verdicts[cuda] for cuda in expected.partly} <= {DEGRADED}


@pytest.mark.parametrize("name", MACHINES)
def test_a_report_names_what_is_against_a_line_and_survives_json(name: str) -> None:
    """A line works exactly when nothing is held against it; the whole is a value of one JSON."""
    report = report_machine(MACHINES[name].here)
    assert [line.cuda for line in report.cuda_lines] == [toolkit.version for toolkit in load_toolkits()]
    for line in report.cuda_lines:
        assert line.verdict is Verdict.worst(finding.verdict for finding in line.findings)
        assert all(finding.verdict is not WORKS for finding in line.findings)
    assert report.verdict is Verdict.worst(finding.verdict for finding in report.findings)
    assert from_json(to_json(report), MachineReport) == report


def test_a_whole_machine_works() -> None:
    """A V100 with enough memory and cores, and a driver that serves it."""
    assert report_machine(machine(gpu())).verdict is WORKS
