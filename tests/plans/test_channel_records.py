"""Records as channels really have them, odd and broken ones among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import GpuPolicy, Plan, Request, Sources
from gpuenv.plans.explained import explain_plans
from gpuenv.plans.make import make_plan
from little_channel import LittlePackage, make_channel
from targets.made_packages import library, sass

A100 = "gpu=A100,driver=525.60.13"
V100 = "gpu=V100,driver=470.82.01"
NO_GPU = "gpu=none"
pytestmark = pytest.mark.usefixtures("only_loopback")

CUDA_VERSIONS = [
    {"name": "cuda-version", "version": line, "build": "h0_3", "constrains": [f"__cuda >={line.partition('.')[0]}"]}
    for line in ("11.8", "12.4", "12.6", "13.0")
]


def record(name: str, version: str = "1.0", build: str = "0", **more: Any) -> dict[str, Any]:
    """A record for Linux without a file."""
    return {"name": name, "version": version, "build": build, "subdir": "linux-64", **more}


def channel(directory: Path, records: Iterable[Mapping[str, Any]], *packages: LittlePackage, **more: Any) -> Path:
    """A channel that lists these records, and has CUDA's versions."""
    return make_channel(directory, packages, records=[*CUDA_VERSIONS, *records], **more)


def plan_for(place: Path, machine: str, *specs: str, gpu: GpuPolicy = GpuPolicy.PREFER) -> Plan:
    """A plan of conda packages only."""
    request = Request(specs=specs, channels=(str(place),), sources=Sources.CONDA, gpu=gpu)
    return make_plan(request, parse_machine(machine))


def build_of(plan: Plan, name: str) -> tuple[str, str]:
    """Version and build of a package."""
    return next((one.version, one.build) for one in plan.conda if one.name == name)


BROKEN = [
    {"constrains": [""]},
    {"depends": ["cuda-version $$"]},
    {"depends": ["{{ cuda }}"]},
    {"depends": [""]},
    {"depends": ["no/name at all"]},
]


@pytest.mark.parametrize("wrong", BROKEN, ids=str)
def test_a_record_that_no_solver_can_take_hides_no_other(tmp_path: Path, wrong: dict[str, Any]) -> None:
    """The newest release has a requirement that is none, so the one before it is taken, and nothing fails."""
    good = record("m", "1.0", "cuda126_0", depends=["cuda-version >=12.6,<13"])
    place = channel(tmp_path, [good, record("m", "2.0", "cuda126_0", **wrong)])
    assert build_of(plan_for(place, A100, "m"), "m") == ("1.0", "cuda126_0")


def test_a_requirement_with_a_channel_is_one_on_the_package(tmp_path: Path) -> None:
    """`nvidia::cuda-version >=12.6` in a record is met by the cuda-version that there is."""
    place = channel(tmp_path, [record("m", "2.0", "cuda126_0", depends=["nvidia::cuda-version >=12.6"])])
    assert build_of(plan_for(place, A100, "m"), "m") == ("2.0", "cuda126_0")


def test_a_file_that_is_listed_twice_counts_once(tmp_path: Path) -> None:
    """In two channels that count alike, and among old and new records of one channel."""
    twice = record("tool", "1.0")
    place = channel(tmp_path, [twice], v3=[twice])
    assert build_of(plan_for(place, NO_GPU, "tool"), "tool") == ("1.0", "0")


def test_channels_that_count_alike_give_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`channel_priority: disabled` takes the newest of both, though a file is in both."""
    first = channel(tmp_path / "first", [record("tool", "1.0")])
    second = channel(tmp_path / "second", [record("tool", "1.0"), record("tool", "2.0")])
    condarc = tmp_path / "condarc.yml"
    condarc.write_text("channel_priority: disabled\n", "utf-8")
    monkeypatch.setenv("CONDARC", str(condarc))
    request = Request(specs=("tool", "cuda-version"), channels=(str(first), str(second)), sources=Sources.CONDA)
    assert build_of(make_plan(request, parse_machine(A100)), "tool") == ("2.0", "0")


def test_a_clash_is_told_rather_than_that_nobody_read_it(tmp_path: Path) -> None:
    """A build that the rest of the request shuts out has that for its reason, though its code was not read either."""
    builds = [
        record("v", "2.0", "cuda126_0", depends=["cuda-version >=12.6,<13"]),
        record("v", "2.0", "cpu_0"),
    ]
    plan = plan_for(channel(tmp_path, builds), A100, "v", "cuda-version=12.4")
    assert build_of(plan, "v") == ("2.0", "cpu_0")
    (passed,) = next(one for one in plan.explanation.choices if one.package == "v").passed_over
    assert "needs CUDA 12.6" in passed.reason.message


def test_what_the_machine_does_not_offer_is_told(tmp_path: Path) -> None:
    """A bound on a virtual package that has nothing to do with GPUs is a reason in words, too."""
    builds = [record("v", "2.0", "cuda126_0", depends=["__linux >=999", "__cuda"]), record("v", "2.0", "cpu_0")]
    plan = plan_for(channel(tmp_path, builds), A100, "v")
    (choice,) = plan.explanation.choices
    assert "needs `__linux >=999`" in choice.passed_over[0].reason.message


def test_constraints_on_the_driver_count(tmp_path: Path) -> None:
    """`cuda-version` 12.4 constrains `__cuda >=12`, which driver 470 does not offer; no driver, no constraint."""
    place = channel(tmp_path, [])
    with pytest.raises(NoPlanError) as caught:
        plan_for(place, V100, "cuda-version=12.4")
    assert any("asks for `__cuda >=12`" in reason for reason in caught.value.reasons)
    assert build_of(plan_for(place, NO_GPU, "cuda-version=12.4"), "cuda-version")[0] == "12.4"
    assert build_of(plan_for(place, V100, "cuda-version"), "cuda-version")[0] == "11.8"


@pytest.mark.parametrize("machine", [NO_GPU, A100])
@pytest.mark.parametrize("with_cuda", [False, True])
def test_builds_for_other_makers_gpus_are_no_cpu_builds(tmp_path: Path, machine: str, with_cuda: bool) -> None:
    """A build for ROCm with the highest number is given to nobody without such a GPU."""
    builds = [
        record("v", "1.0", "rocm62_0", build_number=200, depends=["hip"]),
        record("hip", "6.2"),
        record("v", "1.0", "cpu_0"),
    ]
    builds += [record("v", "1.0", "cuda126_0", depends=["cuda-version >=12.6,<13"])] if with_cuda else []
    plan = plan_for(channel(tmp_path, builds), machine, "v")
    assert build_of(plan, "v")[1] == ("cuda126_0" if with_cuda and machine == A100 else "cpu_0")


def test_build_numbers_of_the_channel_can_be_asked_for(tmp_path: Path) -> None:
    """By a spec, and by another package."""
    builds = [
        record("v", "1.0", "cuda126_100", build_number=100, depends=["cuda-version >=12.6,<13"]),
        record("v", "1.0", "cpu_0"),
        record("app", "1.0", depends=["v[build_number=100]"]),
    ]
    place = channel(tmp_path, builds)
    assert build_of(plan_for(place, A100, "v[build_number=100]"), "v")[1] == "cuda126_100"
    assert build_of(plan_for(place, A100, "app"), "v")[1] == "cuda126_100"


def test_policies_wait_for_what_is_read(tmp_path: Path) -> None:
    """`--gpu require` takes a build whose metadata says nothing of the GPU code in it."""
    packages = [
        LittlePackage(name="h", version=version, subdir="linux-64", files={"lib/libh.so": library(sass(number))})
        for version, number in (("2.0", 90), ("1.0", 80))
    ]
    plan = plan_for(channel(tmp_path, [], *packages), A100, "h", gpu=GpuPolicy.REQUIRE)
    assert build_of(plan, "h")[0] == "1.0"


@pytest.mark.parametrize("reverse", [False, True])
def test_of_two_that_are_alike_the_order_decides_nothing(tmp_path: Path, reverse: bool) -> None:
    """Same version and number, another build string: the plan is the same however the channel lists them."""
    alike = [record("v", "1.0", f"cuda126_{one}_0", depends=["cuda-version >=12.6,<13"]) for one in "ab"]
    place = channel(tmp_path, reversed(alike) if reverse else alike)
    assert build_of(plan_for(place, A100, "v"), "v")[1] == "cuda126_a_0"


def test_a_condition_makes_no_gpu_build(tmp_path: Path) -> None:
    """What is asked for only where there is a driver keeps nothing from a machine without one."""
    package = LittlePackage(name="v", depends=('cuda-version[when="__cuda >=12"]',), subdir="linux-64")
    place = channel(tmp_path, [], package)
    assert build_of(plan_for(place, NO_GPU, "v"), "v") == ("1.0", "0")


@pytest.mark.parametrize("build", ["no_cuda_0", "non_gpu_0", "without_cuda_0", "nocuda_0"])
def test_a_build_that_says_it_has_no_cuda_is_none_for_the_gpu(tmp_path: Path, build: str) -> None:
    """Its name is not taken for its opposite."""
    place = channel(tmp_path, [record("v", "1.0", build)])
    assert build_of(plan_for(place, NO_GPU, "v"), "v")[1] == build


def test_explaining_needs_no_second_look_at_the_channel(tmp_path: Path) -> None:
    """What would change the answer is found from what was read, though a plan keeps no login."""
    builds = [record("v", "1.0", "cuda130_0", depends=["cuda-version 13.*"]), record("v", "1.0", "cpu_0")]
    place = channel(tmp_path, builds)
    request = Request(specs=("v",), channels=(str(place),), sources=Sources.CONDA)
    found = explain_plans(request, [parse_machine(A100)])
    (what_if,) = found.plans[0].explanation.what_if
    assert what_if.change.startswith("driver 580")
