"""Conda packages are looked into while a plan is made, and what is in them decides like for wheels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from artifacts.range_server import RangeServer
from gpuenv.errors import FormatError, NoPlanError, UnavailableError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, Sources, Verdict, to_json
from gpuenv.plans.fleet import make_plans
from gpuenv.plans.make import make_plan
from little_channel import LittlePackage, make_channel, python_package
from targets.made_packages import library, ptx, sass

V100 = "gpu=V100,driver=580.65.06"
A100 = "gpu=A100,driver=580.65.06"
NO_GPU = "gpu=none"
pytestmark = pytest.mark.usefixtures("only_loopback")


def native(name: str, version: str, *units: bytes, build: str = "0", **more: Any) -> LittlePackage:
    """A package for Linux with one library of these units of GPU code."""
    files = {f"lib/lib{name}.so": library(*units)}
    return LittlePackage(name=name, version=version, build=build, subdir="linux-64", files=files, **more)


def plan_for(channel: Path | str, machine: str, *specs: str, **more: Any) -> Plan:
    """A plan of conda packages only."""
    request = Request(specs=specs, channels=(str(channel),), sources=Sources.CONDA)
    return make_plan(request, parse_machine(machine), **more)


def picked(plan: Plan) -> dict[str, tuple[str, str]]:
    """Version and build by name."""
    return {one.name: (one.version, one.build) for one in plan.conda}


def test_a_build_without_code_for_the_gpu_is_passed_over(tmp_path: Path) -> None:
    """Metadata says CUDA 12 for both releases; only the older one has code for a V100."""
    cuda = ("cuda-version >=12,<13",)
    channel = make_channel(
        tmp_path,
        [
            LittlePackage(name="cuda-version", version="12.4"),
            native("veclib", "2.0", sass(80), build="cuda124_0", depends=cuda),
            native("veclib", "1.0", sass(70, 80), build="cuda124_0", depends=cuda),
        ],
    )
    plan = plan_for(channel, V100, "veclib")
    assert picked(plan)["veclib"] == ("1.0", "cuda124_0")
    (choice,) = plan.explanation.choices
    assert "carries no code for Tesla V100" in choice.passed_over[0].reason.message
    assert [package.verdict for package in plan.packages] == [Verdict.WORKS]
    assert picked(plan_for(channel, A100, "veclib"))["veclib"][0] == "2.0"


def test_code_that_no_metadata_tells_of_is_found(tmp_path: Path) -> None:
    """A package with GPU code inside and nothing about it in its metadata is judged by the code."""
    channel = make_channel(tmp_path, [native("quiet", "2.0", sass(80)), native("quiet", "1.0", sass(70))])
    plan = plan_for(channel, V100, "quiet")
    assert picked(plan) == {"quiet": ("1.0", "0")}
    assert plan.packages[0].gpu


@pytest.mark.parametrize("reverse", [False, True])
def test_the_gpu_build_goes_first_where_it_runs(tmp_path: Path, reverse: bool) -> None:
    """Without any preference in the channel, and even against a higher build number of the CPU build."""
    both = [
        native("veclib", "1.0", build="cpu_5", build_number=5),
        native("veclib", "1.0", sass(80), build="cuda124_0", depends=("__cuda >=12",)),
    ]
    channel = make_channel(tmp_path, both[::-1] if reverse else both)
    assert picked(plan_for(channel, A100, "veclib"))["veclib"][1] == "cuda124_0"
    assert picked(plan_for(channel, NO_GPU, "veclib"))["veclib"][1] == "cpu_5"
    assert picked(plan_for(channel, V100, "veclib"))["veclib"][1] == "cpu_5"


def test_virtual_packages_of_the_metadata_are_obeyed(tmp_path: Path) -> None:
    """`__cuda >=13` and `__cuda_arch >=8` keep builds from machines that do not offer that, with that reason."""
    channel = make_channel(
        tmp_path,
        [
            native("a", "1.0", ptx(50, (6, 0)), build="cuda130_0", depends=("__cuda >=13.0",)),
            native("a", "1.0", build="cpu_0"),
            native("b", "1.0", ptx(50, (6, 0)), build="cuda120_0", depends=("__cuda >=12", "__cuda_arch >=8.0")),
            native("b", "1.0", build="cpu_0"),
        ],
    )
    old = plan_for(channel, "gpu=A100,driver=535.129.03", "a")
    assert picked(old)["a"][1] == "cpu_0"
    reasons = [passed.reason for passed in old.explanation.choices[0].passed_over]
    assert [(reason.rule, reason.message.partition(";")[0]) for reason in reasons][:1] == [
        ("driver-floor", "CUDA 13.0 needs driver 580.65.06 or later")
    ]
    assert picked(plan_for(channel, A100, "a"))["a"][1] == "cuda130_0"
    assert picked(plan_for(channel, V100, "b"))["b"][1] == "cpu_0"
    assert picked(plan_for(channel, A100, "b"))["b"][1] == "cuda120_0"


def test_pascal_on_driver_580_gets_no_cuda_13_build(tmp_path: Path) -> None:
    """The driver says CUDA 13.0, and still nothing that CUDA 13 made runs on a Pascal card."""
    builds = [
        native("veclib", "1.0", build=f"cuda{line.replace('.', '')}_0", depends=(f"cuda-version {line}.*", "__cuda"))
        for line in ("12.9", "13.0")
    ]
    versions = [LittlePackage(name="cuda-version", version=line) for line in ("12.9", "13.0")]
    channel = make_channel(tmp_path, [*builds, *versions])
    for package in builds:
        # Its code cannot be read, so that only the toolkit's rule can tell.
        (channel / "linux-64" / package.file_name).unlink()
    plan = plan_for(channel, "gpu=GTX 1080 Ti,driver=580.65.06", "veclib")
    assert picked(plan)["veclib"] == ("1.0", "cuda129_0")
    assert "Pascal ended with CUDA 12.9" in plan.explanation.choices[0].passed_over[0].reason.message


def test_packages_are_read_over_http_by_ranges(tmp_path: Path) -> None:
    """Of a package on a server what a plan needs is read; the learned file is told with its hash."""
    channel = make_channel(tmp_path, [native("veclib", "1.0", sass(80), build="cuda124_0", depends=("__cuda",))])
    contents = {
        f"chan/{path.relative_to(channel).as_posix()}": path.read_bytes()
        for path in channel.rglob("*")
        if path.is_file()
    }
    with RangeServer(contents) as server:
        plan = plan_for(server.address("chan"), A100, "veclib")
    (learned,) = plan.explanation.learned
    assert (learned.package, learned.verdict, learned.sha256) == ("veclib", Verdict.WORKS, plan.conda[0].sha256)
    assert plan.conda[0].url == f"{server.address('chan')}/linux-64/veclib-1.0-cuda124_0.conda"


def test_channels_with_a_login_keep_their_order_and_their_secret(tmp_path: Path) -> None:
    """Priority is strict for addresses with a login, too, and no login is in the plan or in a message."""
    contents: dict[str, bytes] = {}
    for name, version in (("first", "1.0"), ("second", "2.0")):
        channel = make_channel(tmp_path / name, [LittlePackage(name="tool", version=version)])
        files = (path for path in channel.rglob("*") if path.is_file())
        contents |= {f"{name}/{path.relative_to(channel).as_posix()}": path.read_bytes() for path in files}
    with RangeServer(contents) as server:
        server.login = "somebody:sesame"
        words = tuple(server.address(name, login="somebody:sesame") for name in ("first", "second"))
        request = Request(specs=("tool",), channels=words, sources=Sources.CONDA)
        plan = make_plan(request, parse_machine(NO_GPU))
        assert picked(plan)["tool"][0] == "1.0"
        assert "sesame" not in to_json(plan)
        with pytest.raises(NoPlanError) as caught:
            make_plan(Request(specs=("tool >=2",), channels=words, sources=Sources.CONDA), parse_machine(NO_GPU))
        error = caught.value
        assert "sesame" not in " ".join((error.message, *error.reasons, *error.hints, error.details))


def test_several_machines_share_what_runs_on_all(tmp_path: Path) -> None:
    """One environment for a V100 and an A100 holds the build with code for both."""
    channel = make_channel(
        tmp_path,
        [
            native("veclib", "2.0", sass(80), build="cuda124_0", depends=("__cuda",)),
            native("veclib", "1.0", sass(70, 80), build="cuda124_0", depends=("__cuda",)),
        ],
    )
    request = Request(specs=("veclib",), channels=(str(channel),), sources=Sources.CONDA)
    found = make_plans(request, [parse_machine(V100), parse_machine(A100)])
    assert [picked(plan)["veclib"][0] for plan in found.plans] == ["1.0"]


def test_strict_priority_takes_a_name_from_the_first_channel_that_has_it(tmp_path: Path) -> None:
    """A newer release in a later channel does not count, unless the spec names that channel."""
    first = make_channel(tmp_path / "first", [LittlePackage(name="tool", version="1.0")])
    second = make_channel(tmp_path / "second", [LittlePackage(name="tool", version="2.0")])
    request = Request(specs=("tool",), channels=(str(first), str(second)), sources=Sources.CONDA)
    machine = parse_machine(NO_GPU)
    assert picked(make_plan(request, machine))["tool"][0] == "1.0"
    qualified = Request(specs=(f"{second}::tool",), channels=(str(first), str(second)), sources=Sources.CONDA)
    assert picked(make_plan(qualified, machine))["tool"][0] == "2.0"
    only_second = Request(specs=("tool >=2",), channels=(str(first), str(second)), sources=Sources.CONDA)
    with pytest.raises(NoPlanError):
        make_plan(only_second, machine)


def test_v3_records_are_read(tmp_path: Path) -> None:
    """Flags, extras and conditions of CEP 43 to 45 take part in the solve."""
    channel = make_channel(
        tmp_path,
        [
            LittlePackage(name="app", version="1.0", flags=("cuda",), build="cuda_0", subdir="linux-64"),
            LittlePackage(name="app", version="1.0", build="cpu_0", subdir="linux-64"),
            LittlePackage(name="helper", version="1.0"),
            LittlePackage(name="conditional", version="1.0", depends=('helper[when="__cuda >=12"]',)),
        ],
    )
    assert picked(plan_for(channel, A100, "app"))["app"][1] == "cuda_0"
    assert picked(plan_for(channel, NO_GPU, "app"))["app"][1] == "cpu_0"
    assert set(picked(plan_for(channel, A100, "conditional"))) == {"conditional", "helper"}
    assert set(picked(plan_for(channel, NO_GPU, "conditional"))) == {"conditional"}


def test_the_python_of_the_channel_is_used(tmp_path: Path) -> None:
    """`--python` and a spec on python choose among those of the channel; the plan says which it is."""
    pythons = [python_package(version) for version in ("3.11.7", "3.12.1")]
    tool = LittlePackage(name="tool", version="1.0", noarch="python", depends=("python >=3.8",))
    channel = make_channel(tmp_path, [*pythons, tool])
    plan = plan_for(channel, NO_GPU, "tool")
    assert (plan.python, plan.has_conda_python) == ("3.12", True)
    assert plan_for(channel, NO_GPU, "tool", "python=3.11").python == "3.11"
    request = Request(specs=("tool",), python="3.11", channels=(str(channel),), sources=Sources.CONDA)
    assert make_plan(request, parse_machine(NO_GPU)).python == "3.11"
    with pytest.raises(NoPlanError):
        plan_for(channel, NO_GPU, "tool", "python=3.9")


def _break(channel: Path, how: str) -> None:
    repodata = channel / "linux-64" / "repodata.json"
    if how == "truncated":
        repodata.write_bytes(repodata.read_bytes()[: -len(repodata.read_bytes()) // 2])
    elif how == "no JSON":
        repodata.write_text("<html>", encoding="utf-8")
    else:
        repodata.unlink()


BROKEN: Mapping[str, type[Exception]] = {
    "truncated": FormatError,
    "no JSON": FormatError,
}


@pytest.mark.parametrize("how", BROKEN)
def test_repodata_that_is_broken_is_told_as_such(tmp_path: Path, how: str) -> None:
    """The channel is named, and nothing is planned from half of it."""
    channel = make_channel(tmp_path, [native("tool", "1.0")])
    _break(channel, how)
    with pytest.raises(BROKEN[how]) as caught:
        plan_for(channel, NO_GPU, "tool")
    assert str(tmp_path) in str(caught.value)


def test_a_channel_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    """Neither a path nor a server that does not answer ends in a traceback."""
    for channel in (tmp_path / "nowhere", "http://127.0.0.1:9/nowhere"):
        with pytest.raises(UnavailableError):
            plan_for(channel, NO_GPU, "tool")


def test_what_is_installed_stays_where_it_can(tmp_path: Path) -> None:
    """A newer release in the channel moves nothing when another package is added; `renew` does."""
    first = LittlePackage(name="base", version="1.0")
    tool = LittlePackage(name="tool", version="1.0", depends=("base",))
    before = plan_for(make_channel(tmp_path, [first, tool]), NO_GPU, "tool")
    newer = [LittlePackage(name=name, version="2.0") for name in ("base", "tool")]
    channel = make_channel(tmp_path, [first, tool, *newer, LittlePackage(name="other", version="1.0")])
    plan = plan_for(channel, NO_GPU, "tool", "other", keep=before)
    assert {name: version for name, (version, _) in picked(plan).items()} == {
        "base": "1.0",
        "other": "1.0",
        "tool": "1.0",
    }
    renewed = plan_for(channel, NO_GPU, "tool", keep=before, renew=frozenset({"tool"}))
    assert picked(renewed)["tool"][0] == "2.0"
    asked = plan_for(channel, NO_GPU, "tool >=2", keep=before)
    assert picked(asked)["tool"][0] == "2.0"
