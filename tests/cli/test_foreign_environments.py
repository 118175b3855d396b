"""`gpuenv plan --format`, and `gpuenv install` in an environment that gpuenv did not make, as a user meets them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

from environments.test_foreign_install import everything, made_venv, owned_by_conda
from gpuenv import settings
from lone_uv import alone_with
from loopback_index import LoopbackIndex

Run = Callable[..., subprocess.CompletedProcess[str]]
SCHEMA = Path(settings.__file__).parent / "schemas" / "installation.json"


@pytest.fixture
def venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A venv with dep 1.0, and an index with more."""
    for name in ("VIRTUAL_ENV", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    with alone_with(monkeypatch, tmp_path / "uv-cache") as index:
        for name in ("data", "cache"):
            monkeypatch.setenv(f"GPUENV_{name.upper()}_DIR", str(tmp_path / name))
        fill(index)
        yield made_venv(tmp_path / "venv", "dep==1.0")


def fill(index: LoopbackIndex) -> None:
    """Two versions of `dep` and what requires the second."""
    index.add("dep", "1.0")
    index.add("dep", "2.0")
    index.add("plain", "2.0", requires=["dep>=2"])


@pytest.fixture
def gpuenv(tmp_path: Path) -> Run:
    """Run the program in an empty directory, with nobody to ask."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpuenv", *words]
        environ = os.environ | variables
        (tmp_path / "work").mkdir(exist_ok=True)
        done = subprocess.run(
            command, cwd=tmp_path / "work", env=environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def test_nothing_changes_without_consent(venv: Path, gpuenv: Run) -> None:
    """In a pipe it is shown what would change, and refused with exit code 2; `--dry-run` shows the same, with 0."""
    before = everything(venv)
    for words, code in (((), 2), (("--dry-run",), 0), (("--json",), 2), (("--dry-run", "--json"), 0)):
        done = gpuenv("install", "-p", str(venv), "plain", *words)
        assert done.returncode == code, done.stderr
        assert ("`--yes`" in done.stderr) is (code == 2)
        if "--json" not in words:
            assert "~  dep    1.0 -> 2.0" in done.stdout
            assert "+  plain  2.0" in done.stdout
        assert everything(venv) == before
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads(SCHEMA.read_text()))
    assert [one["name"] for one in document["changes"]] == ["dep", "plain"]
    assert document["done"] is False


def test_a_change_and_its_way_back(venv: Path, gpuenv: Run) -> None:
    """`--yes` changes the active environment and names the way back, which `--undo` goes; once, no more."""
    before = everything(venv)
    done = gpuenv("install", "plain", "--yes", VIRTUAL_ENV=str(venv))
    assert done.returncode == 0, done.stderr
    assert f"gpuenv install --undo -p {venv}" in done.stdout
    assert "Everything installed there gets what it requires" in done.stdout
    again = gpuenv("install", "plain", VIRTUAL_ENV=str(venv))
    assert (again.returncode, "All of it was there already" in again.stdout) == (0, True)
    back = gpuenv("install", "--undo", "-p", str(venv))
    assert back.returncode == 0, back.stderr
    assert "-  plain  2.0" in back.stdout
    assert everything(venv) == before
    assert gpuenv("install", "--undo", "-p", str(venv)).returncode == 2


def test_a_terminal_is_asked(venv: Path, tmp_path: Path) -> None:
    """On a terminal the question is put; `n` changes nothing and ends with 1, `y` does it."""
    before = everything(venv)
    for answer, code in ((b"n\n", 1), (b"y\n", 0)):
        keyboard, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "gpuenv", "install", "-p", str(venv), "plain"],
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=terminal,
            cwd=tmp_path,
        )
        os.close(terminal)
        os.write(keyboard, answer)
        process.communicate(timeout=60)
        os.close(keyboard)
        assert process.returncode == code
        assert (everything(venv) == before) is (code == 1)


def test_what_conda_installed_is_left_to_conda(venv: Path, gpuenv: Run) -> None:
    """A plan that needs another version of conda's package ends with 1 and conda's command; nothing changes."""
    owned_by_conda(venv, "dep")
    before = everything(venv)
    done = gpuenv("install", "plain", "--yes", CONDA_PREFIX=str(venv))
    assert done.returncode == 1
    assert f"conda update -p {venv} dep" in done.stderr
    assert everything(venv) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("install",), "name a package"),
        (("install", "--undo", "plain"), "name no package"),
        (("install", "plain"), "which environment is meant"),
        (("install", "--undo", "-p", "nowhere"), "nowhere"),
        (("install", "-p", sys.base_prefix, "plain", "--yes"), "Python"),
        (("plan", "dep", "--format", "poetry"), "poetry"),
        (("plan", "dep", "--format", "uv", "--json"), "give one of them"),
        (("plan", "dep", "--hashes"), "--format"),
    ],
    ids=" ".join,
)
def test_senseless_questions_end_with_2(venv: Path, gpuenv: Run, words: tuple[str, ...], said: str) -> None:
    """Each is answered in words on standard error."""
    del venv
    done = gpuenv(*words)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr


def test_environments_of_gpuenv_work_as_ever(venv: Path, gpuenv: Run) -> None:
    """In one of its own nobody is asked, `--dry-run` changes nothing, and `--undo` is not for it."""
    del venv
    assert gpuenv("create", "-n", "own", "dep<2").returncode == 0
    dry = gpuenv("install", "-n", "own", "plain", "dep", "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "+  plain  2.0" in dry.stdout
    assert [one["name"] for one in json.loads(gpuenv("list", "-n", "own", "--json").stdout)["packages"]] == ["dep"]
    undo = gpuenv("install", "-n", "own", "--undo")
    assert undo.returncode == 2
    assert "made by gpuenv" in undo.stderr
    assert gpuenv("install", "-n", "own", "plain", "dep").returncode == 0


def test_commands_are_all_that_is_on_standard_output(venv: Path, gpuenv: Run, tmp_path: Path) -> None:
    """`plan --format` can be piped into a shell: nothing but commands, with what is to be known on standard error."""
    said = gpuenv("plan", "plain", "--format", "conda", "--machine", "gpu=none")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("conda create --yes --name gpuenv python=3.")
    assert "plain==2.0" in said.stdout
    assert "note:" in said.stderr
    done = gpuenv("plan", "dep<2", "--format", "uv", "--hashes")
    assert done.returncode == 0, done.stderr
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = subprocess.run(
        ["sh", "-e"], input=done.stdout, cwd=tmp_path / "work", env=os.environ | {"PATH": path}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert shell.returncode == 0, shell.stderr
    assert list((tmp_path / "work" / ".venv").glob("lib/*/site-packages/dep-1.0.dist-info"))
