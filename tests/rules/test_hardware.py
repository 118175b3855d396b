"""Rules on the GPUs themselves: none, of other makers, in MIG mode, out of CUDA's reach."""

from __future__ import annotations

from typing import Any

import pytest

from gpuenv.model import Driver, DriverState, Gpu, Machine, OperatingSystem, System, Vendor, Verdict
from gpuenv.rules import check, report_machine
from rule_cases import Case, gpu, library, machine, needs, verdict_of, words_of

WORKS, DEGRADED, UNKNOWN, FAILS = Verdict

AMD = Gpu(vendor=Vendor.AMD, name="AMD Instinct MI300X")
INTEL = Gpu(vendor=Vendor.INTEL, name="Intel Arc A770")
APPLE = Gpu(vendor=Vendor.APPLE, name="Apple M3 Pro")
OTHER = Gpu(vendor=Vendor.OTHER, name="Matrox G200")
NO_DRIVER: dict[str, Any] = {"driver": None, "state": DriverState.MISSING}
NOBODY_LOOKED = Machine(system=System(os=OperatingSystem.LINUX, arch="x86_64"))
MIG_WITHOUT_DEVICE = gpu("A100", mig="enabled", usable=False)
MIG_DEVICE = gpu("A100", name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", mig="1g.10gb")

CASES = [
    Case(rule="gpu-present", verdict=WORKS, needs=needs(), machine=machine(gpu()), says="Tesla V100-SXM2-16GB"),
    Case(rule="gpu-present", verdict=WORKS, needs=needs(), machine=machine(INTEL, gpu("RTX 4090")), says="RTX 4090"),
    Case(
        rule="gpu-present", verdict=FAILS, needs=needs(), machine=machine(), says="this machine has none", hint="gpu="
    ),
    Case(
        rule="gpu-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(AMD, **NO_DRIVER),
        says="AMD Instinct MI300X, of AMD",
        hint="ROCm",
    ),
    Case(
        rule="gpu-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(INTEL, **NO_DRIVER),
        says="Intel Arc A770, of Intel",
        hint="SYCL",
    ),
    Case(
        rule="gpu-present",
        verdict=FAILS,
        needs=needs(),
        machine=machine(APPLE, os="macos", arch="aarch64", **NO_DRIVER),
        says="Apple M3 Pro, of Apple",
        hint="Metal",
    ),
    Case(rule="gpu-present", verdict=FAILS, needs=needs(), machine=machine(OTHER), says="of an unknown maker"),
    Case(rule="gpu-present", verdict=UNKNOWN, needs=needs(), machine=NOBODY_LOOKED, says="is not known", hint="gpu="),
    *(
        Case(rule="gpu-present", verdict=DEGRADED, needs=needs(runs_without_gpu=True), machine=here, says="use the CPU")
        for here in (machine(), machine(AMD, **NO_DRIVER))
    ),
    Case(rule="gpu-present", verdict=UNKNOWN, needs=needs(runs_without_gpu=True), machine=NOBODY_LOOKED),
    Case(rule="gpu-present", verdict=WORKS, needs=needs(uses_gpu=False), machine=machine(), silent=True),
    # ---- CUDA's reach
    Case(rule="gpu-visible", verdict=WORKS, needs=needs(), machine=machine(gpu()), silent=True),
    Case(rule="gpu-visible", verdict=WORKS, needs=needs(), machine=machine(MIG_DEVICE), silent=True),
    Case(
        rule="gpu-visible",
        verdict=FAILS,
        needs=needs(),
        machine=machine(MIG_WITHOUT_DEVICE),
        says="MIG mode is on and no instance was made",
        hint="nvidia-smi mig",
    ),
    Case(
        rule="gpu-visible",
        verdict=DEGRADED,
        needs=needs(),
        machine=machine(MIG_WITHOUT_DEVICE, gpu("A100")),
        says="MIG mode is on",
    ),
    Case(
        rule="gpu-visible",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu("A100", mig="enabled")),
        says="MIG mode is on",
    ),
    Case(
        rule="gpu-visible",
        verdict=FAILS,
        needs=needs(),
        machine=machine(gpu("RTX 3090", usable=False), error="libcuda: CUDA_ERROR_UNKNOWN (999)"),
        says="RTX 3090 (8.6): libcuda: CUDA_ERROR_UNKNOWN (999)",
    ),
    Case(rule="gpu-visible", verdict=FAILS, needs=needs(), machine=machine(gpu("RTX 3090", usable=False))),
    Case(rule="gpu-visible", verdict=WORKS, needs=needs(), machine=machine(AMD), silent=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_hardware_rules(case: Case) -> None:
    """Each case gets its verdict and its words."""
    case.check()


def test_each_maker_is_named_with_its_own_gpus() -> None:
    """Of two foreign makers neither is given the other's board."""
    ((verdict, message),) = words_of("gpu-present", needs(), machine(INTEL, AMD))
    assert verdict is FAILS
    assert message == "CUDA needs an NVIDIA GPU; here is Intel Arc A770, of Intel; AMD Instinct MI300X, of AMD"


@pytest.mark.parametrize("foreign", [AMD, INTEL, APPLE, OTHER])
def test_of_other_makers_nothing_but_the_maker_is_said(foreign: Gpu) -> None:
    """Where no GPU is NVIDIA's, a missing driver is no finding of its own."""
    found = check(needs(cuda="12.4", jit="sass"), machine(foreign, **NO_DRIVER))
    assert [finding.rule for finding in found if finding.verdict is not WORKS] == ["gpu-present"]


def test_a_mig_device_is_judged_as_its_board() -> None:
    """It has the board's compute capability (NVIDIA, MIG User Guide), so the same code runs."""
    found = check(needs(cuda="12.4", jit="sass"), machine(MIG_DEVICE))
    assert {finding.verdict for finding in found} == {WORKS}


def test_a_board_in_mig_mode_is_no_gpu_that_a_package_could_use() -> None:
    """Only `gpu-visible` speaks of it: no rule says that code would run there."""
    found = check(needs(cuda="12.4", jit="sass"), machine(gpu("A100", mig="enabled")))
    assert not [finding for finding in found if finding.rule.startswith("toolkit")]


@pytest.mark.parametrize("here", [NOBODY_LOOKED, machine(gpu("mystery"), driver=None, state=DriverState.UNKNOWN)])
def test_what_is_not_known_of_a_machine_does_not_work(here: Machine) -> None:
    """Neither for GPU work in general nor for any line of CUDA does an unknown machine get `works`."""
    report = report_machine(here)
    assert report.verdict is not WORKS
    assert not [line.cuda for line in report.cuda_lines if line.verdict is WORKS]


def test_a_gpu_of_unknown_generation_beside_a_known_one_is_not_passed_over() -> None:
    """The code runs on the V100; whether the driver serves the other one is not known, so neither is the whole."""
    asked = needs(cuda="12.4", libraries=(library("9: sm_70 sm_80"),))
    assert verdict_of(check(asked, machine(gpu(), gpu("mystery")))) is UNKNOWN


def test_an_unknown_driver_is_unknown() -> None:
    """A GPU without a word on its driver works for nobody, and fails for nobody either."""
    here = Machine(system=NOBODY_LOOKED.system, gpus=(gpu(),), driver=Driver())
    verdicts = {line.verdict for line in report_machine(here).cuda_lines if line.cuda.major in {11, 12}}
    assert verdicts == {UNKNOWN}
