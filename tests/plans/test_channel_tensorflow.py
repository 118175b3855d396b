"""TensorFlow as Anaconda's channel has it: three variants behind a mutex, metapackages, Keras on plain `tensorflow`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, Sources
from gpuenv.plans.make import make_plan
from tensorflow_channel import tensorflow_channel

NO_GPU = "gpu=none"
A100 = "gpu=A100,driver=535.129.03"
PASCAL = "gpu=GTX 1080 Ti,driver=580.65.06"
OLD_DRIVER = "gpu=V100,driver=418.87.00"
pytestmark = pytest.mark.usefixtures("only_loopback")


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The channel; nothing changes it."""
    return tensorflow_channel(tmp_path_factory.mktemp("tensorflow"))


def plan_for(channel: Path, machine: str, *specs: str, keep: Plan | None = None) -> Plan:
    """A plan of conda packages only."""
    request = Request(specs=specs, channels=(str(channel),), sources=Sources.CONDA)
    return make_plan(request, parse_machine(machine), keep=keep)


def variant(plan: Plan) -> tuple[str, str]:
    """The version of TensorFlow and its variant; the wrapper, its base and the mutex agree."""
    builds = {one.name: (one.version, one.build.partition("_")[0]) for one in plan.conda}
    assert builds["tensorflow"] == builds["tensorflow-base"]
    assert next(one.build for one in plan.conda if one.name == "_tflow_select") == builds["tensorflow"][1]
    return builds["tensorflow"]


CHOSEN = [
    (NO_GPU, "tensorflow", ("2.9.1", "mkl")),
    (NO_GPU, "keras", ("2.9.1", "mkl")),
    (A100, "tensorflow", ("2.9.1", "gpu")),
    (A100, "keras", ("2.9.1", "gpu")),
    (A100, "keras-gpu", ("2.9.1", "gpu")),
    (A100, "tensorflow=*=mkl_*", ("2.9.1", "mkl")),
    (A100, "tensorflow=*=eigen_*", ("2.9.1", "eigen")),
    (A100, "tensorflow-eigen", ("2.9.1", "eigen")),
    (PASCAL, "tensorflow-gpu", ("2.9.1", "gpu")),
    # CUDA 11 needs a newer driver than 418, CUDA 10.1 does not.
    (OLD_DRIVER, "tensorflow", ("2.4.1", "gpu")),
    (OLD_DRIVER, "tensorflow-gpu", ("2.4.1", "gpu")),
    (OLD_DRIVER, "tensorflow=2.9", ("2.9.1", "mkl")),
]


@pytest.mark.parametrize(("machine", "spec", "chosen"), CHOSEN)
def test_each_machine_gets_its_variant(channel: Path, machine: str, spec: str, chosen: tuple[str, str]) -> None:
    """The GPU variant where driver and GPU can run it, though the mutex of the channel prefers mkl; else as asked."""
    assert variant(plan_for(channel, machine, spec)) == chosen


def test_the_gpu_metapackage_is_refused_without_a_gpu(channel: Path) -> None:
    """The reason is the machine, in words, and no wall of the solver's."""
    with pytest.raises(NoPlanError) as caught:
        plan_for(channel, NO_GPU, "tensorflow-gpu")
    assert any("needs an NVIDIA GPU" in reason for reason in caught.value.reasons)


def test_switching_the_variant_leaves_keras_where_it_is(channel: Path) -> None:
    """`tensorflow=*=mkl_*` beside Keras changes TensorFlow and its mutex, not what depends on plain tensorflow."""
    before = plan_for(channel, A100, "keras", "tensorflow")
    after = plan_for(channel, A100, "keras", "tensorflow=*=mkl_*", keep=before)
    assert (variant(before)[1], variant(after)[1]) == ("gpu", "mkl")
    kept = [
        {one.url for one in plan.conda if "tflow" not in one.name and one.name[:6] != "tensor"}
        for plan in (before, after)
    ]
    assert kept[1] <= kept[0] | {one.url for one in after.conda if one.name == "mkl"}
    back = plan_for(channel, A100, "keras", "tensorflow=*=gpu_*", keep=after)
    assert variant(back) == variant(before)


def test_another_build_is_taken_of_the_same_release_where_there_is_one(channel: Path) -> None:
    """TensorFlow 2.4.1 for the GPU becomes 2.4.1 with MKL, not the newest release."""
    before = plan_for(channel, PASCAL, "keras", "tensorflow=2.4.1=gpu_*")
    after = plan_for(channel, PASCAL, "keras", "tensorflow=*=mkl_*", keep=before)
    assert (variant(before), variant(after)) == (("2.4.1", "gpu"), ("2.4.1", "mkl"))
