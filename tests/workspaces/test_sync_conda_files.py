"""`sync` of environments of conda packages whose files or records are gone, and of frozen ones."""

from __future__ import annotations

from pathlib import Path

import pytest

import gpuenv
from gpuenv.errors import RequestError
from gpuenv.model import Silence, SyncState
from little_channel import LittlePackage, make_channel
from workspaces.team_workspace import NO_GPU, TeamWorkspace

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def project(workspace: TeamWorkspace) -> TeamWorkspace:
    """A workspace with an environment of one conda package."""
    make_channel(workspace.directory / "channel", [LittlePackage(name="tool", files={"share/tool.txt": "1"})])
    workspace.wants("tool", machines=(NO_GPU,), more='channels = ["./channel"]\nonly = "conda"\n')
    path = workspace.directory / "gpuenv.toml"
    path.write_text(path.read_text().replace('python = "3.11"\n', ""))
    workspace.lock()
    workspace.sync(machine=NO_GPU)
    return workspace


def file_of(project: TeamWorkspace) -> Path:
    """The file of the package."""
    return project.directory / ".venv" / "share" / "tool.txt"


def test_files_that_are_gone_come_back(project: TeamWorkspace) -> None:
    """An environment that lacks files is not as the lock says: that is told, and mended."""
    file_of(project).unlink()
    report = project.sync(machine=NO_GPU, dry_run=True)
    assert report.state is SyncState.WOULD_CHANGE
    assert report.notes == ("`tool` misses a file, such as `share/tool.txt`",)
    report = project.sync(machine=NO_GPU)
    assert report.state is SyncState.CHANGED
    assert report.notes == ("`tool` misses a file, such as `share/tool.txt`",)
    assert file_of(project).read_text() == "1"
    assert project.sync(machine=NO_GPU).state is SyncState.UNCHANGED


def test_a_frozen_environment(project: TeamWorkspace) -> None:
    """A frozen environment is left as it is, unless that is overridden."""
    file_of(project).unlink()
    (project.directory / ".venv" / "conda-meta" / "frozen").touch()
    with pytest.raises(RequestError, match="is frozen"):
        project.sync(machine=NO_GPU)
    machine = gpuenv.parse_machine(NO_GPU)
    report = gpuenv.sync(start=project.directory, machine=machine, override_frozen=True, report=Silence())
    assert report.state is SyncState.CHANGED
