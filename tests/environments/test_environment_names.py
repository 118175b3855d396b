"""Which environment a command means."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.little_index import Listener, PlanMaker
from gpuenv import environments
from gpuenv.environments import layout
from gpuenv.errors import RequestError


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of data."""
    monkeypatch.setenv("GPUENV_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["gpu", "torch-2.7", "a", "Python_3.11", "c++", "umgebung-ä", "1", "n" * 100])
def test_a_name_is_a_directory_of_environments(data: Path, name: str) -> None:
    """A name stands for a directory in the data directory."""
    assert environments.resolve_prefix(name, None, {}) == data / "envs" / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-p", "a/b", "a\\b", "a b", "a:b", "a\n", "con", "NUL.txt", "a.", "n" * 101, "~"]
)
def test_what_cannot_be_a_name(data: Path, name: str) -> None:
    """A name that is a path, an option, hidden, or unusable on some system is a wrong question."""
    with pytest.raises(RequestError, match="cannot be the name"):
        environments.resolve_prefix(name, None, {})


@given(st.text(max_size=40))
def test_no_name_leads_out_of_the_directory(name: str) -> None:
    """Whatever is typed as a name, the environment lies directly in the directory, or there is an error."""
    try:
        prefix = environments.resolve_prefix(name, None, {})
    except RequestError:
        return
    assert prefix.name == name
    assert Path(os.path.normpath(prefix)) == prefix
    assert prefix.parent.name == "envs"


def test_a_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path counts from here, `~` is the home directory, and `..` is taken away."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert environments.resolve_prefix(None, Path("env"), {}) == tmp_path / "env"
    assert environments.resolve_prefix(None, Path("a/../env"), {}) == tmp_path / "env"
    assert environments.resolve_prefix(None, Path("~/env"), {}) == tmp_path / "home" / "env"


def test_paths_that_cannot_be_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root, the home directory, and what cannot stand in PATH are refused."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (Path(tmp_path.anchor), Path("~"), tmp_path / f"a{os.pathsep}b", tmp_path / "a\nb"):
        with pytest.raises(RequestError):
            environments.resolve_prefix(None, path, {})


def test_name_and_path_together_are_refused(tmp_path: Path) -> None:
    """One environment is named in one way."""
    with pytest.raises(RequestError, match="not both"):
        environments.resolve_prefix("a", tmp_path, {})


def test_the_active_environment_is_meant_when_gpuenv_made_it(plan_for: PlanMaker, tmp_path: Path) -> None:
    """Without name and path it is VIRTUAL_ENV, if that is one of gpuenv's; else both ways are told."""
    prefix = tmp_path / "env"
    with pytest.raises(RequestError, match="which environment") as caught:
        environments.resolve_prefix(None, None, {})
    assert caught.value.reasons == ("no environment is active",)
    assert "-n NAME" in caught.value.hints[0]
    assert "-p PATH" in caught.value.hints[0]
    with pytest.raises(RequestError) as caught:
        environments.resolve_prefix(None, None, {"VIRTUAL_ENV": str(prefix)})
    assert "not made by gpuenv" in caught.value.reasons[0]
    environments.create(plan_for(), prefix, report=Listener())
    assert environments.resolve_prefix(None, None, {"VIRTUAL_ENV": str(prefix)}) == prefix


def test_strange_names_of_directories_work(plan_for: PlanMaker, tmp_path: Path) -> None:
    """A path may have blanks, quotes and what a shell would obey; none of it is obeyed."""
    prefix = tmp_path / 'it\'s "$(touch pwned)" `x` ü'
    environments.create(plan_for("alpha"), prefix, report=Listener())
    environments.replace(plan_for("beta"), prefix, report=Listener())
    assert [one.name for one in environments.list_packages(prefix)] == ["beta"]
    assert "$(" not in (layout.scripts_of(prefix) / "activate").read_text().split("VIRTUAL_ENV_PROMPT=")[1][:60]
    environments.remove(prefix)
    assert not prefix.exists()
