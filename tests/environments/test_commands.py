"""A plan as commands: pasted into a shell, the real `uv` and `pip` install with them what the plan says."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from environments.little_index import Index, Listener, PlanMaker
from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import find_uv
from gpuenv.environments.command_shells import shell_of
from gpuenv.environments.commands import CommandFormat, Commands, commands
from gpuenv.environments.installed import read_distributions
from gpuenv.errors import RequestError
from gpuenv.machines.interpreters import Interpreter
from gpuenv.machines.written import parse_machine
from gpuenv.model import Machine, OperatingSystem, Plan, PlannedPackage, Request
from gpuenv.plans.make import make_plan
from lone_uv import alone_with
from loopback_index import LoopbackIndex

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the commands are run in a POSIX shell")

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
HERE = Interpreter(version=MINOR, path=getattr(sys, "_base_executable", sys.executable), found_by="test")

# As far as the commands ask, conda is a maker of environments in which there is pip.
CONDA = """#!/bin/sh
set -e
case "$1 $2" in
"create --yes") {python} -m venv "$CONDA_HOME/$4" ;;
"run --no-capture-output") name=$4; shift 4; PATH="$CONDA_HOME/$name/bin:$PATH" exec "$@" ;;
"env config") shift 5; echo "$@" > "$CONDA_HOME/$1.variables" ;;
*) exit 9 ;;
esac
"""


@pytest.fixture
def loopback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackIndex]:
    """An index of wheels, of which the newest are not those of the plans below."""
    with alone_with(monkeypatch, tmp_path / "uv-cache") as made:
        monkeypatch.setenv("GPUENV_CACHE_DIR", str(tmp_path / "cache"))
        for version in ("1.0", "1.5", "2.0"):
            made.add("dep", version)
        made.add("plain", "1.0", requires=["dep>=1"])
        made.add("other", "1.0+cu126")
        yield made


def planned(*specs: str, machine: Machine | None = None, interpreter: Interpreter | None = HERE) -> Plan:
    """The plan of some requirements."""
    machine = machine or parse_machine("gpu=none")
    interpreters = (interpreter,) if interpreter else ()
    return make_plan(Request(specs=specs, python=MINOR), machine, interpreters=interpreters, report=Listener())


def paste(said: Commands, folder: Path, **variables: str) -> dict[str, str]:
    """Run the commands in a shell as they are; the variables that are set at the end."""
    scripts = folder / "bin"
    scripts.mkdir(parents=True, exist_ok=True)
    if not (scripts / "uv").exists():
        (scripts / "uv").symlink_to(find_uv())
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("UV_DEFAULT", "UV_INDEX"))}
    environ |= {"PATH": f"{scripts}{os.pathsep}{environ['PATH']}", "UV_NO_CONFIG": "1", "PIP_NO_CACHE_DIR": "1"}
    environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **variables}
    script = f"set -e\n{said.text}printf 'END\\n'; env"
    done = subprocess.run(["sh"], input=script, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = done.stdout.partition("END\n")[2].splitlines()
    return dict(row.split("=", 1) for row in rows if "=" in row)


def installed(prefix: Path) -> dict[str, str]:
    """What is installed there, without the installers themselves."""
    return {one.key: one.version for one in read_distributions(prefix) if one.key not in {"pip", "setuptools"}}


def locked(plan: Plan) -> dict[str, str | None]:
    """What the plan says."""
    return {one.name: one.version for one in read_lock(plan.pylock)}


@pytest.mark.parametrize("hashes", [False, True])
def test_uv_gets_the_very_plan(loopback: LoopbackIndex, tmp_path: Path, hashes: bool) -> None:
    """The commands for `uv` install each package in the planned version, though newer ones are on the index now."""
    plan = planned("plain", "dep<2")
    loopback.add("plain", "1.1")
    paste(commands(plan, CommandFormat.UV, hashes=hashes), tmp_path / "work")
    assert installed(tmp_path / "work" / ".venv") == locked(plan) == {"plain": "1.0", "dep": "1.5"}


@pytest.mark.parametrize("form", [CommandFormat.PIP, CommandFormat.UV])
def test_what_must_be_built_is_built_with_the_constraints_of_the_plan(
    index: Index, plan_for: PlanMaker, tmp_path: Path, form: CommandFormat
) -> None:
    """Wheels come as wheels; what is published as source is built, with the planned build tools and not the newest."""
    for version in ("1.0", "2.0"):
        index.backend(version)
    index.sdist("fromsource", "1.0", backend="toybackend")
    plan = plan_for("alpha", "fromsource", source_packages=("fromsource",), build_constraints=("toybackend<2",))
    said = commands(plan, form)
    paste(said, tmp_path / "work")
    prefix = tmp_path / "work" / ".venv"
    assert installed(prefix) == locked(plan)
    code = "import fromsource; print(fromsource.BUILT_WITH)"
    done = subprocess.run([str(prefix / "bin" / "python"), "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1.0\n"


def test_a_wheel_from_an_address_keeps_its_hash(loopback: LoopbackIndex, tmp_path: Path) -> None:
    """What comes from an address and not from an index is asked for by it, with the hash of the file for `pip`, too."""
    url = f"{os.environ['UV_DEFAULT_INDEX']}other/other-1.0+cu126-py3-none-any.whl"
    plan = planned("plain", "dep<2", f"other @ {url}")
    said = commands(plan, CommandFormat.PIP)
    (file,) = loopback.projects["other"].values()
    assert f"'other @ {url}#sha256={file.sha256}'" in said.text
    paste(said, tmp_path / "work")
    assert installed(tmp_path / "work" / ".venv") == locked(plan)
    wrong = Commands(text=said.text.replace(file.sha256, "0" * 64))
    with pytest.raises(AssertionError, match=r"(?i)hash"):
        paste(wrong, tmp_path / "other")


def test_conda_makes_the_environment_and_pip_fills_it(loopback: LoopbackIndex, tmp_path: Path) -> None:
    """For conda there are Python and pip from conda, the wheels in it, the variables in conda's own account."""
    del loopback
    plan = with_variables(planned("plain", "dep<2"), {"TF_ENABLE_ONEDNN_OPTS": "0"})
    said = commands(plan, CommandFormat.CONDA, name="mine")
    assert any("conda channels are not read" in note for note in said.notes)
    folder = tmp_path / "work"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "conda").write_text(CONDA.format(python=HERE.path))
    (folder / "bin" / "conda").chmod(0o755)
    paste(said, folder, CONDA_HOME=str(tmp_path))
    assert installed(tmp_path / "mine") == locked(plan)
    assert (tmp_path / "mine.variables").read_text() == "mine TF_ENABLE_ONEDNN_OPTS=0\n"


def with_variables(plan: Plan, variables: dict[str, str]) -> Plan:
    """The plan with a package that needs variables."""
    package = PlannedPackage(name="tensorflow", version="1.0", build="eigen", variables=variables)
    return msgspec.structs.replace(plan, packages=(package,))


def test_variables_are_set_for_the_shell(loopback: LoopbackIndex, tmp_path: Path) -> None:
    """What the packages need is set after the commands, whatever is in its value, and a note says that it must be."""
    del loopback
    value = 'it\'s $HOME "x" `y`; z\\'
    said = commands(with_variables(planned("dep"), {"SOME_SETTING": value}), CommandFormat.UV)
    assert paste(said, tmp_path / "work")["SOME_SETTING"] == value
    assert any("variables" in note for note in said.notes)


def test_a_plan_for_elsewhere_names_its_platform(loopback: LoopbackIndex) -> None:
    """For another machine `uv` is told which platform the wheels are for; Windows gets PowerShell's quotes."""
    del loopback
    linux = planned("dep", machine=parse_machine("gpu=A100,driver=580.65.06,arch=aarch64"), interpreter=None)
    said = commands(linux, CommandFormat.UV)
    assert "--python-platform=aarch64-manylinux_2_28" in said.text
    assert any("linux-aarch64" in note for note in said.notes)
    windows = planned("dep", machine=parse_machine("gpu=none,os=windows"), interpreter=None)
    windows = with_variables(windows, {"SOME_SETTING": "it's"})
    text = commands(windows, CommandFormat.PIP).text
    assert text.splitlines()[0] == f"py -{MINOR} -m venv .venv"
    assert text.splitlines()[1].startswith(r".venv\Scripts\python.exe -m pip install")
    assert text.splitlines()[2] == "$env:SOME_SETTING = 'it''s'"
    assert "--python-platform=x86_64-pc-windows-msvc" in commands(windows, CommandFormat.UV).text
    mac = planned("dep", machine=parse_machine("os=macos,arch=arm64"), interpreter=None)
    assert "MACOSX_DEPLOYMENT_TARGET=14.0 uv pip install" in commands(mac, CommandFormat.UV).text


@pytest.mark.parametrize(
    ("variables", "uv_has", "pip_has"),
    [
        ({}, "", ""),
        (
            {"UV_DEFAULT_INDEX": "https://a.invalid/x"},
            "--default-index=https://a.invalid/x",
            "--index-url=https://a.invalid/x",
        ),
        ({"UV_INDEX": "https://a.invalid/x"}, "--index=https://a.invalid/x", "--extra-index-url=https://a.invalid/x"),
        (
            {"UV_INDEX_URL": "https://a.invalid/x"},
            "--default-index=https://a.invalid/x",
            "--index-url=https://a.invalid/x",
        ),
        ({"UV_INDEX": "me=https://a.invalid/x"}, "", "--extra-index-url=https://a.invalid/x"),
        ({"UV_FIND_LINKS": "/wheels"}, "--find-links=/wheels", "--find-links=/wheels"),
        ({"UV_DEFAULT_INDEX": "https://u:secret@a.invalid/x"}, "", "--index-url=https://a.invalid/x"),
    ],
    ids=str,
)
def test_indexes_are_named_and_passwords_never(
    loopback: LoopbackIndex, variables: Mapping[str, str], uv_has: str, pip_has: str
) -> None:
    """The indexes of the plan stand in the command; an address with a login only without it, and that is said."""
    del loopback
    plan = planned("dep")
    for form, wanted in ((CommandFormat.UV, uv_has), (CommandFormat.PIP, pip_has)):
        said = commands(plan, form, environ=variables)
        assert "secret" not in said.text + "".join(said.notes)
        options = [word for word in said.text.split() if "index" in word or "find-links" in word]
        assert options == ([wanted] if wanted else [])
        named = any("=" in value.partition("://")[0] or "@" in value for value in variables.values())
        assert any("login" in note for note in said.notes) is named


MARKED = """
lock-version = "1.0"
created-by = "x"

[[packages]]
name = "dep"
version = "1.0"
marker = "sys_platform == 'linux'"
wheels = [{ url = "https://a.invalid/dep-1.0-py3-none-any.whl", hashes = { sha256 = "00" } }]
"""


def test_markers_are_decided_where_the_machines_agree(loopback: LoopbackIndex) -> None:
    """A package that is for some systems only stands plainly for those, not at all for others, and with its marker,
    in quotes that no shell takes away, where the plan is for both.
    """
    del loopback
    linux, windows = parse_machine("gpu=none"), parse_machine("gpu=none,os=windows")
    plan = msgspec.structs.replace(planned("dep"), pylock=MARKED)

    def words(main: Machine, *others: Machine) -> str:
        these = msgspec.structs.replace(plan, machine=main, others=others)
        return commands(these, CommandFormat.PIP, environ={}).text.splitlines()[-1]

    assert words(linux).endswith(" dep==1.0")
    assert "dep==1.0" not in words(windows)
    assert shlex.split(words(linux, windows))[-1] == "dep==1.0 ; sys_platform == 'linux'"
    assert words(windows, linux).endswith(""" "dep==1.0 ; sys_platform == 'linux'\"""")


def test_a_plan_without_a_lock_has_no_commands() -> None:
    """There is nothing to type for it."""
    plan = Plan(request=Request(specs=("x",)), machine=parse_machine("gpu=none"), python="3.11")
    with pytest.raises(RequestError, match="no lock"):
        commands(plan, CommandFormat.UV)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_a_posix_shell_hands_words_on_as_they_are(words: list[str]) -> None:
    """Whatever is in a word, the program gets that word, also where a long command is divided into lines."""
    code = "import sys; sys.stdout.write(ascii(sys.argv[1:]))"
    line = shell_of(OperatingSystem.LINUX).line([sys.executable, "-I", "-S", "-c", code, *words])
    done = subprocess.run(["sh"], input=line, capture_output=True, check=True, encoding="utf-8")
    assert done.stdout == ascii(words)


def test_powershell_gets_words_that_it_hands_on() -> None:
    """Words of plans stand plain or in double quotes, which suit cmd as well; others in single ones."""
    shell = shell_of(OperatingSystem.WINDOWS)
    assert shell.quote("torch==2.10.0") == "torch==2.10.0"
    assert (
        shell.quote("x @ https://a.invalid/x-1+cu126.whl#sha256=00")
        == '"x @ https://a.invalid/x-1+cu126.whl#sha256=00"'
    )
    assert shell.quote("it's $x") == "'it''s $x'"
    if shutil.which("pwsh"):
        for word in ("a b", "it's $x", "`n", "torch==2.10.0", "@x", "{}", "a;b", "#x"):
            command = shell.line([sys.executable, "-c", "import sys; print(sys.argv[1])", word])
            done = subprocess.run(
                ["pwsh", "-NoProfile", "-Command", command], capture_output=True, text=True, check=True
            )
            assert done.stdout.strip() == word
