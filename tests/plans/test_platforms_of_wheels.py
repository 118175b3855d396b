"""Which files of a release a machine can load, as `uv` is told."""

from __future__ import annotations

import msgspec
import pytest

from gpuenv.errors import NoPlanError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Machine, Request
from gpuenv.plans.make import make_plan
from gpuenv.plans.wheels import uv_platform
from loopback_index import LoopbackIndex


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("gpu=none", "x86_64-manylinux_2_28"),
        ("gpu=none,glibc=2.28", "x86_64-manylinux_2_28"),
        ("gpu=none,glibc=2.17", "x86_64-manylinux_2_17"),
        ("gpu=none,glibc=2.27", "x86_64-manylinux_2_17"),
        ("gpu=none,glibc=2.36", "x86_64-manylinux_2_36"),
        ("gpu=none,glibc=2.99", "x86_64-manylinux_2_40"),
        ("gpu=none,arch=aarch64,glibc=2.39", "aarch64-manylinux_2_39"),
        ("os=windows,gpu=none", "x86_64-pc-windows-msvc"),
        ("os=macos", "aarch64-apple-darwin"),
        ("os=macos,arch=x86_64", "x86_64-apple-darwin"),
    ],
)
def test_the_newest_tag_that_the_c_library_can_load(text: str, platform: str) -> None:
    """Manylinux tags name the oldest C library; where the machine's is not known, 2.28 is assumed."""
    assert uv_platform(parse_machine(text)) == platform


def test_power_has_no_wheels() -> None:
    """PyPI has next to nothing for ppc64le, and uv knows no such platform."""
    with pytest.raises(NoPlanError, match="ppc64le"):
        uv_platform(parse_machine("arch=ppc64le,gpu=none"))


def on_macos(release: str | None) -> Machine:
    """A Mac with a release of macOS."""
    machine = parse_machine("os=macos")
    return msgspec.structs.replace(machine, system=msgspec.structs.replace(machine.system, release=release))


@pytest.mark.parametrize(
    ("release", "version"), [(None, "2.0"), ("14.5", "2.0"), ("26.1", "2.0"), ("13.6.1", "1.0"), ("11.7.10", "1.0")]
)
def test_wheels_for_a_newer_macos_stay_away_from_an_older_one(
    own_index: LoopbackIndex, release: str | None, version: str
) -> None:
    """The macOS of the machine decides, 14 where it is not known: `uv` by itself would take 13 for granted."""
    own_index.add("gpuenv-test-mac", "1.0", tags=["cp311-cp311-macosx_11_0_arm64"])
    own_index.add("gpuenv-test-mac", "2.0", tags=["cp311-cp311-macosx_14_0_arm64"])
    plan = make_plan(Request(specs=("gpuenv-test-mac",), python="3.11"), on_macos(release))
    assert [wheel.version for wheel in plan.wheels] == [version]


def test_wheels_for_a_newer_c_library_stay_away_from_an_older_one(own_index: LoopbackIndex) -> None:
    """With glibc 2.17 the newest release with a fitting wheel is taken."""
    own_index.add("gpuenv-test-libc", "1.0", tags=["cp311-cp311-manylinux_2_17_x86_64"])
    own_index.add("gpuenv-test-libc", "2.0", tags=["cp311-cp311-manylinux_2_28_x86_64"])
    request = Request(specs=("gpuenv-test-libc",), python="3.11")
    assert [wheel.version for wheel in make_plan(request, parse_machine("gpu=none")).wheels] == ["2.0"]
    assert [wheel.version for wheel in make_plan(request, parse_machine("gpu=none,glibc=2.17")).wheels] == ["1.0"]


def test_windows_gets_windows_wheels(own_index: LoopbackIndex) -> None:
    """A plan for Windows can be made anywhere."""
    own_index.add("gpuenv-test-win", "1.0", tags=["cp311-cp311-win_amd64", "cp311-cp311-manylinux_2_17_x86_64"])
    plan = make_plan(Request(specs=("gpuenv-test-win",), python="3.11"), parse_machine("os=windows,gpu=none"))
    assert [wheel.filename for wheel in plan.wheels] == ["gpuenv_test_win-1.0-cp311-cp311-win_amd64.whl"]
