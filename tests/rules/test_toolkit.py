"""Rules on the toolkit that code is compiled with: too new for the GPU, too old for it, and PTX for the driver."""

from __future__ import annotations

import pytest

from gpuenv.facts.architectures import Capability, load_capabilities
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import DriverState, Verdict
from gpuenv.rules import check
from rule_cases import Case, gpu, gpu_of, library, machine, needs, verdict_of, words_of

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

MIXED = machine(gpu("RTX 5090"), gpu("GTX 1080 Ti"))
READ = (library("10: sm_70 sm_80"),)


def dropped(verdict: Verdict, cuda: str, *boards: str, newest: str = "", says: str = "", jit: str = "sass") -> Case:
    """Something that compiles at run time with this CUDA, on these boards."""
    return Case(
        rule="toolkit-dropped-gpu",
        verdict=verdict,
        needs=needs(cuda=cuda, cuda_newest=newest or cuda, jit=jit),
        machine=machine(*(gpu(board) for board in boards)),
        says=says,
    )


def older(verdict: Verdict, cuda: str, *boards: str, newest: str = "", says: str = "", jit: str = "sass") -> Case:
    """The same, asked whether the toolkit is older than the GPU."""
    return Case(
        rule="toolkit-older-than-gpu",
        verdict=verdict,
        needs=needs(cuda=cuda, cuda_newest=newest or cuda, jit=jit),
        machine=machine(*(gpu(board) for board in boards)),
        says=says,
        silent=jit == "ptx",
    )


def ptx(verdict: Verdict, cuda: str, driver: str | None, served: str | None = "", says: str = "") -> Case:
    """Something that hands PTX of this CUDA to the driver."""
    here = machine(gpu("T4"), driver=driver, cuda=served)
    hint = "update the driver" if verdict is FAILS else ""
    return Case(
        rule="driver-loads-ptx", verdict=verdict, needs=needs(cuda=cuda, jit="ptx"), machine=here, says=says, hint=hint
    )


DROPPED = [
    dropped(WORKS, "12.9", "V100", says="CUDA 12.9 has not dropped Tesla V100-SXM2-16GB (7.0)"),
    dropped(FAILS, "13.0", "V100", says="Volta ended with CUDA 12.9"),
    dropped(FAILS, "13.0", "GTX 1080 Ti", says="Pascal ended with CUDA 12.9"),
    dropped(FAILS, "13.0", "GTX 1080 Ti", jit="ptx"),
    dropped(WORKS, "13.4", "T4"),
    dropped(FAILS, "12.0", "K80", says="Kepler ended with CUDA 11.8"),
    dropped(WORKS, "11.8", "K80"),
    # A span of toolkits is judged by its oldest, and the message names that one.
    dropped(WORKS, "12.0", "GTX 1080 Ti", newest="13.4", says="CUDA 12.0 has not dropped NVIDIA GeForce GTX 1080 Ti"),
    dropped(DEGRADED, "13.0", "RTX 5090", "GTX 1080 Ti", says="GTX 1080 Ti (6.1)"),
    dropped(FAILS, "13.0", "V100", "GTX 1080 Ti"),
    dropped(UNKNOWN, "12.4", "mystery", says="whether CUDA 12.4 makes code for NVIDIA Board of Tomorrow is not known"),
    dropped(UNKNOWN, "13.0", "GTX 1080 Ti", "mystery"),
    # Unread machine code from such a toolkit cannot be for the GPU either.
    Case(
        rule="toolkit-dropped-gpu",
        verdict=FAILS,
        needs=needs(cuda="13.0", libraries=None),
        machine=machine(gpu()),
        says="Volta",
    ),
    Case(
        rule="toolkit-dropped-gpu",
        verdict=WORKS,
        needs=needs(cuda="12.4", libraries=None),
        machine=machine(gpu()),
        silent=True,
    ),
    # Where the code was read, the code decides.
    Case(
        rule="toolkit-dropped-gpu",
        verdict=WORKS,
        needs=needs(cuda="13.0", libraries=READ),
        machine=machine(gpu()),
        silent=True,
    ),
    Case(rule="toolkit-dropped-gpu", verdict=WORKS, needs=needs(jit="sass"), machine=machine(gpu()), silent=True),
]

OLDER = [
    older(WORKS, "9.0", "V100", says="CUDA 9.0 makes code for Tesla V100"),
    older(FAILS, "8.0", "V100", says="Volta needs 9.0 or later"),
    older(FAILS, "12.6", "RTX 5090", says="needs 12.8 or later"),
    older(WORKS, "12.8", "RTX 5090"),
    older(FAILS, "12.8", "B300"),
    older(WORKS, "12.9", "B300"),
    older(FAILS, "11.7", "H100"),
    older(WORKS, "11.8", "RTX 4090"),
    # A span of toolkits is judged by its newest.
    older(WORKS, "12.0", "RTX 5090", newest="12.9", says="CUDA 12.9 makes code"),
    older(DEGRADED, "12.4", "RTX 5090", "GTX 1080 Ti", says="RTX 5090"),
    older(UNKNOWN, "12.4", "mystery"),
    # PTX of an older toolkit is compiled for any later GPU.
    older(WORKS, "11.0", "RTX 5090", jit="ptx"),
    # Unread code may hold such PTX.
    Case(
        rule="toolkit-older-than-gpu",
        verdict=UNKNOWN,
        needs=needs(cuda="11.8", libraries=None),
        machine=machine(gpu("RTX 5090")),
    ),
    Case(
        rule="toolkit-older-than-gpu",
        verdict=WORKS,
        needs=needs(cuda="11.8", libraries=READ),
        machine=machine(gpu("RTX 5090")),
        silent=True,
    ),
]

LIBRARIES = [
    Case(
        rule="library-dropped-gpu",
        verdict=WORKS,
        needs=needs(lowest_capability="7.5"),
        machine=machine(gpu("T4")),
        silent=True,
    ),
    Case(
        rule="library-dropped-gpu",
        verdict=FAILS,
        needs=needs(lowest_capability="7.5"),
        machine=machine(gpu()),
        says="serves GPUs from 7.5 on; here is Tesla V100",
    ),
    Case(rule="library-dropped-gpu", verdict=DEGRADED, needs=needs(lowest_capability="7.5"), machine=MIXED),
    Case(
        rule="library-dropped-gpu",
        verdict=UNKNOWN,
        needs=needs(lowest_capability="7.5"),
        machine=machine(gpu("mystery")),
        says="is not known",
    ),
    Case(
        rule="library-dropped-gpu",
        verdict=UNKNOWN,
        needs=needs(lowest_capability="7.5"),
        machine=machine(gpu(), gpu("mystery")),
    ),
    Case(
        rule="library-dropped-gpu",
        verdict=WORKS,
        needs=needs(uses_gpu=False, lowest_capability="7.5"),
        machine=machine(gpu()),
        silent=True,
    ),
]

PTX = [
    ptx(WORKS, "12.4", "550.54.15", says="the driver (CUDA 12.4) compiles the PTX of CUDA 12.4"),
    ptx(WORKS, "12.0", "580.65.06"),
    ptx(FAILS, "12.4", "545.23.08", says="a driver that knows CUDA 12.3 only"),
    # Minor-version compatibility does not cover it, cuda-compat does.
    ptx(FAILS, "12.9", "525.60.13"),
    ptx(WORKS, "12.9", "535.129.03", "12.9"),
    ptx(WORKS, "12.4", "550.54.15", None),
    ptx(UNKNOWN, "12.4", None, None, says="is not known"),
    Case(
        rule="driver-loads-ptx",
        verdict=UNKNOWN,
        needs=needs(cuda="12.4", jit="ptx"),
        machine=machine(gpu(), cuda=None, state=DriverState.MISSING),
    ),
    Case(
        rule="driver-loads-ptx",
        verdict=WORKS,
        needs=needs(cuda="12.9", jit="sass"),
        machine=machine(gpu(), driver="525.60.13"),
        silent=True,
    ),
    Case(rule="driver-loads-ptx", verdict=WORKS, needs=needs(cuda="12.9", jit="ptx"), machine=machine(), silent=True),
]

CASES = [*DROPPED, *OLDER, *LIBRARIES, *PTX]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case} {case.needs.cuda}")
def test_toolkit_rules(case: Case) -> None:
    """Each case gets its verdict and its words."""
    case.check()


@pytest.mark.parametrize("row", load_capabilities(), ids=lambda row: str(row.capability))
def test_the_toolkits_of_a_gpu_are_those_from_its_first_to_its_last(row: Capability) -> None:
    """Over the whole table the two rules leave exactly the span of toolkits that compile for a capability."""
    first, last, here = row.first_cuda, row.last_cuda, gpu_of(str(row.capability))
    for toolkit in load_toolkits():
        asked, at = needs(cuda=str(toolkit.version), jit="sass"), machine(here, driver=None, cuda=None)
        words = words_of("toolkit-dropped-gpu", asked, at) + words_of("toolkit-older-than-gpu", asked, at)
        serves = first <= toolkit.version and (last is None or toolkit.version <= last)
        assert ({verdict for verdict, _ in words} == {WORKS}) == serves


@pytest.mark.parametrize("cuda", ["13.0", "13.4"])
@pytest.mark.parametrize("board", ["GTX 1080 Ti", "P100", "V100"])
def test_cuda_13_fails_on_pascal_and_volta_though_their_driver_serves_it(board: str, cuda: str) -> None:
    """R580 says CUDA 13.0 on these boards; the driver rules are content, and the package still does not run."""
    found = check(needs(cuda=cuda, jit="sass"), machine(gpu(board), driver="580.65.06"))
    against = {finding.rule for finding in found if finding.verdict is FAILS}
    assert against == {"toolkit-dropped-gpu"}


def test_of_two_gpus_one_cuda_line_serves_both() -> None:
    """An RTX 5090 needs 12.8 or later, a GTX 1080 Ti 12.9 or older: 12.8 and 12.9 run on both."""
    verdicts = {
        str(toolkit.version): verdict_of(check(needs(cuda=str(toolkit.version), jit="sass"), MIXED))
        for toolkit in load_toolkits()
    }
    assert [cuda for cuda, verdict in verdicts.items() if verdict is WORKS] == ["12.8", "12.9"]
    assert verdicts["12.6"] is verdicts["13.0"] is DEGRADED
    assert verdicts["7.5"] is FAILS
