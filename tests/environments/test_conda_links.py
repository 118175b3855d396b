"""Files of the cache, which all environments share by hard links, are written by nobody: commands, texts, wheels."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from environments.conda_prefixes import SUBDIR, conda_plan
from environments.little_index import Index, Listener, PlanMaker, this_machine
from environments.test_conda_into import conda_made
from gpuenv import environments
from gpuenv.environments import layout
from gpuenv.environments.conda_into import load_conda_prefix
from gpuenv.environments.foreign_install import install_into
from gpuenv.environments.foreign_plan import plan_into
from gpuenv.errors import IntegrityError
from little_channel import PLACEHOLDER, LittlePackage, make_channel, python_package

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the packages of these tests are for POSIX")

TOOL = LittlePackage(
    name="tool", subdir=SUBDIR, files={"bin/tool": "#!/bin/sh\necho real\n"}, executable=frozenset({"bin/tool"})
)
CODE = {"site-packages/pytool.py": "def main(): print('python')\n"}
SHORT = f"{sys.version_info[0]}.{sys.version_info[1]}"


def with_command(name: str, *commands: str) -> LittlePackage:
    """A package for any Python with commands of its own."""
    points = [f"{command} = pytool:main" for command in commands]
    return LittlePackage(name=name, noarch="python", depends=["python"], files=CODE, entry_points=points)


@pytest.fixture
def channel(tmp_path: Path, index: Index) -> Path:
    """A package with a file, one with a command of the same name, and commands that pose as Python's."""
    return make_channel(
        tmp_path / "channel",
        [
            *(python_package(real=True), TOOL),
            *(
                with_command("pytool", "tool", "pytool"),
                with_command("again", "pytool"),
                with_command("evil", "python"),
            ),
            LittlePackage(name="linking", subdir=SUBDIR, files={"real/x": "linking"}, links={"way": "real"}),
            LittlePackage(name="through", subdir=SUBDIR, files={"way/x": PLACEHOLDER}, prefix_files={"way/x": "text"}),
        ],
    )


def test_a_command_that_meets_a_file(channel: Path, tmp_path: Path) -> None:
    """A command where another package has a file is not made, and told; other environments and commands stay whole."""
    victim = tmp_path / "victim"
    environments.create(conda_plan(channel, "tool"), victim, report=Listener())
    for number in range(6):
        other = tmp_path / f"other{number}"
        made = environments.create(conda_plan(channel, "tool", "pytool"), other, report=Listener())
        assert made.notes == ("the command `tool` of `pytool` was not made: a file of `tool` is there",)
        assert (victim / "bin" / "tool").read_text() == "#!/bin/sh\necho real\n"
        assert (other / "bin" / "tool").read_text() == "#!/bin/sh\necho real\n"
        assert "from pytool import main" in (other / "bin" / "pytool").read_text()
    assert not any("bin/tool" in one.files for one in load_conda_prefix(other).packages if one.locked.name == "pytool")


def said(*words: str) -> str:
    """What gpuenv prints."""
    done = subprocess.run(
        [sys.executable, "-m", "gpuenv", *words], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_is_told_reaches_the_user(channel: Path, tmp_path: Path) -> None:
    """Notes on packages are printed and stand in the JSON; `list` names files that are gone."""
    prefix, note = str(tmp_path / "env"), "the command `tool` of `pytool` was not made: a file of `tool` is there"
    asked = ("-p", prefix, "-c", str(channel), "--only", "conda", "-m", "gpu=none")
    assert f"note: {note}" in " ".join(said("create", *asked, "tool", "pytool").split())
    made = json.loads(said("create", "--json", "--force", *asked, "tool", "pytool"))
    assert made["explanation"]["notes"] == [note]
    (tmp_path / "env" / "bin" / "tool").unlink()
    gone = "`tool` misses a file, such as `bin/tool`"
    assert f"note: {gone}" in said("list", "-p", prefix)
    assert json.loads(said("list", "--json", "-p", prefix))["problems"] == [gone]
    changed = json.loads(said("install", "--json", "-p", prefix, "-m", "gpu=none", "linking"))
    assert changed["explanation"]["notes"][:1] == [gone]
    assert note in changed["explanation"]["notes"]


def test_two_commands_of_one_name(channel: Path, tmp_path: Path) -> None:
    """Of two packages with one command the first by name makes it."""
    made = environments.create(conda_plan(channel, "pytool", "again"), tmp_path / "env", report=Listener())
    assert made.notes[0] == "the command `pytool` of `pytool` was not made: a file of `again` is there"


def test_a_command_in_place_of_python(channel: Path, tmp_path: Path) -> None:
    """A command that is a file of Python is refused, be it conda's or that of a virtual environment."""
    with pytest.raises(IntegrityError) as caught:
        environments.create(conda_plan(channel, "evil"), tmp_path / "env", report=Listener())
    assert "a file of python" in " ".join(caught.value.reasons)
    plan = conda_plan(channel, "evil", interpreter=sys.executable, python=SHORT)
    plan = msgspec.structs.replace(plan, conda=tuple(one for one in plan.conda if one.name != "python"))
    size = Path(sys.executable).resolve().stat().st_size
    with pytest.raises(IntegrityError) as caught:
        environments.create(plan, tmp_path / "env", report=Listener())
    assert "of the virtual environment" in " ".join(caught.value.reasons)
    assert Path(sys.executable).resolve().stat().st_size == size


def test_a_file_by_two_ways(channel: Path, tmp_path: Path) -> None:
    """A file that is, through a link of a package, another file of it is refused."""
    with pytest.raises(IntegrityError) as caught:
        environments.create(conda_plan(channel, "linking", "through"), tmp_path / "env", report=Listener())
    assert "through a link" in " ".join(caught.value.reasons)
    assert not (tmp_path / "env").exists()


def test_commands_in_place(channel: Path, tmp_path: Path) -> None:
    """In a prefix of another tool a command leaves a package's file, and takes the place of anybody else's file."""
    prefix = conda_made(tmp_path / "place" / "env", channel, "tool", "python")
    shared = tmp_path / "shared"
    shared.write_text("of another environment")
    os.link(shared, prefix / "bin" / "pytool")
    before = (prefix / "bin" / "tool").stat().st_ino
    preview = plan_into(("pytool",), prefix, machine=this_machine(), report=Listener(), channels=(str(channel),))
    report = install_into(preview, report=Listener())
    assert "the command `tool` of `pytool` was not made: a file of `tool` is there" in report.notes
    assert (prefix / "bin" / "tool").stat().st_ino == before
    assert (prefix / "bin" / "tool").read_text() == "#!/bin/sh\necho real\n"
    assert "from pytool import main" in (prefix / "bin" / "pytool").read_text()
    assert shared.read_text() == "of another environment"


def test_texts_in_place(channel: Path, tmp_path: Path) -> None:
    """A rewritten file takes the place of one that has further names elsewhere, and of a link, without following it."""
    prefix = conda_made(tmp_path / "place" / "env", channel, "tool")
    shared = tmp_path / "shared"
    shared.write_text("of another environment")
    text = {"share/a": PLACEHOLDER, "share/b": PLACEHOLDER}
    package = LittlePackage(name="texts", files=text, prefix_files=dict.fromkeys(text, "text"))
    second = make_channel(tmp_path / "second", [package])
    (prefix / "share").mkdir()
    os.link(shared, prefix / "share" / "a")
    (prefix / "share" / "b").symlink_to(shared)
    preview = plan_into(("texts",), prefix, machine=this_machine(), report=Listener(), channels=(str(second),))
    install_into(preview, report=Listener())
    assert [(prefix / "share" / name).read_text() for name in "ab"] == [str(prefix)] * 2
    assert shared.read_text() == "of another environment"


@pytest.mark.parametrize("mode", ["hardlink", "copy", "clone"])
def test_wheels_over_files_of_conda(
    index: Index, plan_for: PlanMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Uv puts files of wheels in the place of conda's and does not write into them, in whatever way it links."""
    library = f"lib/python{SHORT}/site-packages"
    files = {f"{library}/beta.py": "VERSION = 'conda'\n", "bin/alpha-says": "#!/bin/sh\necho conda\n"}
    clash = LittlePackage(name="clash", subdir=SUBDIR, files=files)
    channel = make_channel(tmp_path / "channel", [python_package(real=True), clash])
    victim = tmp_path / "victim"
    environments.create(conda_plan(channel, "clash"), victim, report=Listener())
    monkeypatch.setenv("UV_LINK_MODE", mode)
    plan = msgspec.structs.replace(conda_plan(channel, "python", "clash"), pylock=plan_for("alpha").pylock)
    environments.create(plan, tmp_path / "env", report=Listener())
    assert "1.0" in (tmp_path / "env" / library / "beta.py").read_text()
    assert {name: (victim / name).read_text() for name in files} == files
    assert layout.python_of(tmp_path / "env").exists()
