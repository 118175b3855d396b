"""The real pytorch channel: each machine gets the build that it can run, and is told why it got no other one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import GpuPolicy, Plan, Request, Sources
from gpuenv.plans.make import make_plan
from pytorch_snapshot import pytorch_channel

NO_GPU = "gpu=none"
V100 = "gpu=V100,driver=470.82.01"
A100 = "gpu=A100,driver=525.60.13"
H100 = "gpu=H100,driver=535.129.03"
PASCAL = "gpu=GTX 1080 Ti,driver=580.65.06"


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The snapshot as a channel on disk; it lists packages and has none of them."""
    return pytorch_channel(tmp_path_factory.mktemp("snapshot"))


@pytest.fixture
def _alone(only_loopback: pytest.MonkeyPatch) -> None:
    """No setting of the user's."""


def plan_for(channel: Path, machine: str, *specs: str, gpu: GpuPolicy = GpuPolicy.PREFER) -> Plan:
    """A plan of conda packages only."""
    request = Request(specs=specs, channels=(str(channel),), sources=Sources.CONDA, gpu=gpu)
    return make_plan(request, parse_machine(machine))


def build_of(plan: Plan, name: str) -> tuple[str, str]:
    """Version and build of a package, the Python of the build left out."""
    found = next(one for one in plan.conda if one.name == name)
    return found.version, found.build.partition("_")[2]


PYTORCH = [
    (NO_GPU, ("2.1.0", "cpu_0")),
    (V100, ("2.1.0", "cuda11.8_cudnn8.7.0_0")),
    (A100, ("2.1.0", "cuda12.1_cudnn8.9.2_0")),
    (H100, ("2.1.0", "cuda12.1_cudnn8.9.2_0")),
    (PASCAL, ("2.1.0", "cuda12.1_cudnn8.9.2_0")),
]
OLD = [
    (NO_GPU, ("1.13.1", "cpu_0")),
    (V100, ("1.13.1", "cuda11.7_cudnn8.5.0_0")),
    (A100, ("1.13.1", "cuda11.7_cudnn8.5.0_0")),
    # No build of 1.13 is for a CUDA that makes code for Hopper.
    (H100, ("1.13.1", "cpu_0")),
]
MACHINES = [NO_GPU, V100, A100, H100]


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize(("machine", "build"), PYTORCH)
def test_pytorch_is_the_newest_build_for_the_driver(channel: Path, machine: str, build: tuple[str, str]) -> None:
    """CUDA 12.1 where the driver serves 12, CUDA 11.8 on driver 470, and the CPU build without a GPU."""
    assert build_of(plan_for(channel, machine, "pytorch"), "pytorch") == build


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize(("machine", "build"), OLD)
def test_a_version_stays_the_one_asked_for(channel: Path, machine: str, build: tuple[str, str]) -> None:
    """`pytorch=1.13` is 1.13.1 in the build that fits the machine, be it the one for the CPU."""
    assert build_of(plan_for(channel, machine, "pytorch=1.13"), "pytorch") == build


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("machine", MACHINES[1:])
def test_pytorch_cuda_chooses_the_line_of_all(channel: Path, machine: str) -> None:
    """With `pytorch-cuda=11.8` torch and torchvision are built for CUDA 11.8 on each of the GPUs."""
    plan = plan_for(channel, machine, "pytorch", "torchvision", "pytorch-cuda=11.8")
    assert build_of(plan, "pytorch") == ("2.1.0", "cuda11.8_cudnn8.7.0_0")
    assert build_of(plan, "torchvision") == ("0.16.0", "cu118")
    assert build_of(plan, "pytorch-cuda")[0] == "11.8"


@pytest.mark.usefixtures("_alone")
def test_pytorch_cuda_without_a_gpu_takes_cpu_builds(channel: Path) -> None:
    """No build for a GPU is given to a machine without one, as conda's classic solver has it, too."""
    plan = plan_for(channel, NO_GPU, "pytorch", "torchvision", "pytorch-cuda=11.8")
    assert build_of(plan, "pytorch") == ("2.1.0", "cpu_0")
    assert build_of(plan, "torchvision") == ("0.16.0", "cpu")


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("machine", MACHINES)
def test_cpuonly_takes_the_newest_cpu_build_everywhere(channel: Path, machine: str) -> None:
    """No older build for a GPU slips through, though those before 1.10 know `cpuonly` only as a feature."""
    plan = plan_for(channel, machine, "pytorch", "cpuonly")
    assert build_of(plan, "pytorch") == ("2.1.0", "cpu_0")


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("order", ["reversed", 3, 11])
@pytest.mark.parametrize("machine", MACHINES)
def test_the_order_of_records_decides_nothing(channel: Path, tmp_path: Path, machine: str, order: int) -> None:
    """The plan is the same for a channel that lists its packages in another order."""
    other = pytorch_channel(tmp_path, order=order)
    names = [(one.name, one.version, one.build) for one in plan_for(channel, machine, "pytorch", "torchvision").conda]
    plan = plan_for(other, machine, "pytorch", "torchvision")
    assert [(one.name, one.version, one.build) for one in plan.conda] == names


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize("mutex", [{"cpu": 7}, {"cuda": 7}])
def test_a_mutex_that_prefers_one_kind_decides_nothing(tmp_path: Path, mutex: dict[str, int]) -> None:
    """Whatever build numbers the mutex has, an A100 gets the GPU build and a machine without a GPU the CPU build."""
    channel = pytorch_channel(tmp_path, mutex=mutex)
    assert build_of(plan_for(channel, A100, "pytorch"), "pytorch")[1].startswith("cuda12.1")
    assert build_of(plan_for(channel, NO_GPU, "pytorch"), "pytorch")[1].startswith("cpu")


REASONS = [
    (V100, "pytorch", "cuda12.1", "CUDA 12.1 needs driver 525.60.13 or later; here is driver 470.82.01"),
    (NO_GPU, "pytorch", "cuda12.1", "needs an NVIDIA GPU; this machine has none"),
    (H100, "pytorch=1.13", "cuda11.7", "Hopper needs 11.8 or later"),
    (H100, "pytorch=1.13", "cuda11.6", "Hopper needs 11.8 or later"),
]


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize(("machine", "spec", "line", "reason"), REASONS)
def test_each_build_that_was_passed_over_has_its_reason(
    channel: Path, machine: str, spec: str, line: str, reason: str
) -> None:
    """The build for each CUDA is told with what spoke against it, for the Python that was chosen."""
    plan = plan_for(channel, machine, spec)
    python = f"py{plan.python}_"
    (choice,) = plan.explanation.choices
    version = next(one.version for one in plan.conda if one.name == "pytorch")
    passed = [one for one in choice.passed_over if one.version == version and one.build.startswith(f"{python}{line}")]
    assert [reason in one.reason.message for one in passed] == [True]


@pytest.mark.usefixtures("_alone")
def test_what_nobody_read_is_unknown_and_said(channel: Path) -> None:
    """The files are not there, so no machine code was read: the verdict is `unknown`, never `works`."""
    plan = plan_for(channel, A100, "pytorch")
    (package,) = plan.packages
    assert (package.gpu, package.verdict.value, package.source) == (True, "unknown", str(channel))
    assert any("was not read" in note for note in plan.explanation.notes)


@pytest.mark.usefixtures("_alone")
def test_policies_count_for_channels_too(channel: Path) -> None:
    """`--gpu never` takes the CPU build of an A100, `--gpu require` finds none on a machine without a GPU."""
    assert build_of(plan_for(channel, A100, "pytorch", gpu=GpuPolicy.NEVER), "pytorch")[1].startswith("cpu")
    with pytest.raises(NoPlanError) as caught:
        plan_for(channel, NO_GPU, "pytorch", gpu=GpuPolicy.REQUIRE)
    assert any("needs an NVIDIA GPU" in reason for reason in caught.value.reasons)


@pytest.mark.usefixtures("_alone")
def test_a_name_that_no_channel_has_is_told_with_what_looks_like_it(channel: Path) -> None:
    """A slip is answered with the channels that were asked and a name that they have."""
    with pytest.raises(NoPlanError) as caught:
        plan_for(channel, A100, "pytorhc")
    assert caught.value.message == "no channel has `pytorhc`"
    assert any("`pytorch`" in hint for hint in caught.value.hints)
