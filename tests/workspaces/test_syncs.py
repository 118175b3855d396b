"""`gpuenv sync`: the environment of a lock, made with real `uv` from an index on the loopback interface."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

import gpuenv
from gpuenv.environments import layout
from gpuenv.errors import IntegrityError, NoPlanError, RequestError, UnavailableError
from gpuenv.model import PackageChange, Silence, SyncState
from workspaces.team_workspace import H100, KEPLER, NO_GPU, V100, TeamWorkspace, YankingIndex

HERE = ("here",)


def content_of(prefix: Path) -> dict[str, bytes]:
    """The files of the installed packages, without what Python or gpuenv write for one place or time."""
    library = layout.library_of(prefix)
    assert library is not None
    left_out = ("RECORD", "uv_cache.json", "direct_url.json")
    return {
        str(path.relative_to(library)): path.read_bytes()
        for path in sorted(library.rglob("*"))
        if path.is_file() and path.name not in left_out and "__pycache__" not in path.parts
    }


def version_in(prefix: Path, module: str) -> str:
    """The version that a module of an environment says it has."""
    command: list[str | Path] = [layout.python_of(prefix), "-c", f"import {module}; print({module}.VERSION)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_environment_is_beside_the_lock(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """Without a place it is `.venv` beside the lock; a second run does nothing and says so."""
    workspace.wants("alpha<2", machines=HERE)
    workspace.lock()
    planned = workspace.sync(dry_run=True)
    assert planned.state is SyncState.WOULD_CREATE
    assert not (workspace.directory / ".venv").exists()
    report = workspace.sync()
    assert report.state is SyncState.CREATED
    assert report.changes == (PackageChange(name="alpha", after="1.0"), PackageChange(name="beta", after="2.0"))
    assert version_in(workspace.directory / ".venv", "alpha") == "1.0"
    again = workspace.sync()
    assert again.state is SyncState.UNCHANGED
    assert again.changes == ()


def test_what_was_locked_is_installed_and_not_what_is_newest(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A newer release on the index changes nothing, and two environments have the same bytes."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    workspace.sync()
    index.add("alpha", "3.0", requires=["beta"])
    other = workspace.directory / "other"
    workspace.sync(prefix=other)
    assert content_of(other) == content_of(workspace.directory / ".venv")
    assert version_in(other, "alpha") == "2.0"


def test_a_changed_lock_changes_the_environment(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """What came, went and changed is told; a dry run tells it and does nothing."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    workspace.sync()
    workspace.wants("alpha<2", "beta<2", machines=HERE)
    workspace.lock()
    expected = (
        PackageChange(name="alpha", before="2.0", after="1.0"),
        PackageChange(name="beta", before="2.0", after="1.0"),
    )
    planned = workspace.sync(dry_run=True)
    assert (planned.state, planned.changes) == (SyncState.WOULD_CHANGE, expected)
    assert version_in(workspace.directory / ".venv", "alpha") == "2.0"
    changed = workspace.sync()
    assert (changed.state, changed.changes) == (SyncState.CHANGED, expected)
    assert version_in(workspace.directory / ".venv", "alpha") == "1.0"


def test_offline_from_the_cache(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """With the index gone, what was installed once can be installed again; before that the error says offline."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    with pytest.raises(UnavailableError) as caught:
        workspace.sync(offline=True)
    assert "offline" in caught.value.message
    assert not (workspace.directory / ".venv").exists()
    workspace.sync()
    index.projects.clear()
    asked = len(index.asked)
    other = workspace.directory / "other"
    assert workspace.sync(prefix=other, offline=True).state is SyncState.CREATED
    assert len(index.asked) == asked
    assert content_of(other) == content_of(workspace.directory / ".venv")


def test_a_package_that_went_wrong_is_put_right(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A distribution that is missing from the environment comes back."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    workspace.sync()
    library = layout.library_of(workspace.directory / ".venv")
    assert library is not None
    shutil.rmtree(next(library.glob("beta-*.dist-info")))
    (library / "beta.py").unlink()
    report = workspace.sync()
    assert report.changes == (PackageChange(name="beta", after="2.0"),)
    assert workspace.sync().state is SyncState.UNCHANGED


def test_what_was_added_by_hand_stays_while_nothing_changes(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A package of the user's own is named, and lost only on request."""
    index.add("gamma", "1.0")
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    workspace.sync()
    prefix = workspace.directory / ".venv"
    from gpuenv.channels.uv import run_uv

    assert run_uv(["pip", "install", "--python", prefix, "gamma"]).status == 0
    report = workspace.sync()
    assert report.state is SyncState.UNCHANGED
    assert any("gamma 1.0" in note for note in report.notes)
    dropped = workspace.sync(drop_foreign=True)
    assert dropped.changes == (PackageChange(name="gamma", before="1.0"),)
    assert workspace.sync().state is SyncState.UNCHANGED


def test_a_directory_of_somebody_else_is_left_alone(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A `.venv` that gpuenv did not make is not touched."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    theirs = workspace.directory / ".venv"
    theirs.mkdir()
    (theirs / "pyvenv.cfg").write_text("home = /usr/bin\n")
    with pytest.raises(RequestError) as caught:
        workspace.sync()
    assert "something else is at" in caught.value.message
    assert "gpuenv sync -p PATH" in caught.value.hints[0]
    assert [path.name for path in theirs.iterdir()] == ["pyvenv.cfg"]


def test_a_stale_lock_is_refused(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """When the project asks for something else by now, the difference is told."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    workspace.wants("alpha", "beta<2", machines=HERE)
    with pytest.raises(IntegrityError) as caught:
        workspace.sync()
    assert caught.value.reasons == ("`gpuenv.toml` asks for `beta<2`, the lock does not",)
    assert caught.value.hints == ("bring it up to date: `gpuenv lock`",)
    assert caught.value.exit_code == 1


def test_a_lock_without_a_plan_for_the_platform(catalog_index: None, workspace: TeamWorkspace) -> None:
    """The machines that it is for are told, and the command that adds this one, which then works."""
    workspace.wants("xgboost", machines=(f"{NO_GPU},os=windows",))
    workspace.lock()
    with pytest.raises(NoPlanError) as caught:
        workspace.sync(machine=V100)
    assert caught.value.message == "`gpuenv.lock` holds no plan for linux-x86_64"
    assert f"`{NO_GPU},os=windows`" in caught.value.reasons[0]
    assert caught.value.hints == (f"add this one: `gpuenv lock -m {V100}`",)
    workspace.lock(machines=(V100,))
    (workspace.directory / "gpuenv.toml").unlink()
    assert workspace.sync(machine=V100, dry_run=True).state is SyncState.WOULD_CREATE


def test_a_plan_is_taken_for_another_machine_only_where_all_rules_agree(
    catalog_index: None, workspace: TeamWorkspace
) -> None:
    """A newer GPU with a newer driver runs the plan of an older one where it has code for it; a Kepler does not."""
    workspace.wants("xgboost=3=cuda*", machines=(V100,))
    workspace.lock()
    report = workspace.sync(machine=H100, dry_run=True)
    assert any(f"no plan was made for `{H100}`" in note for note in report.notes)
    with pytest.raises(NoPlanError) as caught:
        workspace.sync(machine=KEPLER, dry_run=True)
    assert "xgboost" in caught.value.reasons[0]
    assert "CUDA" in caught.value.reasons[0]


def test_a_file_that_is_gone_from_the_index(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """The error names the release and the command that decides anew, and nothing is left half-made."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    index.remove("beta", "2.0")
    with pytest.raises(UnavailableError) as caught:
        workspace.sync()
    assert caught.value.message == "`beta` 2.0 of the lock is gone from its index"
    assert caught.value.hints == ("decide anew: `gpuenv lock --upgrade`",)
    assert not (workspace.directory / ".venv").exists()
    workspace.lock(upgrade=True)
    assert workspace.sync().state is SyncState.CREATED


def test_a_file_that_is_another_by_now(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """Other bytes under the same name are found by their hash."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    index.add("beta", "2.0", requires=["gamma"])
    with pytest.raises(IntegrityError) as caught:
        workspace.sync()
    assert caught.value.message == "`beta` 2.0 is no longer the file that was locked"
    assert caught.value.hints == ("decide anew: `gpuenv lock --upgrade`",)


def test_a_yanked_release_is_installed_and_told(
    index: YankingIndex, workspace: TeamWorkspace, alone: pytest.MonkeyPatch
) -> None:
    """A lock goes on with a release that was withdrawn, as PEP 592 has it, and names it with the way out."""
    workspace.wants("alpha", machines=HERE)
    workspace.lock()
    index.yanked["beta-2.0-py3-none-any.whl"] = "wrong numbers"
    alone.setenv("UV_NO_CACHE", "1")
    report = workspace.sync()
    assert report.state is SyncState.CREATED
    assert report.notes == (
        "beta 2.0 (wrong numbers) was yanked from the index since; take another with `gpuenv lock --upgrade`",
    )


def test_a_lock_for_a_python_that_is_not_here(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """The Python is named, and what there is instead."""
    here = {".".join(one.version.split(".")[:2]) for one in gpuenv.find_interpreters()}
    absent = next((one for one in ("3.7", "3.15", "3.6", "3.14") if one not in here), None)
    if absent is None:
        pytest.skip("every Python is here")
    text = f'packages = ["alpha"]\nmachines = ["gpu=none"]\npython = "{absent}"\nindex-policy = "pypi"\n'
    (workspace.directory / "gpuenv.toml").write_text(text)
    workspace.lock()
    with pytest.raises(UnavailableError) as caught:
        gpuenv.sync(start=workspace.directory, report=Silence())
    assert f"Python {absent}" in caught.value.message


def test_no_lock(workspace: TeamWorkspace) -> None:
    """The error has the command that makes one."""
    with pytest.raises(RequestError) as caught:
        workspace.sync()
    assert caught.value.hints == ("make one: `gpuenv lock PACKAGE...`",)


def test_the_commands_speak_json_and_text(
    index: YankingIndex, workspace: TeamWorkspace, alone: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`lock`, `lock --check` and `sync` print their documents with `--json` and are done at 80 columns without."""
    from gpuenv.cli.main import main

    alone.chdir(workspace.directory)
    workspace.wants("alpha", machines=HERE)
    assert main(["lock", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "written"
    assert main(["lock", "--check"]) == 0
    assert "gpuenv.lock is up to date." in capsys.readouterr().out
    assert main(["sync", "--json", "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "would-create"
    assert main(["sync"]) == 0
    text = capsys.readouterr().out
    assert "gpuenv run -p .venv python" in text
    assert max(map(len, text.splitlines())) <= 80
    workspace.wants("beta", machines=HERE)
    assert main(["lock", "--check"]) == 1
    assert main(["sync"]) == 1
    assert main(["export", "--lock", "--format", "pylock.toml"]) == 1
    workspace.wants("alpha", machines=HERE)
    capsys.readouterr()
    assert main(["export", "--lock", "--format", "pylock.toml"]) == 0
    assert 'name = "alpha"' in capsys.readouterr().out
