"""Projects that name conda channels: what their lock holds, what stays, and what is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import gpuenv
from gpuenv.errors import FormatError, GpuenvError
from gpuenv.model import LockState, Plan, Request, Silence, Sources, SyncState, from_json, to_json
from gpuenv.workspaces import LockOptions
from little_channel import LittlePackage, make_channel, python_package
from targets.made_packages import library, sass
from workspaces.team_workspace import H100, NO_GPU, V100, TeamWorkspace, YankingIndex

pytestmark = pytest.mark.usefixtures("alone")


def native(version: str, *units: bytes, build: str = "cuda124_0") -> LittlePackage:
    """A release of `veclib` with this code for GPUs."""
    files = {"lib/libveclib.so": library(*units)}
    return LittlePackage(
        name="veclib", version=version, build=build, subdir="linux-64", files=files, depends=("__cuda", "tool")
    )


def the_packages(*, tool: str = "1.0", veclib: str = "1.0") -> list[LittlePackage]:
    """A GPU package in two builds, and one that it needs which has nothing to do with GPUs."""
    return [
        native("1.0", sass(70, 90)),
        *([native(veclib, sass(70, 90))] if veclib != "1.0" else []),
        LittlePackage(name="veclib", version="1.0", build="cpu_0", subdir="linux-64", depends=("tool",)),
        LittlePackage(name="tool", version="1.0"),
        *([LittlePackage(name="tool", version=tool)] if tool != "1.0" else []),
    ]


@pytest.fixture
def project(workspace: TeamWorkspace) -> TeamWorkspace:
    """A workspace with a channel beside its project file."""
    make_channel(workspace.directory / "channel", the_packages())
    wants(workspace, "veclib")
    return workspace


def wants(workspace: TeamWorkspace, *packages: str, more: str = "", channels: str = "./channel") -> None:
    """A project file that names the channel, for a V100 and a computer without a GPU."""
    text = f'channels = ["{channels}"]\nonly = "conda"\n{more}'
    workspace.wants(*packages, machines=(V100, NO_GPU), more=text)
    path = workspace.directory / "gpuenv.toml"
    path.write_text(path.read_text().replace('python = "3.11"\n', ""))


def builds(workspace: TeamWorkspace) -> list[dict[str, str]]:
    """What each plan of the lock has of conda: version and build by name."""
    plans = (one.plan for one in workspace.content().plans)
    return [{package.name: f"{package.version} {package.build}" for package in plan.conda} for plan in plans]


def test_a_lock_holds_the_conda_packages(project: TeamWorkspace, tmp_path: Path) -> None:
    """With hash, address and entry of the repodata, without a path of this computer, and each time the same."""
    assert project.lock().state is LockState.WRITTEN
    first = project.path.read_bytes()
    assert str(tmp_path).encode() not in first
    assert builds(project) == [
        {"tool": "1.0 0", "veclib": "1.0 cuda124_0"},
        {"tool": "1.0 0", "veclib": "1.0 cpu_0"},
    ]
    lock = project.content()
    assert (lock.request.channels, lock.request.sources) == (("./channel",), Sources.CONDA)
    veclib = lock.plans[0].plan.conda[1]
    assert veclib.url == "./channel/linux-64/veclib-1.0-cuda124_0.conda"
    assert veclib.record["url"] == veclib.url
    assert veclib.channel.rstrip("/") == veclib.record["channel"].rstrip("/") == "./channel"
    assert len(veclib.sha256 or "") == 64
    assert veclib.record["depends"] == ["__cuda", "tool"]
    assert project.lock().state is LockState.UNCHANGED
    project.path.unlink()
    project.lock()
    again, before = json.loads(project.path.read_bytes()), json.loads(first)
    for document in (again, before):
        del document["created"], document["digest"]
    assert again == before


def test_a_project_can_move_with_its_channel(project: TeamWorkspace, tmp_path: Path) -> None:
    """The lock is as good in another directory: up to date, and its packages are found there."""
    project.lock()
    moved = TeamWorkspace(tmp_path / "moved" / "team")
    shutil.copytree(project.directory, moved.directory)
    shutil.rmtree(project.directory)
    assert moved.check().state is LockState.CURRENT
    report = moved.sync(machine=V100, dry_run=True)
    assert report.state is SyncState.WOULD_CREATE
    assert [change.after for change in report.changes] == ["1.0 0", "1.0 cuda124_0"]
    (veclib,) = (one for one in report.plan.conda if one.name == "veclib")
    assert veclib.url == (moved.directory / "channel/linux-64/veclib-1.0-cuda124_0.conda").as_uri()
    assert veclib.record["url"] == veclib.url
    assert report.plan.request.channels == (str(moved.directory / "channel"),)


def test_the_environment_of_a_lock(project: TeamWorkspace) -> None:
    """It has the locked packages, is left alone where it is as the lock says, and follows a new lock."""
    project.lock()
    assert project.sync(machine=V100).state is SyncState.CREATED
    installed = sorted(path.name for path in (project.directory / ".venv/conda-meta").glob("*.json"))
    assert installed == ["tool-1.0-0.json", "veclib-1.0-cuda124_0.json"]
    assert (project.directory / ".venv/lib/libveclib.so").read_bytes() == library(sass(70, 90))
    report = project.sync(machine=V100)
    assert (report.state, report.changes) == (SyncState.UNCHANGED, ())
    (project.directory / ".venv/conda-meta/tool-1.0-0.json").unlink()
    assert [change.name for change in project.sync(machine=V100, dry_run=True).changes] == ["tool"]
    make_channel(project.directory / "channel", the_packages(veclib="2.0"))
    project.lock(upgrade=True)
    report = project.sync(machine=V100)
    assert report.state is SyncState.CHANGED
    changed = [(change.name, change.before, change.after) for change in report.changes if change.name == "veclib"]
    assert changed == [("veclib", "1.0 cuda124_0", "2.0 cuda124_0")]
    assert (project.directory / ".venv/conda-meta/veclib-2.0-cuda124_0.json").exists()


def test_a_locked_package_that_is_another_by_now_is_not_installed(project: TeamWorkspace) -> None:
    """Its hash is that of the lock, whatever the channel has under the name."""
    project.lock()
    place = project.directory / "channel/noarch/tool-1.0-0.conda"
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    with pytest.raises(GpuenvError):
        project.sync(machine=V100)
    assert not (project.directory / ".venv").exists()


def test_releases_of_a_channel_stay_until_an_upgrade(project: TeamWorkspace) -> None:
    """A newer release in the channel is taken with `--upgrade` only."""
    project.lock()
    make_channel(project.directory / "channel", the_packages(veclib="2.0"))
    assert project.lock().state is LockState.UNCHANGED
    assert project.check().state is LockState.CURRENT
    project.lock(upgrade=True)
    assert builds(project)[0]["veclib"] == "2.0 cuda124_0"


def test_what_has_nothing_to_do_with_gpus_stays_too(project: TeamWorkspace) -> None:
    """A package that only comes along is kept at its release as well."""
    project.lock()
    make_channel(project.directory / "channel", the_packages(tool="2.0"))
    assert project.lock().state is LockState.UNCHANGED
    project.lock(upgrade=True)
    assert builds(project)[0]["tool"] == "2.0 0"


def test_a_package_that_left_the_channel_is_replaced(project: TeamWorkspace) -> None:
    """And `--check` says beforehand what would change."""
    project.lock()
    packages = [one for one in the_packages(veclib="2.0") if (one.version, one.build) != ("1.0", "cuda124_0")]
    make_channel(project.directory / "channel", packages)
    report = project.check()
    assert report.state is LockState.STALE
    name = project.content().plans[0].plan.machine.name
    assert f"for `{name}`: veclib 1.0 cuda124_0 becomes 2.0 cuda124_0" in report.reasons
    project.lock()
    assert builds(project)[0]["veclib"] == "2.0 cuda124_0"


def test_a_file_that_was_built_anew_is_told(project: TeamWorkspace) -> None:
    """The same version and build with another hash is another file."""
    project.lock()
    changed = [
        LittlePackage(name="tool", version="1.0", files={"share/new.txt": "new"}) if one.name == "tool" else one
        for one in the_packages()
    ]
    make_channel(project.directory / "channel", changed)
    reasons = project.check().reasons
    assert any(reason.endswith("tool 1.0 0 has another file") for reason in reasons)


def test_check_sees_other_channels(project: TeamWorkspace) -> None:
    """What the project file says of channels is compared with the lock, without any being asked."""
    project.lock()
    wants(project, "veclib", channels="./other")
    assert project.check().reasons == ("`channels` is ./other in `gpuenv.toml` and ./channel in the lock",)
    wants(project, "veclib")
    path = project.directory / "gpuenv.toml"
    path.write_text(path.read_text().replace('only = "conda"', ""))
    assert project.check().reasons == ("`only` is not said in `gpuenv.toml` and conda in the lock",)


def test_the_configuration_of_a_user_does_not_count_for_a_project(
    project: TeamWorkspace, alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A channel of somebody's `.condarc` takes no part, so everybody gets the same plan."""
    make_channel(tmp_path / "mine", [LittlePackage(name="veclib", version="9.0", build="cpu_0", subdir="linux-64")])
    alone.setenv("CONDA_CHANNELS", str(tmp_path / "mine"))
    project.lock()
    assert builds(project)[0]["veclib"] == "1.0 cuda124_0"
    assert gpuenv.configured_channels() == (str(tmp_path / "mine"),)


def test_options_beside_a_project_file_must_agree(
    project: TeamWorkspace, alone: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`-c` and `--only` say nothing else than the file; the configuration's channels are no such word."""
    from gpuenv.cli.main import main

    alone.chdir(project.directory)
    alone.setenv("CONDA_CHANNELS", "conda-forge")
    assert main(["lock"]) == 0
    assert "2 conda packages" in capsys.readouterr().out
    assert main(["lock", "-c", "./channel", "--only", "conda"]) == 0
    assert main(["lock", "-c", "./other"]) == 2
    assert "an option says `channels` otherwise: ./other" in capsys.readouterr().err
    assert main(["lock", "--only", "wheels"]) == 2
    assert "an option says `only` otherwise: wheels" in capsys.readouterr().err


def test_a_lock_without_a_project_file_remembers_its_channels(
    workspace: TeamWorkspace, alone: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path is kept as seen from the lock, wherever the command ran; what is said later takes its place."""
    from gpuenv.cli.main import main

    make_channel(workspace.directory / "channel", the_packages())
    make_channel(tmp_path / "other", the_packages(tool="3.0"))
    alone.chdir(tmp_path)
    command = ["lock", "--lock", "team/gpuenv.lock", "--only", "conda"]
    assert main([*command, "-c", "./team/channel", "-m", V100, "./other::tool", "veclib"]) == 0
    lock = workspace.content()
    assert lock.request.channels == ("./channel",)
    assert lock.request.specs == ("../other::tool", "veclib")
    assert builds(workspace)[0]["tool"] == "3.0 0"
    assert str(tmp_path) not in workspace.path.read_text()
    alone.chdir(workspace.directory)
    assert main(["lock"]) == 0
    assert workspace.content() == lock
    assert main(["lock", "-c", "../other"]) == 0
    assert workspace.content().request.channels == ("../other",)
    capsys.readouterr()


def test_logins_of_channels_are_not_in_the_lock(workspace: TeamWorkspace) -> None:
    """Neither in what was asked for, nor in the plans."""
    from artifacts.range_server import RangeServer

    channel = make_channel(workspace.directory / "channel", the_packages())
    contents = {one.relative_to(channel).as_posix(): one.read_bytes() for one in channel.rglob("*") if one.is_file()}
    files = {f"{place}/{name}": content for place in ("c", "d") for name, content in contents.items()}
    with RangeServer(files) as server:
        server.login = "anna:secret"
        words = (server.address("c", login="anna:secret"),)
        request = Request(specs=("veclib",), channels=words, sources=Sources.CONDA)
        options = LockOptions(
            request=request, machines=(V100,), further_channels=(server.address("d", login="anna:secret"),)
        )
        gpuenv.lock(options, start=workspace.directory, report=Silence())
        text = workspace.path.read_text()
        assert "secret" not in text
        assert workspace.content().request.channels == (server.address("c"), server.address("d"))
        assert workspace.content().plans[0].plan.conda[0].url.startswith(server.address("c"))


def test_conda_packages_and_wheels_are_in_one_lock(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """What the channel lacks comes from the index, for the Python of the channel."""
    make_channel(workspace.directory / "channel", [*the_packages(), python_package()])
    text = 'channels = ["./channel"]'
    workspace.wants("veclib", "alpha", machines=(H100,), more=text)
    workspace.lock()
    (one,) = workspace.content().plans
    assert {package.name for package in one.plan.conda} == {"python", "tool", "veclib"}
    assert workspace.versions() == {"alpha": "2.0", "beta": "2.0"}
    assert one.plan.python == "3.11"
    index.add("alpha", "3.0")
    assert workspace.lock().state is LockState.UNCHANGED


def test_a_plan_is_the_same_after_a_lock_and_back(project: TeamWorkspace) -> None:
    """What is installed from a lock is the plan that was made, with whole addresses."""
    from gpuenv.workspaces.channel_words import as_locked, unlocked

    request = Request(specs=("veclib",), channels=("./channel",), sources=Sources.CONDA)
    whole = Request(specs=("veclib",), channels=(str(project.directory / "channel"),), sources=Sources.CONDA)
    plan = gpuenv.make_plans(whole, [gpuenv.parse_machine(V100)]).plans[0]
    locked = as_locked(plan, request, project.directory)
    assert locked.conda != plan.conda
    assert unlocked(locked, project.directory) == plan
    assert unlocked(from_json(to_json(locked), Plan), project.directory).conda == plan.conda


def test_conda_only_needs_a_channel(workspace: TeamWorkspace) -> None:
    """A project file that can have no plan is refused where it says so."""
    workspace.wants("veclib", more='only = "conda"')
    with pytest.raises(FormatError) as caught:
        workspace.lock()
    assert "`channels` in `gpuenv.toml` must be a list of channels" in caught.value.message
    workspace.wants("veclib", more='only = "pip"')
    with pytest.raises(FormatError):
        workspace.lock()
