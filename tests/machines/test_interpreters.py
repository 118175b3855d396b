"""Finding Python interpreters: by their place where it tells the version, by one short run where it does not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from gpuenv.machines import interpreters
from gpuenv.machines.interpreters import Interpreter, check_interpreter, find_interpreters

RUNNING = f"{sys.version_info[0]}.{sys.version_info[1]}"


def _program(path: Path, *, says: str = "") -> Path:
    """A program that answers like Python's, or fails when it has nothing to say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho run >> {path}.log\n" + (f"cat <<'END'\n{says}\nEND\n" if says else "exit 1\n"))
    path.chmod(0o755)
    return path


def _answer(base: Path, **changes: object) -> str:
    values: dict[str, object] = {
        "version": "3.9.4",
        "implementation": "CPython",
        "bits": 64,
        "free_threaded": False,
        "is_final": True,
    }
    return json.dumps(values | {"has_venv": True, "base": str(base)} | changes)


def _find(home: Path, **environ: str) -> dict[str, Interpreter]:
    found = find_interpreters(environ=environ, home=home, roots=())
    return {interpreter.minor: interpreter for interpreter in found}


def test_the_running_interpreter_comes_first(tmp_path: Path) -> None:
    """It is found without asking, by the path behind its venv."""
    first = find_interpreters(environ={}, home=tmp_path, roots=())[0]
    assert (first.minor, first.found_by) == (RUNNING, "running")
    assert Path(first.path).samefile(getattr(sys, "_base_executable", sys.executable))


def test_pyenv_versions_are_told_by_their_directory(tmp_path: Path) -> None:
    """No process is started; directories of other implementations, builds and prereleases are left out."""
    for name in ("3.8.18", "3.8.9", "3.13.1t", "pypy3.10-7.3.15", "3.14.0a2", "my-venv"):
        _program(tmp_path / ".pyenv" / "versions" / name / "bin" / "python3")
    found = _find(tmp_path)
    assert found.keys() - {RUNNING} == {"3.8"}
    assert (found["3.8"].version, found["3.8"].found_by) == ("3.8.18", "pyenv")
    assert list(tmp_path.rglob("*.log")) == []


def test_pyenv_root_is_obeyed(tmp_path: Path) -> None:
    """The variable names the place in which the versions lie."""
    _program(tmp_path / "elsewhere" / "versions" / "3.9.2" / "bin" / "python3")
    assert _find(tmp_path, PYENV_ROOT=str(tmp_path / "elsewhere"))["3.9"].version == "3.9.2"


def test_shims_are_not_started(tmp_path: Path) -> None:
    """A pyenv shim on PATH stands for the real ones, which are found by themselves."""
    shim = _program(tmp_path / ".pyenv" / "shims" / "python3")
    _program(tmp_path / ".pyenv" / "versions" / "3.9.2" / "bin" / "python3")
    found = _find(tmp_path, PATH=str(shim.parent))
    assert found["3.9"].path.endswith("versions/3.9.2/bin/python3")
    assert not Path(f"{shim}.log").exists()


def test_uv_and_conda_are_told_by_their_names(tmp_path: Path) -> None:
    """The directory tells the version for uv, a file in `conda-meta` for conda; free-threaded builds do not count."""
    uv = tmp_path / ".local" / "share" / "uv" / "python"
    _program(uv / "cpython-3.7.9-linux-x86_64-gnu" / "bin" / "python3")
    _program(uv / "cpython-3.15.1+freethreaded-linux-x86_64-gnu" / "bin" / "python3")
    _program(uv / "pypy-3.10.14-linux-x86_64-gnu" / "bin" / "python3")
    conda = tmp_path / "miniforge3"
    _program(conda / "bin" / "python3")
    (conda / "conda-meta").mkdir()
    (conda / "conda-meta" / "python-3.6.15-hb7a2778_0_cpython.json").write_text("{}")
    found = _find(tmp_path)
    assert (found["3.7"].found_by, found["3.6"].found_by) == ("uv", "conda")
    assert found["3.6"].version == "3.6.15"
    assert "3.15" not in found
    assert list(tmp_path.rglob("*.log")) == []


def test_a_venv_on_path_leads_to_its_interpreter(tmp_path: Path) -> None:
    """`pyvenv.cfg` tells version and base, in the forms that venv and uv write; nothing is started."""
    base = _program(tmp_path / "opt" / "bin" / "python3.9")
    for name, text in (
        ("one", f"home = {base.parent}\nversion = 3.9.7\nexecutable = {base}\n"),
        ("two", f"home = {base.parent}\nimplementation = CPython\nversion_info = 3.9.7\nuv = 0.9\n"),
    ):
        _program(tmp_path / name / "bin" / "python3")
        (tmp_path / name / "pyvenv.cfg").write_text(text)
        found = _find(tmp_path, PATH=str(tmp_path / name / "bin"))
        assert (found["3.9"].version, found["3.9"].path) == ("3.9.7", str(base))
    assert list(tmp_path.rglob("*.log")) == []


def test_an_unknown_program_is_asked_once(tmp_path: Path) -> None:
    """Two names of one file cost one run, and the answer's base is the path."""
    real = tmp_path / "bin" / "python3.9"
    _program(real, says=_answer(real))
    (real.parent / "python3").symlink_to("python3.9")
    found = _find(tmp_path, PATH=f"{real.parent}{os.pathsep}{real.parent}")
    assert found["3.9"] == Interpreter(version="3.9.4", path=str(real), found_by="PATH", has_venv=True)
    assert Path(f"{real}.log").read_text() == "run\n"


@pytest.mark.parametrize(
    "changes",
    [
        {"implementation": "PyPy"},
        {"bits": 32},
        {"free_threaded": True},
        {"is_final": False},
        {"version": "2.7.18"},
        {"version": "3.5.10"},
        {"version": "3.9.0b1"},
        {"bits": "many"},
    ],
)
def test_what_gpu_packages_have_no_builds_for_is_left_out(tmp_path: Path, changes: dict[str, object]) -> None:
    """Other implementations, 32 bit, free-threaded builds, prereleases, old versions, and odd answers."""
    program = tmp_path / "bin" / "python3"
    _program(program, says=_answer(program, **changes))
    assert check_interpreter(program) is None
    assert "3.9" not in _find(tmp_path, PATH=str(program.parent))


def test_a_python_without_venv_is_found_and_says_so(tmp_path: Path) -> None:
    """Debian packages `venv` apart; `uv venv` does without it."""
    program = tmp_path / "python3"
    _program(program, says=_answer(program, has_venv=False))
    found = check_interpreter(program)
    assert found is not None
    assert found.has_venv is False


def test_the_best_patch_release_wins(tmp_path: Path) -> None:
    """Among two of one minor version the newer is taken, wherever it was found; numbers are compared, not text."""
    program = tmp_path / "bin" / "python3"
    _program(program, says=_answer(program, version="3.9.9"))
    _program(tmp_path / ".pyenv" / "versions" / "3.9.18" / "bin" / "python3")
    assert _find(tmp_path, PATH=str(program.parent))["3.9"].version == "3.9.18"


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time limit ends it, and the search goes on."""
    monkeypatch.setattr(interpreters, "TIMEOUT_SECONDS", 0.3)
    program = tmp_path / "bin" / "python3"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    assert list(_find(tmp_path, PATH=str(program.parent))) == [RUNNING]


def test_odd_places_are_passed_over(tmp_path: Path) -> None:
    """A dangling link, a file that may not be run, a missing directory, a directory of that name."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "python3").symlink_to("nowhere")
    (place / "python3.9").write_text("")
    (place / "python3.10").mkdir()
    assert list(_find(tmp_path, PATH=f"{place}{os.pathsep}/nonexistent{os.pathsep}")) == [RUNNING]
    assert check_interpreter(tmp_path / "none") is None


def test_this_computer_has_its_running_interpreter() -> None:
    """The real search finds the interpreter of the tests, and what it finds can be checked."""
    found = find_interpreters()
    assert RUNNING in {interpreter.minor for interpreter in found}
    assert len({interpreter.minor for interpreter in found}) == len(found)
    checked = check_interpreter(found[0].path)
    assert checked is not None
    assert checked.version == found[0].version
