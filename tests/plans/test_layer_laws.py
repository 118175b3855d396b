"""Laws of the GPU layer: what holds for every request, and the ways in which it is asked."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Machine, Verdict
from gpuenv.plans.candidates import Tier
from gpuenv.plans.explain import explain
from gpuenv.plans.layer import Layer, choose_layer, on_a_gpu_machine
from gpuenv.plans.setting import Setting
from gpuenv.plans.solver import matches
from gpuenv.plans.specs import read_specs

PACKAGES = ("pytorch", "tensorflow", "jax", "cupy", "numba", "py-xgboost", "torchvision", "keras", "chainer", "mxnet")
MACHINES = (
    "gpu=A100,driver=535.129.03",
    "gpu=V100,driver=580.65.06",
    "gpu=T4,driver=450.80.02",
    "gpu=RTX 5090,driver=570.133.07",
    "gpu=GTX 1080 Ti,driver=550.54.15",
    "gpu=RTX 5090,gpu=GTX 1080 Ti,driver=580.65.06",
    "gpu=GB10,driver=580.95.05",
    "os=windows,gpu=RTX 4090,driver=551.23",
    "gpu=V100,driver=nouveau",
    "gpu=L4",
    "gpu=none",
    "os=macos",
)


def machine(text: str, python: str = "3.11") -> Machine:
    """A machine to plan for."""
    return with_assumptions(parse_machine(text), python)


def setting(text: str, python: str = "3.11") -> Setting:
    """The same as the only machine of a plan."""
    return Setting(machines=(machine(text, python),))


def layer(text: str, *specs: str, python: str = "3.11") -> Layer:
    """The layer that a machine gets for a request."""
    wanted = read_specs(specs)
    return choose_layer(wanted.gpu, setting(text, python), wanted.bounds)


@given(
    st.sampled_from(MACHINES),
    st.lists(st.sampled_from(PACKAGES), min_size=1, max_size=3, unique=True),
    st.sampled_from(["3.9", "3.11", "3.13"]),
)
@settings(max_examples=20, deadline=None)
def test_a_layer_is_whole_and_consistent(text: str, packages: list[str], python: str) -> None:
    """Every pick runs no worse than the layer's tier, has what it depends on and goes with what it constrains; without
    an NVIDIA GPU none is a GPU build; it can be explained, and a refusal has reasons.
    """
    try:
        found = layer(text, *packages, python=python)
    except NoPlanError as refusal:
        assert refusal.reasons  # noqa: PT017  (a refusal is as good an answer as a layer)
        return
    for name in packages:
        assert name in found.picks
    for pick in found.picks.values():
        assert pick.tier <= found.worst < Tier.REFUSED
        for depend in pick.build.depends:
            other = found.picks.get(depend.split()[0])
            assert other is None or matches(depend, other), f"{pick.build.project}: {depend}"
            assert other is not None or depend.split()[0] not in found.candidates
        for constrain in pick.build.constrains:
            other = found.picks.get(constrain.split()[0])
            assert other is None or matches(constrain, other), f"{pick.build.project}: {constrain}"
    if not machine(text).nvidia_gpus and machine(text).gpus is not None:
        assert not [name for name, pick in found.picks.items() if pick.build.gpu]
    explain(found, read_specs(tuple(packages)).gpu, setting(text, python))


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("gpu=A100,driver=535.129.03", ("tensorflow-gpu", "cupy", "pytorch")),
        ("gpu=A100,driver=580.65.06", ("cudatoolkit", "cupy", "pytorch")),
        ("gpu=A100,driver=535.129.03", ("numba", "pytorch=2.10")),
        ("gpu=T4,driver=580.65.06", ("cudnn", "pytorch", "torchvision")),
        ("gpu=none", ("cudatoolkit=12.1", "pytorch", "numba")),
    ],
)
def test_the_order_of_specs_does_not_matter(text: str, specs: tuple[str, ...]) -> None:
    """The same packages, versions and builds come out however a request is ordered."""
    answers = set()
    for order in itertools.permutations(specs):
        picks = layer(text, *order).picks
        answers.add(tuple(sorted((name, pick.build.version, pick.build.build) for name, pick in picks.items())))
    assert len(answers) == 1


@pytest.mark.parametrize("specs", [("pytorch",), ("tensorflow-gpu", "pytorch"), ("cupy",), ("jax", "numba")])
def test_a_newer_driver_never_takes_a_package_off_the_gpu(specs: tuple[str, ...]) -> None:
    """On a GPU that all of these drivers serve, what runs on it with one runs on it with the next."""
    on_gpu: set[str] = set()
    for driver in ("525.60.13", "535.129.03", "570.133.07", "580.65.06"):
        picks = layer(f"gpu=A100,driver={driver}", *specs).picks
        assert [name for name in on_gpu if name in picks and not picks[name].build.gpu] == [], driver
        on_gpu = {name for name, pick in picks.items() if pick.build.gpu}
    assert len(on_gpu) >= len(specs)


def test_unknown_never_becomes_works() -> None:
    """Where the driver is not known, no GPU build has the verdict works."""
    picks = layer("gpu=A100", "pytorch", "cupy", "py-xgboost").picks
    assert {pick.verdict for pick in picks.values() if pick.build.gpu} == {Verdict.UNKNOWN}


def test_a_library_is_of_the_python_that_the_plan_is_for() -> None:
    """NumPy's newest releases have no wheels for Python 3.11, with a GPU or without one."""
    for text in ("gpu=none", "gpu=A100,driver=535.129.03"):
        numpy = layer(text, "numba").picks["numpy"]
        assert "3.11" in (numpy.build.needs.pythons or ())
        assert numpy.build.build == "py311_0"


def test_what_a_gpu_machine_would_get_is_a_gpu_build() -> None:
    """A CPU choice is compared with a current NVIDIA GPU; nothing comes out where nothing would differ."""
    here = setting("gpu=none")
    there = on_a_gpu_machine(read_specs(("py-xgboost", "numba")).gpu, here)
    assert {"py-xgboost", "numba"} <= there.keys()
    assert all(pick.build.gpu for pick in there.values())
    assert on_a_gpu_machine(read_specs(("caffe",)).gpu, here) == {}


def test_a_layer_can_be_chosen_inside_a_running_loop() -> None:
    """Notebooks run their cells inside an event loop, in which another cannot be started."""

    async def cell() -> str:
        return layer("gpu=A100,driver=535.129.03", "pytorch").picks["pytorch"].build.version

    assert asyncio.run(cell()) == "2.10.0"


SHORT_PROGRAM = """
from gpuenv.machines.written import parse_machine
from gpuenv.plans.layer import choose_layer
from gpuenv.channels.assumptions import with_assumptions
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import read_specs
here = Setting(machines=(with_assumptions(parse_machine("gpu=none"), "3.11"),))
choose_layer(read_specs(("mxnet",)).gpu, here)
"""


def test_a_program_that_ends_right_after_a_choice_ends_well() -> None:
    """The solver's own threads are done by then: they would bring a Python down that is about to end."""
    statuses = [subprocess.run([sys.executable, "-c", SHORT_PROGRAM], check=False).returncode for _ in range(4)]
    assert statuses == [0, 0, 0, 0]
