"""The switch from the old environment to the new one, killed at each of its steps.

The steps are counted by an audit hook (PEP 578), which sees every change of a name in the file system before it
happens; a forked child is killed at one of them, and the parent looks at what is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from gpuenv.environments import layout, leftovers, switch
from gpuenv.errors import FormatError
from gpuenv.model import from_json

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

STEPS = {"ctypes.dlopen", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "shutil.rmtree"}


def tree(path: Path, word: str) -> Path:
    """Something that looks like an environment of gpuenv, with a few files that say which one it is."""
    layout.own_directory(path).mkdir(parents=True)
    layout.state_path(path).write_text(word)
    for name in ("bin/python", "lib/one.py", "lib/two.py", "pyvenv.cfg"):
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(word)
    return path


def word_of(path: Path) -> str | None:
    """Which environment is wholly there; None for nothing, an error for a mixture or a part."""
    if not path.exists():
        return None
    texts = [file.read_text() for file in sorted(path.rglob("*")) if file.is_file()]
    assert len(texts) == 5, texts
    assert len(set(texts)) == 1, texts
    return texts[0]


def killed_at(step: int, work: Callable[[], None], place: Path) -> bool:
    """Do `work` in a child that is killed just before its given step; whether it was. Steps also open files here."""
    child = os.fork()
    if child == 0:
        seen = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal seen
            if event in STEPS or (event == "open" and str(arguments[0]).startswith(str(place))):
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            work()
        except BaseException:  # noqa: BLE001  (a forked child must not become a second pytest)
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def only(prefix: Path) -> bool:
    """Whether nothing but the environment is in its directory."""
    return [path.name for path in prefix.parent.iterdir()] == ([prefix.name] if prefix.exists() else [])


@pytest.fixture
def in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot swap."""
    monkeypatch.setattr(switch, "_exchange", lambda *_: False)


@pytest.fixture
def unmovable(monkeypatch: pytest.MonkeyPatch, in_steps: None) -> None:
    """A file system that cannot swap and on which the old environment cannot be renamed either."""
    rename = Path.rename

    def refusing(self: Path, target: Path) -> Path:
        if self.name == "env":
            raise OSError(18, os.strerror(18))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refusing)


def every_kill(tmp_path: Path, prepare: Callable[[Path], None], work: Callable[[Path], None]) -> Iterator[Path]:
    """The prefix after a kill at the first step, at the second, and so on, until the work came to its end."""
    for step in range(1, 200):
        prefix = tmp_path / str(step) / "env"
        prefix.parent.mkdir()
        prepare(prefix)
        killed = killed_at(step, partial(work, prefix), tmp_path)
        yield prefix
        if not killed:
            assert step > 2
            return
    raise AssertionError("the work has no end")


def _old_and_new(prefix: Path) -> None:
    tree(prefix, "old")
    tree(prefix.with_name(".env.gpuenv-new-00000000"), "new")


def _put(prefix: Path) -> None:
    switch.put_in_place(prefix.with_name(".env.gpuenv-new-00000000"), prefix)
    leftovers.sweep(prefix)


def test_swap_is_one_step(tmp_path: Path) -> None:
    """Where two directories can be swapped, the environment is wholly old or wholly new after any kill."""
    tree(tmp_path / "a", "a")
    tree(tmp_path / "b", "b")
    if not switch._exchange(tmp_path / "a", tmp_path / "b"):
        pytest.skip("this file system cannot swap")
    assert (word_of(tmp_path / "a"), word_of(tmp_path / "b")) == ("b", "a")
    ends = []
    for prefix in every_kill(tmp_path, _old_and_new, _put):
        ends.append(word_of(prefix))
        leftovers.sweep(prefix)
        assert word_of(prefix) == ends[-1]
        assert only(prefix)
    assert set(ends) == {"old", "new"}


def test_steps_are_repaired(tmp_path: Path, in_steps: None) -> None:
    """Where it takes two renames, a kill between them is repaired by the next command, to the new environment."""
    ends = []
    for prefix in every_kill(tmp_path, _old_and_new, _put):
        ends.append(word_of(prefix))
        leftovers.sweep(prefix)
        assert word_of(prefix) == (ends[-1] or "new") or layout.is_environment(prefix)
        assert word_of(prefix) in {"old", "new"}
        assert only(prefix)
    assert None in ends
    assert {"old", "new"} <= set(ends)


def test_deleting_in_place_is_repaired(tmp_path: Path, unmovable: None) -> None:
    """Where the old environment can only be deleted, a kill in the middle is repaired to the new environment."""
    ends = []
    for prefix in every_kill(tmp_path, _old_and_new, _put):
        begun = layout.journal_path(prefix).exists()
        leftovers.sweep(prefix)
        ends.append(word_of(prefix))
        assert ends[-1] == ("new" if begun or ends[-1] == "new" else "old")
        assert only(prefix)
    assert set(ends) == {"old", "new"}


def test_repair_can_be_killed_too(tmp_path: Path, in_steps: None) -> None:
    """A repair that is killed is carried on by the next one."""

    def prepare(prefix: Path) -> None:
        _old_and_new(prefix)
        switch.write_whole(layout.journal_path(prefix), '{"new": ".env.gpuenv-new-00000000"}')

    for prefix in every_kill(tmp_path, prepare, leftovers.sweep):
        leftovers.sweep(prefix)
        assert word_of(prefix) == "new"
        assert only(prefix)


@pytest.mark.parametrize("place", ["free", "empty"])
def test_first_creation(tmp_path: Path, place: str) -> None:
    """A first environment is wholly there or not at all."""

    def prepare(prefix: Path) -> None:
        tree(prefix.with_name(".env.gpuenv-new-00000000"), "new")
        if place == "empty":
            prefix.mkdir()

    ends = []
    for prefix in every_kill(tmp_path, prepare, _put):
        if prefix.exists() and not any(prefix.iterdir()):
            prefix.rmdir()
        ends.append(word_of(prefix))
        leftovers.sweep(prefix)
        assert word_of(prefix) == ends[-1]
        assert only(prefix)
    assert set(ends) == {None, "new"}


@pytest.mark.parametrize("movable", [True, False])
def test_removal(tmp_path: Path, movable: bool, request: pytest.FixtureRequest) -> None:
    """A removed environment is wholly there or gone; where it cannot be moved, the next command goes on deleting."""
    if not movable:
        request.getfixturevalue("unmovable")

    def work(prefix: Path) -> None:
        switch.take_away(prefix)
        leftovers.sweep(prefix)

    ends = []
    for prefix in every_kill(tmp_path, lambda prefix: void(tree(prefix, "old")), work):
        leftovers.sweep(prefix)
        ends.append(word_of(prefix))
        assert only(prefix)
    assert set(ends) == {"old", None}


def void(_: object) -> None:
    """Nothing."""


def test_lost_new_environment_brings_the_old_one_back(tmp_path: Path) -> None:
    """If somebody deleted the new environment between the two renames, the old one is put back."""
    prefix = tmp_path / "env"
    tree(prefix.with_name(".env.gpuenv-old-00000000"), "old")
    switch.write_whole(layout.journal_path(prefix), '{"new": ".env.gpuenv-new-00000000"}')
    leftovers.sweep(prefix)
    assert word_of(prefix) == "old"
    assert only(prefix)


@pytest.mark.parametrize("text", ["", "{", '{"new": 5}', '{"new": "../../etc"}', '{"new": ""}'])
def test_journal_that_makes_no_sense_does_no_harm(tmp_path: Path, text: str) -> None:
    """A broken journal is thrown away and nothing outside the directory is touched."""
    prefix = tree(tmp_path / "env", "old")
    layout.journal_path(prefix).write_text(text)
    leftovers.sweep(prefix)
    assert word_of(prefix) == "old"
    assert only(prefix)


def test_refused_rename_leaves_the_old_environment(
    tmp_path: Path, in_steps: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the system refuses the first or the second rename, the old environment is back in its place."""
    for refused in ("env", ".env.gpuenv-new-00000000"):
        prefix = tmp_path / refused.strip(".") / "env"
        prefix.parent.mkdir()
        _old_and_new(prefix)
        rename = Path.rename

        def refusing(self: Path, target: Path, *, refused: str = refused, rename: object = rename) -> Path:
            if self.name == refused:
                raise PermissionError(13, os.strerror(13))
            assert callable(rename)
            return Path(rename(self, target))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", refusing)
            with pytest.raises(PermissionError):
                switch.put_in_place(prefix.with_name(".env.gpuenv-new-00000000"), prefix)
        assert word_of(prefix) == "old"
        leftovers.sweep(prefix)
        assert word_of(prefix) == "old"
        assert only(prefix)


def test_draft_is_never_taken_for_the_file(tmp_path: Path) -> None:
    """A text is there as a whole or not at all."""
    path = tmp_path / "file"
    switch.write_whole(path, "one\n")
    switch.write_whole(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert list(tmp_path.iterdir()) == [path]


def test_overlay_of_a_container(tmp_path: Path) -> None:
    """An environment from a lower layer of an overlay, which cannot be renamed, is changed and removed all the same."""
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, merged):
        path.mkdir()
    tree(lower / "env", "old")
    options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off"
    try:
        done = subprocess.run(
            ["mount", "-t", "overlay", "-o", options, "overlay", str(merged)], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("there is no `mount`")
    if done.returncode:
        pytest.skip("no overlay can be mounted here")
    try:
        prefix = merged / "env"
        with pytest.raises(OSError, match="cross-device"):
            prefix.rename(merged / "elsewhere")
        tree(merged / ".env.gpuenv-new-00000000", "new")
        _put(prefix)
        assert word_of(prefix) == "new"
        assert only(prefix)
        switch.take_away(prefix)
        leftovers.sweep(prefix)
        assert not prefix.exists()
        assert only(prefix)
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def test_journal_of_another_format_is_a_format_error() -> None:
    """The journal is one of our own documents: a field too many is not let through."""
    with pytest.raises(FormatError):
        from_json('{"new": "x", "old": "y"}', switch.Journal)
