"""What may stand in a spec on conda packages: markers, channels in brackets, names with underscores, addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from artifacts.range_server import RangeServer
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.written import parse_machine
from gpuenv.model import Plan, Request, Sources, to_json
from gpuenv.plans.make import make_plan
from gpuenv.plans.specs import read_specs, spec_name
from little_channel import LittlePackage, make_channel, python_package

A100 = "gpu=A100,driver=525.60.13"
NO_GPU = "gpu=none"
pytestmark = pytest.mark.usefixtures("only_loopback")


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    """Two releases of a tool, two Pythons, and a mutex."""
    pythons = [python_package(version) for version in ("3.11.7", "3.12.1")]
    tools = [LittlePackage(name="tool", version=version) for version in ("1.0", "2.0")]
    mutex = LittlePackage(name="_openmp_mutex", version="4.5", build="2_gnu")
    return make_channel(tmp_path / "chan", [*pythons, *tools, mutex, LittlePackage(name="other")])


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """A channel with a newer release of the tool."""
    return make_channel(tmp_path / "second", [LittlePackage(name="tool", version="3.0")])


def plan_for(
    channels: Path | tuple[Path, ...], *specs: str, machine: str = NO_GPU, only: Sources = Sources.CONDA, **more: Any
) -> Plan:
    """A plan from these channels."""
    words = tuple(map(str, channels if isinstance(channels, tuple) else (channels,)))
    return make_plan(Request(specs=specs, channels=words, sources=only, **more), parse_machine(machine))


def picked(plan: Plan) -> dict[str, str]:
    """Versions by name, of all but Python."""
    return {one.name: one.version for one in plan.conda if not one.name.startswith("python")}


def refused(*args: Any, **more: Any) -> RequestError:
    """The error for what cannot be asked."""
    with pytest.raises(RequestError) as caught:
        plan_for(*args, **more)
    return caught.value


# ---- markers (PEP 508) ----------------------------------------------------------------------------------------------


def test_a_spec_whose_marker_does_not_hold_is_left_out(channel: Path) -> None:
    """As Python's tools leave it out: for another system, or for a Python that no channel has."""
    assert picked(plan_for(channel, "other", "tool; sys_platform == 'win32'")) == {"other": "1.0"}
    assert picked(plan_for(channel, "other", "nowhere; sys_platform == 'win32'")) == {"other": "1.0"}
    both = ("tool==1.0; python_version < '3.9'", "tool==2.0; python_version >= '3.9'")
    assert picked(plan_for(channel, *both)) == {"tool": "2.0"}
    assert picked(plan_for(channel, "tool~=1.0; os_name == 'posix'")) == {"tool": "1.0"}


def test_the_platform_of_the_machine_counts_and_not_this_one(channel: Path) -> None:
    """A marker is decided for where the plan is to run."""
    windows = "gpu=none,os=windows"
    assert picked(plan_for(channel, "other", "tool; sys_platform == 'win32'", machine=windows)).get("tool") == "2.0"
    assert "tool" not in picked(plan_for(channel, "other", "tool; sys_platform == 'linux'", machine=windows))


def test_a_marker_on_a_python_that_is_left_open_is_not_guessed(channel: Path) -> None:
    """Where it holds for some of the channels' Pythons only, one must be named, in either form."""
    marked = "tool; python_version < '3.12'"
    error = refused(channel, "other", marked)
    assert "holds for some Pythons only" in error.message
    assert error.hints == ("name the Python: `--python 3.11`",)
    assert picked(plan_for(channel, "other", marked, "python=3.11")) == {"other": "1.0", "tool": "2.0"}
    assert picked(plan_for(channel, "other", marked, python="3.11")) == {"other": "1.0", "tool": "2.0"}
    assert picked(plan_for(channel, "other", marked, python="3.12")) == {"other": "1.0"}


def test_when_no_marker_holds_nothing_was_asked_for(channel: Path) -> None:
    """The reason names the spec, and what is no marker is told as such."""
    error = refused(channel, "tool; sys_platform == 'win32'")
    assert error.reasons == ("the marker of `tool; sys_platform == 'win32'` does not hold there",)
    assert "is not a package spec" in refused(channel, "tool; nonsense").message


def test_condas_words_may_have_a_marker_too(channel: Path) -> None:
    """A version and a build before the `;`, as well as a wheel's local version."""
    assert picked(plan_for(channel, "tool=1.0=0; sys_platform == 'linux'")) == {"tool": "1.0"}


# ---- channels and platforms -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec", ["tool[channel={}]", "tool[channel='{}',version='>=1']", 'tool[version=">=1",channel={}]']
)
def test_a_channel_in_brackets_is_one_in_front(channel: Path, second: Path, spec: str) -> None:
    """`NAME[channel=X]` means `X::NAME`, where that channel was not named before as well."""
    assert picked(plan_for(channel, spec.format(second))) == {"tool": "3.0"}
    alone = make_plan(Request(specs=(spec.format(second),)), parse_machine(NO_GPU))
    assert picked(alone) == {"tool": "3.0"}


def test_a_login_in_brackets_is_not_kept(channel: Path) -> None:
    """Neither in the plan nor in an error."""
    files = {one.relative_to(channel).as_posix(): one.read_bytes() for one in channel.rglob("*") if one.is_file()}
    with RangeServer(files) as server:
        server.login = "user:sesame"
        address = f"http://user:sesame@{server.host}"
        plan = make_plan(Request(specs=(f"tool[channel='{address}']",)), parse_machine(NO_GPU))
        with pytest.raises(NoPlanError) as caught:
            make_plan(Request(specs=(f"tool[channel='{address}',version='>=9']",)), parse_machine(NO_GPU))
    assert plan.request.specs == (f"http://{server.host}::tool",)
    assert "sesame" not in to_json(plan)
    assert "sesame" not in " ".join((caught.value.message, *caught.value.reasons, caught.value.details))


def test_two_channels_for_one_package_are_refused(channel: Path, second: Path) -> None:
    """Unless they are the same."""
    assert "names two channels" in refused(channel, f"{channel}::tool[channel={second}]").message
    assert picked(plan_for(channel, f"{second}::tool[channel={second}]")) == {"tool": "3.0"}


@pytest.mark.parametrize("spec", ["tool[subdir=win-64]", "tool[version='>=1', subdir='win-64']", "{}/win-64::tool"])
def test_another_platform_is_refused_in_words(channel: Path, spec: str) -> None:
    """A plan is for one platform; its own may be named."""
    assert "is about win-64, and the plan about linux-64" in refused(channel, spec.format(channel)).message
    assert picked(plan_for(channel, "tool[subdir=noarch]")) == {"tool": "2.0"}


def test_a_channel_in_brackets_needs_channels() -> None:
    """With wheels only, it is refused as one in front is."""
    with pytest.raises(RequestError, match="for wheels only") as caught:
        read_specs(("pytorch[channel=conda-forge]",))
    assert caught.value.hints == ("leave the channel out: `pytorch`",)


# ---- names ----------------------------------------------------------------------------------------------------------


def test_what_a_machine_offers_is_a_condition(channel: Path) -> None:
    """`__cuda >=12` brings no package, and there is no plan where the machine does not offer it."""
    assert picked(plan_for(channel, "tool", "__cuda >=12", machine=A100)) == {"tool": "2.0"}
    for spec, machine in (("__cuda >=13", A100), ("__cuda >=12", NO_GPU)):
        with pytest.raises(NoPlanError) as caught:
            plan_for(channel, "tool", spec, machine=machine)
        assert f"`{spec}`" in caught.value.message


def test_names_that_begin_with_an_underscore_are_condas(channel: Path) -> None:
    """They are looked for as they are, and never among wheels."""
    assert picked(plan_for(channel, "_openmp_mutex=*=*_gnu")) == {"_openmp_mutex": "4.5"}
    for only in (Sources.CONDA, Sources.ALL):
        with pytest.raises(NoPlanError, match="no channel has `_nowhere`") as caught:
            plan_for(channel, "_nowhere", only=only)
        assert not any("wheel" in hint for hint in caught.value.hints)
    assert spec_name("_openmp_mutex=4.5") == "_openmp_mutex"


@pytest.mark.parametrize(
    ("spec", "said"), [("__cuda >=12", "what machines offer"), ("_openmp_mutex", "a name of conda's only")]
)
def test_without_channels_they_are_refused_in_words(spec: str, said: str) -> None:
    """They mean nothing to Python's tools."""
    with pytest.raises(RequestError, match=said) as caught:
        read_specs((spec, "pytorch"))
    assert "-c conda-forge" in caught.value.hints[0]


def test_an_address_is_no_conda_package(channel: Path) -> None:
    """`NAME @ ADDRESS` is left to `uv`, but not where only conda packages are wanted."""
    error = refused(channel, "tool @ https://user:sesame@host.invalid/tool-1.0-py3-none-any.whl")
    assert error.message == "`tool @ …` is a file for Python's tools, and only conda packages are wanted"
