"""`gpuenv lock`: what is decided, what stays, and when a lock is up to date."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

import gpuenv
from gpuenv.errors import (
    FormatError,
    GpuenvError,
    IntegrityError,
    NoPlanError,
    RequestError,
    UnavailableError,
)
from gpuenv.model import LockState, lock_digest
from workspaces.team_workspace import H100, KEPLER, NO_GPU, V100, TeamWorkspace, YankingIndex


def test_the_same_answers_give_the_same_bytes(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A second run leaves the file alone, and a run from nothing differs in its time at most."""
    workspace.wants("alpha")
    assert workspace.lock().state is LockState.WRITTEN
    first = workspace.path.read_bytes()
    assert workspace.lock().state is LockState.UNCHANGED
    assert workspace.path.read_bytes() == first
    workspace.path.unlink()
    workspace.lock()
    again, before = json.loads(workspace.path.read_bytes()), json.loads(first)
    for document in (again, before):
        del document["created"], document["digest"]
    assert again == before


def test_a_lock_names_nothing_of_this_computer(index: YankingIndex, workspace: TeamWorkspace, tmp_path: Path) -> None:
    """No path of the computer that it was made on is in it, so that a team can share it."""
    workspace.wants("alpha", machines=("here", NO_GPU))
    workspace.lock()
    text = workspace.path.read_text("utf-8")
    assert str(tmp_path) not in text
    assert str(Path.home()) not in text


def test_versions_stay_until_an_upgrade(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """What is locked stays when newer releases come and other packages are added; `--upgrade` takes the newest."""
    workspace.wants("alpha")
    workspace.lock()
    assert workspace.versions() == {"alpha": "2.0", "beta": "2.0"}
    index.add("alpha", "3.0", requires=["beta"])
    index.add("gamma", "1.0")
    assert workspace.lock().state is LockState.UNCHANGED
    workspace.wants("alpha", "gamma")
    workspace.lock()
    assert workspace.versions() == {"alpha": "2.0", "beta": "2.0", "gamma": "1.0"}
    workspace.lock(upgrade=True)
    assert workspace.versions()["alpha"] == "3.0"


def test_a_version_that_no_longer_fits_is_given_up(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A new bound is kept, even against what was locked."""
    workspace.wants("alpha")
    workspace.lock()
    workspace.wants("alpha<2")
    workspace.lock()
    assert workspace.versions() == {"alpha": "1.0", "beta": "2.0"}


def test_check_says_why_a_lock_is_not_up_to_date(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """Each change of the project is named; nothing is written."""
    workspace.wants("alpha")
    workspace.lock()
    assert workspace.check().state is LockState.CURRENT
    before = workspace.path.read_bytes()
    workspace.wants("alpha<2", machines=(V100,), more='gpu = "never"')
    report = workspace.check()
    assert report.state is LockState.STALE
    assert report.reasons == (
        "`gpuenv.toml` asks for `alpha<2`, the lock does not",
        "the lock has `alpha`, which `gpuenv.toml` does not ask for",
        "`gpu` is never in `gpuenv.toml` and prefer in the lock",
        f"`gpuenv.toml` names the machine `{V100}`, the lock does not",
    )
    assert workspace.path.read_bytes() == before


def test_check_sees_a_machine_that_changed(catalog_index: None, workspace: TeamWorkspace) -> None:
    """A machine file with another driver makes another plan, and the lock is told to be behind."""
    machine = workspace.directory / "node.toml"
    machine.write_text('gpu = "V100"\ndriver = "535.129.03"\n')
    workspace.wants("xgboost", machines=("node.toml",))
    workspace.lock()
    assert workspace.check().state is LockState.CURRENT
    machine.write_text('gpu = "V100"\ndriver = "450.80.02"\n')
    report = workspace.check()
    assert report.state is LockState.STALE
    assert "the machine `node.toml` is another than when it was locked" in report.reasons


def test_several_machines_and_platforms_are_in_one_lock(catalog_index: None, workspace: TeamWorkspace) -> None:
    """Each machine has a plan; those of another platform have one of their own."""
    workspace.wants("xgboost", machines=(V100, H100, f"{NO_GPU},os=windows"))
    report = workspace.lock()
    covered = [[machine.name for machine in one.plan.machines] for one in report.lock.plans]
    assert sorted(name for names in covered for name in names) == sorted(report.lock.machines)
    assert {one.plan.machine.platform for one in report.lock.plans} == {"linux-x86_64", "windows-x86_64"}
    assert report.lock.reasons
    assert workspace.lock().state is LockState.UNCHANGED


def test_a_machine_can_be_added_and_goes_with_the_file(catalog_index: None, workspace: TeamWorkspace) -> None:
    """`-m` adds to what the project names, and a further run without it takes the machine out again."""
    workspace.wants("xgboost", machines=(V100,))
    workspace.lock()
    assert workspace.lock(machines=(H100,)).lock.machines == (V100, H100)
    assert workspace.check().state is LockState.STALE
    assert workspace.lock().lock.machines == (V100,)


def test_a_lock_without_a_project_file(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """Packages can be named by word; the lock itself then says what it is for, and a machine can be added."""
    workspace.lock("alpha<2", machines=(NO_GPU,))
    assert workspace.versions()["alpha"] == "1.0"
    again = workspace.lock(machines=(V100,))
    assert again.lock.machines == (NO_GPU, V100)
    assert again.lock.request.specs == ("alpha<2",)
    assert workspace.check().state is LockState.CURRENT


def test_words_beside_a_project_file_are_refused(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A lock that does not match its project is not made."""
    workspace.wants("alpha")
    with pytest.raises(RequestError) as caught:
        workspace.lock("beta")
    assert "gpuenv.toml" in caught.value.message
    assert caught.value.hints


def test_nothing_to_lock(workspace: TeamWorkspace) -> None:
    """Without a project file, words or a lock there is a hint."""
    with pytest.raises(RequestError) as caught:
        workspace.lock()
    assert caught.value.message == "nothing says what to lock"


def test_the_project_file_is_found_from_below(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """The nearest `gpuenv.toml` above is meant, as with git."""
    workspace.wants("alpha")
    below = workspace.directory / "src" / "deep"
    below.mkdir(parents=True)
    report = TeamWorkspace(below).lock()
    assert Path(report.path) == workspace.path


def test_a_yanked_release_is_left(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A release that its project withdrew no longer counts as one that fits, and `--check` says so."""
    workspace.wants("alpha")
    workspace.lock()
    index.yanked["beta-2.0-py3-none-any.whl"] = "broken"
    alone = pytest.MonkeyPatch()
    with alone.context() as patch:
        patch.setenv("UV_NO_CACHE", "1")
        report = workspace.check()
        assert report.state is LockState.STALE
        assert "beta: 2.0 becomes 1.0" in report.reasons[0].replace("beta 2.0", "beta: 2.0")
        workspace.lock()
    assert workspace.versions() == {"alpha": "2.0", "beta": "1.0"}


def test_a_lock_of_a_newer_format_is_never_written_over(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """It is refused with the version, with `--upgrade` too."""
    workspace.wants("alpha")
    workspace.lock()
    document = json.loads(workspace.path.read_text())
    document |= {"version": 2, "gpuenv": "9.1", "novelty": []}
    workspace.path.write_text(json.dumps(document))
    for upgrade in (False, True):
        with pytest.raises(FormatError) as caught:
            workspace.lock(upgrade=upgrade)
        assert "has format 2, and this gpuenv reads up to 1" in caught.value.message
        assert "9.1" in caught.value.reasons[0]
        assert "pip install --upgrade gpuenv" in caught.value.hints[0]
    assert json.loads(workspace.path.read_text()) == document


def test_a_changed_lock_is_refused_and_made_anew_on_request(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A hash changed by hand is found by the digest; `--upgrade` decides anew."""
    workspace.wants("alpha")
    workspace.lock()
    text = workspace.path.read_text()
    sha256 = json.loads(text)["plans"][0]["plan"]["wheels"][0]["sha256"]
    workspace.path.write_text(text.replace(sha256, "0" * 64))
    with pytest.raises(IntegrityError) as caught:
        workspace.lock()
    assert "was changed since gpuenv wrote it" in caught.value.message
    assert workspace.lock(upgrade=True).state is LockState.WRITTEN
    assert workspace.check().state is LockState.CURRENT


def test_a_place_that_cannot_hold_the_lock(
    index: YankingIndex, workspace: TeamWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old lock stays as it was, no draft is left, and another place for a lock is named."""
    workspace.wants("alpha<2")
    workspace.lock()
    before = workspace.path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    workspace.wants("alpha")
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UnavailableError) as caught:
        workspace.lock()
    assert caught.value.reasons == ("No space left on device",)
    assert "gpuenv lock --lock FILE" in caught.value.hints[0]
    assert workspace.path.read_bytes() == before
    assert sorted(path.name for path in workspace.directory.iterdir()) == ["gpuenv.lock", "gpuenv.toml"]


def test_two_who_write_a_lock_at_once(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """A draft of another process is not touched, so that what it puts in place is whole."""
    workspace.wants("alpha")
    theirs = [workspace.path.with_name(name) for name in ("gpuenv.lock.draft", ".gpuenv.lock.1.draft")]
    for draft in theirs:
        draft.write_text("half of it")
    workspace.lock()
    assert [draft.read_text() for draft in theirs] == ["half of it"] * 2
    assert workspace.check().state is LockState.CURRENT


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", 3), (b"hello", 3), (b"[]", 3), (b"{}", 1), (b"\xa6\xff\xfe" * 90, 3), (b"[" * 200_000, 3), (None, 2)],
    ids=("empty", "words", "list", "object", "bytes", "deep", "directory"),
)
def test_what_is_no_lock(workspace: TeamWorkspace, content: bytes | None, code: int) -> None:
    """Each is told in words with what to do about it, and with its exit code."""
    if content is None:
        workspace.path.mkdir()
    else:
        workspace.path.write_bytes(content)
    (workspace.directory / "gpuenv.toml").write_text('packages = ["alpha"]\n')
    with pytest.raises(GpuenvError) as caught:
        workspace.check()
    assert caught.value.exit_code == code
    assert caught.value.hints


def test_a_merge_conflict_is_named(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """The marks of git are no JSON; the message says what they are."""
    workspace.path.write_text('{\n<<<<<<< ours\n"version": 1\n=======\n"version": 1\n>>>>>>> theirs\n}\n')
    with pytest.raises(FormatError) as caught:
        workspace.content()
    assert "conflict" in caught.value.message


def test_a_lock_from_the_future_is_as_good(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """When a lock was made is told and never compared: a clock may be wrong."""
    workspace.wants("alpha")
    workspace.lock()
    document = json.loads(workspace.path.read_text())
    document["created"] = "2999-01-01T00:00:00Z"
    document["digest"] = lock_digest(document)
    workspace.path.write_text(json.dumps(document))
    assert workspace.check().state is LockState.CURRENT
    assert workspace.lock().state is LockState.UNCHANGED


def test_no_plan_names_the_machine(catalog_index: None, workspace: TeamWorkspace) -> None:
    """Where nothing fits one of the machines, the error says which."""
    workspace.wants("xgboost=3=cuda*", machines=(V100, KEPLER))
    with pytest.raises(NoPlanError) as caught:
        workspace.lock()
    told = " ".join((caught.value.message, *caught.value.reasons))
    assert KEPLER in told
    assert not workspace.path.exists()


def test_credentials_are_not_in_the_lock(
    index: YankingIndex, workspace: TeamWorkspace, alone: pytest.MonkeyPatch
) -> None:
    """The password of an index stays in the user's variables."""
    import os

    address = os.environ["UV_DEFAULT_INDEX"].replace("http://", "http://someone:secret-word@")
    alone.setenv("UV_DEFAULT_INDEX", address)
    workspace.wants("alpha")
    workspace.lock()
    text = workspace.path.read_text()
    assert "secret-word" not in text


def test_a_lock_from_a_requirements_file(index: YankingIndex, workspace: TeamWorkspace) -> None:
    """The file is named in the lock, read again with each run, and a change of it is found."""
    file = workspace.directory / "requirements.txt"
    file.write_text("alpha<2\n")
    report = workspace.lock(file=file, machines=(NO_GPU,))
    assert report.lock.source is not None
    assert report.lock.source.file == "requirements.txt"
    assert workspace.check().state is LockState.CURRENT
    file.write_text("alpha\n")
    assert workspace.check().state is LockState.STALE
    workspace.lock(upgrade=True)
    assert workspace.versions()["alpha"] == "2.0"


def test_the_public_verbs_are_those_of_the_commands() -> None:
    """`gpuenv.lock` and `gpuenv.sync` are the verbs."""
    assert callable(gpuenv.lock)
    assert callable(gpuenv.sync)
