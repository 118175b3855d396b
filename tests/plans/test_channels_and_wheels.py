"""Conda packages and wheels in one plan: channels where they have a package, wheels for the rest, in one solve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, Sources
from gpuenv.plans.make import make_plan
from little_channel import LittlePackage, make_channel, python_package
from loopback_index import LoopbackIndex
from targets.made_packages import library, put, sass

A100 = "gpu=A100,driver=580.65.06"
NO_GPU = "gpu=none"
PURE = "py3-none-any"


def plan_for(channel: Path, machine: str, *specs: str, sources: Sources = Sources.ALL, **more: Any) -> Plan:
    """A plan from a channel and from the index that `uv` was pointed at."""
    request = Request(specs=specs, channels=(str(channel),), sources=sources, **more)
    return make_plan(request, parse_machine(machine))


def wheels(plan: Plan) -> dict[str, str]:
    """What comes as wheels."""
    return {one.name: one.version for one in plan.wheels}


def conda(plan: Plan) -> dict[str, str]:
    """What comes from the channel."""
    return {one.name: one.version for one in plan.conda}


def pure(name: str, version: str, *depends: str) -> LittlePackage:
    """A conda package of Python code."""
    return LittlePackage(name=name, version=version, noarch="python", depends=("python", *depends))


def test_what_a_channel_lacks_comes_as_a_wheel(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """`tool` is in the channel, `helper` only on the index; the channel's Python is the one of both."""
    channel = make_channel(tmp_path, [python_package("3.11.7"), pure("tool", "1.0")])
    put(own_index, "helper", {"helper.py": b""}, version="2.0", tag=PURE)
    plan = plan_for(channel, NO_GPU, "tool", "helper")
    assert (conda(plan), wheels(plan)) == ({"python": "3.11.7", "tool": "1.0"}, {"helper": "2.0"})
    assert plan.python == "3.11"


def test_a_wheel_finds_what_conda_brings(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """A wheel that needs `tool` gets conda's, which stays out of the lock; the index need not have it at all."""
    channel = make_channel(tmp_path, [python_package("3.11.7"), pure("tool", "1.5")])
    put(own_index, "helper", {"helper.py": b""}, version="2.0", tag=PURE, requires=("tool>=1.4",))
    plan = plan_for(channel, NO_GPU, "tool", "helper")
    assert (conda(plan)["tool"], wheels(plan)) == ("1.5", {"helper": "2.0"})
    assert "tool" not in plan.pylock


def test_a_wheel_that_does_not_suit_what_conda_brings_is_passed_over(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """The newest helper needs a newer tool than the channel has, so an older one is taken."""
    channel = make_channel(tmp_path, [python_package("3.11.7"), pure("tool", "1.5")])
    put(own_index, "helper", {"helper.py": b""}, version="3.0", tag=PURE, requires=("tool>=2",))
    put(own_index, "helper", {"helper.py": b""}, version="2.0", tag=PURE, requires=("tool<2",))
    assert wheels(plan_for(channel, NO_GPU, "tool", "helper")) == {"helper": "2.0"}
    with pytest.raises(NoPlanError):
        plan_for(channel, NO_GPU, "tool", "helper>=3")


def test_without_a_python_in_the_channel_the_machines_is_used(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """A library from the channel and a wheel: Python is the one found, or meant, on the machine."""
    channel = make_channel(tmp_path, [LittlePackage(name="libtool", version="1.0", subdir="linux-64")])
    put(own_index, "helper", {"helper.py": b""}, version="2.0", tag=PURE)
    plan = plan_for(channel, NO_GPU, "libtool", "helper", python="3.11")
    assert (conda(plan), wheels(plan), plan.python) == ({"libtool": "1.0"}, {"helper": "2.0"}, "3.11")
    assert not plan.has_conda_python


def test_code_for_python_from_a_channel_goes_with_the_machines_python(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """A channel that has Python code and no Python relies on the one that is there."""
    put(own_index, "helper", {"helper.py": b""}, version="2.0", tag=PURE)
    channel = make_channel(tmp_path, [pure("tool", "1.0")])
    plan = plan_for(channel, NO_GPU, "tool", "helper", python="3.11")
    assert (conda(plan), wheels(plan)) == ({"tool": "1.0"}, {"helper": "2.0"})


def test_a_wheels_own_name_is_the_projects_in_the_channel(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """`torch` is `pytorch` where the channel has that, and wheels on top of torch get along with it."""
    torch = LittlePackage(
        name="pytorch",
        version="2.1.0",
        build="cuda121_py311_0",
        subdir="linux-64",
        depends=("python 3.11.*", "__cuda >=12"),
        files={"lib/libtorch.so": library(sass(80))},
    )
    channel = make_channel(tmp_path, [python_package("3.11.7"), torch])
    put(own_index, "on-top", {"on_top.py": b""}, version="1.0", tag=PURE, requires=("torch>=2",))
    plan = plan_for(channel, A100, "torch", "on-top")
    assert (conda(plan)["pytorch"], wheels(plan)) == ("2.1.0", {"on-top": "1.0"})


@pytest.mark.usefixtures("index")
def test_catalog_wheels_and_a_channel_are_solved_together(tmp_path: Path) -> None:
    """PyTorch comes as a wheel for the driver; the channel's own bound on numpy holds for both."""
    numpy = LittlePackage(
        name="numpy", version="1.26.4", build="py311_0", subdir="linux-64", depends=("python 3.11.*",)
    )
    channel = make_channel(tmp_path, [python_package("3.11.7"), numpy])
    plan = plan_for(channel, "gpu=A100,driver=535.129.03", "pytorch", "numpy")
    (package,) = [one for one in plan.packages if one.name == "pytorch"]
    assert (package.gpu, package.source) == (True, "catalog")
    assert conda(plan)["numpy"] == "1.26.4"
    assert "numpy" not in wheels(plan)
    assert "torch" in wheels(plan)


def test_only_conda_and_only_wheels(own_index: LoopbackIndex, tmp_path: Path) -> None:
    """`--only conda` takes no wheel and `--only wheels` asks no channel."""
    channel = make_channel(tmp_path, [python_package("3.11.7"), pure("tool", "1.0")])
    put(own_index, "helper", {"helper.py": b""}, version="2.0", tag=PURE)
    put(own_index, "tool", {"tool.py": b""}, version="9.0", tag=PURE)
    with pytest.raises(NoPlanError) as caught:
        plan_for(channel, NO_GPU, "tool", "helper", sources=Sources.CONDA)
    assert any("--only conda" in hint for hint in caught.value.hints)
    plan = plan_for(channel, NO_GPU, "tool", "helper", sources=Sources.WHEELS, python="3.11")
    assert (conda(plan), wheels(plan)) == ({}, {"helper": "2.0", "tool": "9.0"})
    with pytest.raises(RequestError, match="no channel is named"):
        make_plan(Request(specs=("tool",), sources=Sources.CONDA), parse_machine(NO_GPU))
