"""Advice on the machine as a whole: host memory, processor cores, the class of the board."""

from __future__ import annotations

from typing import Any

import pytest

from gpuenv.facts.gpus import GpuModel, load_gpus
from gpuenv.model import Cpu, Gpu, GpuSupport, Needs, Verdict
from rule_cases import GIB, Case, gpu, library, machine, needs, words_of

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

WORK = Needs(subject="GPU packages", uses_gpu=True, libraries=())


def memory(verdict: Verdict, host: float | None, *boards: str, says: str = "", **changes: Any) -> Case:
    """GPU work in general with this host memory in GiB."""
    here = machine(
        *(gpu(board) for board in boards), **{"memory_bytes": int(host * GIB) if host is not None else None} | changes
    )
    return Case(rule="host-memory", verdict=verdict, needs=WORK, machine=here, says=says)


def cores(verdict: Verdict, count: int | None, says: str = "") -> Case:
    """The same with this number of cores."""
    return Case(rule="cpu-cores", verdict=verdict, needs=WORK, machine=machine(gpu(), cpu=Cpu(cores=count)), says=says)


def board(verdict: Verdict, *boards: str, says: str = "") -> Case:
    """The same on these boards."""
    here = machine(*(gpu(name) for name in boards))
    return Case(rule="board-class", verdict=verdict, needs=WORK, machine=here, says=says)


CASES = [
    memory(WORKS, 32, "V100", says="host memory is 2 times GPU memory (32 GiB to 16 GiB)"),
    memory(WORKS, 64, "V100"),
    # A system reports a few per cent less than was sold.
    memory(WORKS, 31.2, "V100"),
    memory(DEGRADED, 29, "V100", says="two to four times is advised"),
    memory(DEGRADED, 16, "V100"),
    # The sum over the GPUs counts, those that CUDA cannot open left out.
    memory(DEGRADED, 64, "RTX 3090", "RTX 3090"),
    memory(WORKS, 96, "RTX 3090", "RTX 3090"),
    Case(
        rule="host-memory",
        verdict=WORKS,
        needs=WORK,
        machine=machine(gpu(), gpu("A100", usable=False), memory_bytes=32 * GIB),
    ),
    memory(UNKNOWN, None, "V100", says="is not known"),
    memory(UNKNOWN, 0, "V100"),
    Case(rule="host-memory", verdict=UNKNOWN, needs=WORK, machine=machine(gpu(memory_bytes=None))),
    Case(rule="host-memory", verdict=UNKNOWN, needs=WORK, machine=machine(gpu(memory_bytes=0))),
    Case(rule="host-memory", verdict=WORKS, needs=WORK, machine=machine(), silent=True),
    # A Jetson's GPU uses the host's memory.
    Case(
        rule="host-memory",
        verdict=WORKS,
        needs=WORK,
        machine=machine(gpu("Orin"), memory_bytes=8 * GIB, system={"jetson": "Jetson Orin Nano"}),
        silent=True,
    ),
    cores(WORKS, 4, says="4 cores prepare data"),
    cores(DEGRADED, 3, says="3 cores; four or more"),
    cores(DEGRADED, 1, says="1 core; four or more"),
    cores(UNKNOWN, None),
    cores(UNKNOWN, 0),
    board(WORKS, "V100", says="a data-centre board, for servers and clouds; fit for training"),
    board(WORKS, "T4", says="fit for inference"),
    board(WORKS, "RTX 3090", says="a GeForce board"),
    board(WORKS, "RTX A6000", says="a workstation board"),
    board(UNKNOWN, "mystery", says="is not in the table of boards"),
    Case(
        rule="board-class",
        verdict=DEGRADED,
        needs=WORK,
        machine=machine(Gpu(name="NVIDIA GeForce GT 750M")),
        says="too small",
    ),
    Case(rule="board-class", verdict=WORKS, needs=WORK, machine=machine(), silent=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_advice(case: Case) -> None:
    """Each case gets its verdict and its words."""
    case.check()


@pytest.mark.parametrize(
    "package",
    [
        needs(cuda="12.4"),
        needs(libraries=(library("1: sm_70"),)),
        needs(jit="sass"),
        needs(gpu_support=GpuSupport.RUN_TIME),
        needs(uses_gpu=False),
    ],
)
@pytest.mark.parametrize("rule", ["host-memory", "cpu-cores", "board-class"])
def test_advice_is_for_the_machine_and_not_for_a_package(rule: str, package: Needs) -> None:
    """A package is not judged by the memory of the host, however small that is."""
    assert words_of(rule, package, machine(gpu(), memory_bytes=GIB, cpu=Cpu(cores=1))) == []


@pytest.mark.parametrize("model", load_gpus(), ids=lambda model: model.name)
def test_every_board_of_the_table_has_a_class(model: GpuModel) -> None:
    """Each gets exactly one word, which is never `fails` or `unknown`."""
    here = machine(Gpu(name=model.name, compute_capability=model.capability))
    ((verdict, _),) = words_of("board-class", WORK, here)
    assert verdict is (WORKS if model.roles else DEGRADED)
