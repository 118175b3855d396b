"""Find the Python interpreters of this computer that an environment can be made with.

A version that a directory or file name tells is not asked for again; only what is left is started, once and with a
time limit. What counts is CPython of the usual build: a free-threaded one needs packages of its own.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpuenv._process import run
from gpuenv.errors import UnavailableError

__all__ = ["Interpreter", "check_interpreter", "find_interpreters"]

TIMEOUT_SECONDS = 5.0
OLDEST = (3, 6)

_FULL_VERSION = re.compile(r"(\d)\.(\d{1,2})\.(\d{1,3})", re.ASCII)
_PROGRAM = re.compile(r"python3(?:\.\d{1,2})?", re.ASCII)
_UV_DIRECTORY = re.compile(r"cpython-(\d\.\d{1,2}\.\d{1,3})-", re.ASCII)
_PYENV_DIRECTORY = re.compile(r"(\d\.\d{1,2}\.\d{1,3})", re.ASCII)
_FREE_THREADED = re.compile(r"freethreaded|python3\.\d{1,2}t(?:\.exe)?$", re.ASCII)

_QUESTION = """
import json, platform, struct, sys, sysconfig
try:
    import ensurepip, venv
    has_venv = True
except ImportError:
    has_venv = False
print(json.dumps({
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "bits": struct.calcsize("P") * 8,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "is_final": sys.version_info.releaselevel == "final",
    "has_venv": has_venv,
    "base": getattr(sys, "_base_executable", None) or sys.executable,
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """One interpreter: its version (`3.11.7`), the path of the program, and what led to it (`pyenv`, `PATH`, `uv`).

    `has_venv` tells whether its own `python -m venv` can work, which `uv venv` does not need; None: nobody asked.
    """

    version: str
    path: str
    found_by: str
    has_venv: bool | None = None

    @property
    def minor(self) -> str:
        """The version as environments are asked for: `3.11`."""
        return ".".join(self.version.split(".")[:2])


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    implementation: str
    bits: int
    free_threaded: bool
    is_final: bool
    has_venv: bool
    base: str


def check_interpreter(path: str | Path) -> Interpreter | None:
    """Start `path` and ask it; None when it does not run or GPU packages have no builds for it.

    That is: another implementation than CPython, 32 bit, a free-threaded build, a prerelease, or before Python 3.6.
    The path in the answer is that of the interpreter behind a venv or a shim.
    """
    return _check(str(path), found_by="path")


def find_interpreters(
    *, environ: Mapping[str, str] | None = None, home: Path | None = None, roots: tuple[Path, ...] | None = None
) -> tuple[Interpreter, ...]:
    """The best interpreter for each minor version: the running one first, then the newest first.

    Within one minor version the running one wins, else the highest patch release, and among equals the one found
    first. `environ`, `home` and `roots` (directories with programs, beside PATH) stand in for those of this computer.
    """
    environ = os.environ if environ is None else environ
    home = _home(environ) if home is None else home
    best: dict[tuple[int, int], Interpreter] = {}
    seen: set[str] = set()
    for candidate in _candidates(environ, home, roots):
        found = _resolve(candidate, seen)
        key = _key(found.version)[:2] if found else None
        if found is None or key is None or key < OLDEST:
            continue
        before = best.get((key[0], key[1]))
        is_better = before is None or _key(found.version) > _key(before.version)
        if is_better and (before is None or before.found_by != "running"):
            best[key[0], key[1]] = found
    return tuple(
        sorted(best.values(), key=lambda found: (found.found_by == "running", _key(found.version)), reverse=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    path: Path
    found_by: str
    version: str | None = None


def _resolve(candidate: _Candidate, seen: set[str]) -> Interpreter | None:
    """The candidate with its version, from its name where that tells; None for one seen before and for others."""
    try:
        real = os.path.realpath(candidate.path, strict=True)
    except OSError:
        return None
    if real in seen or not os.access(real, os.X_OK) or _FREE_THREADED.search(real):
        return None
    seen.add(real)
    version = candidate.version or _version_from_place(real)
    if version is None:
        return _check(str(candidate.path), found_by=candidate.found_by)
    return Interpreter(version=version, path=str(candidate.path), found_by=candidate.found_by)


def _version_from_place(real: str) -> str | None:
    """The version in the directory that pyenv or uv gave a real interpreter; None where only asking helps."""
    for directory in Path(real).parents:
        managed = _UV_DIRECTORY.match(directory.name) if directory.parent.name == "python" else None
        managed = managed or (
            _PYENV_DIRECTORY.fullmatch(directory.name) if directory.parent.name == "versions" else None
        )
        if managed:
            return managed[1]
    return None


def _candidates(environ: Mapping[str, str], home: Path, roots: tuple[Path, ...] | None) -> Iterator[_Candidate]:
    if running := _running():
        yield running
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    for directory in environ.get("PATH", "").split(os.pathsep):
        # A shim is a script that asks pyenv which interpreter is meant; the real ones follow below.
        if directory and Path(directory) != pyenv / "shims":
            yield from _programs(Path(directory), "PATH")
    yield from _pyenv(pyenv)
    for root in _usual_roots() if roots is None else roots:
        yield from _programs(root, str(root))
    yield from _managed_by_uv(environ, home)
    yield from _conda(environ, home)


def _running() -> _Candidate | None:
    """The interpreter that runs this, or the one its venv was made from."""
    path = getattr(sys, "_base_executable", None) or sys.executable
    is_usual = (
        sys.implementation.name == "cpython" and sys.maxsize > 1 << 32 and sys.version_info.releaselevel == "final"
    )
    if not path or not is_usual or getattr(sys, "frozen", False) or "free-threading" in sys.version:
        return None
    return _Candidate(path=Path(path), found_by="running", version=".".join(map(str, sys.version_info[:3])))


def _programs(directory: Path, found_by: str) -> Iterator[_Candidate]:
    """`python3` and `python3.N` in a directory; what lies in a venv points to its own interpreter."""
    try:
        names = sorted(os.listdir(directory), reverse=True)  # noqa: PTH208  (names, not paths, are wanted)
    except OSError:
        return
    endings = (".exe",) if os.name == "nt" else ("",)
    for name in names:
        stem = name.removesuffix(endings[0]) if endings[0] else name
        if name.endswith(endings) and (_PROGRAM.fullmatch(stem) or (os.name == "nt" and stem == "python")):
            yield _of_venv(directory) or _Candidate(path=directory / name, found_by=found_by)


def _of_venv(directory: Path) -> _Candidate | None:
    """The interpreter behind a venv, from its `pyvenv.cfg` (PEP 405)."""
    values = _pairs(directory.parent / "pyvenv.cfg")
    version = _FULL_VERSION.match(values.get("version") or values.get("version_info") or "")
    if not version or values.get("implementation", "CPython") != "CPython":
        return None
    base = values.get("base-executable") or values.get("executable")
    # uv and older Pythons write only the directory.
    in_home = Path(values.get("home", ""), "python.exe" if os.name == "nt" else f"python{version[1]}.{version[2]}")
    return _Candidate(path=Path(base) if base else in_home, found_by="venv", version=version[0])


def _pairs(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    return {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _pyenv(root: Path) -> Iterator[_Candidate]:
    for directory in _directories(root / "versions"):
        if _PYENV_DIRECTORY.fullmatch(directory.name):
            yield _Candidate(path=directory / "bin" / "python3", found_by="pyenv", version=directory.name)


def _usual_roots() -> tuple[Path, ...]:
    if os.name == "nt":
        return ()
    places = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", "/opt/local/bin")
    framework = "/Library/Frameworks/Python.framework/Versions"
    return tuple(Path(place) for place in places) + tuple(path / "bin" for path in _directories(Path(framework)))


def _managed_by_uv(environ: Mapping[str, str], home: Path) -> Iterator[_Candidate]:
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "uv" / "python"
    on_windows = Path(environ["APPDATA"]) / "uv" / "python" if environ.get("APPDATA") else data
    place = Path(environ.get("UV_PYTHON_INSTALL_DIR") or (on_windows if os.name == "nt" else data))
    for directory in _directories(place):
        version = _UV_DIRECTORY.match(directory.name)
        if version:
            program = directory / "python.exe" if os.name == "nt" else directory / "bin" / "python3"
            yield _Candidate(path=program, found_by="uv", version=version[1])


def _conda(environ: Mapping[str, str], home: Path) -> Iterator[_Candidate]:
    """The base environment of a conda installation, whose `conda-meta` names its Python."""
    # CONDA_EXE is BASE/bin/conda, on Windows BASE\Scripts\conda.exe.
    told = [Path(environ["CONDA_EXE"]).parent.parent] if environ.get("CONDA_EXE") else []
    usual = [home / name for name in ("miniforge3", "mambaforge", "miniconda3", "anaconda3")]
    for base in (*told, *usual, Path("/opt/conda")):
        names = [path.name for path in (base / "conda-meta").glob("python-3.*.json")]
        found = [match for name in names if (match := re.match(r"python-(\d\.\d{1,2}\.\d{1,3})-(?!.*_cp\d+t)", name))]
        if found:
            program = base / "python.exe" if os.name == "nt" else base / "bin" / "python3"
            yield _Candidate(path=program, found_by="conda", version=found[0][1])


def _directories(parent: Path) -> list[Path]:
    try:
        return sorted(path for path in parent.iterdir() if path.is_dir())
    except OSError:
        return []


def _home(environ: Mapping[str, str]) -> Path:
    try:
        return Path.home()
    except RuntimeError:
        return Path(environ.get("TMPDIR", "/nonexistent"))


def _check(path: str, *, found_by: str) -> Interpreter | None:
    try:
        done = run((path, "-I", "-c", _QUESTION), timeout_seconds=TIMEOUT_SECONDS)
        answer = msgspec.json.decode(done.stdout, type=_Answer) if done.status == 0 else None
    except (UnavailableError, msgspec.MsgspecError, ValueError):
        return None
    if answer is None or answer.implementation != "CPython" or answer.bits != 64 or answer.free_threaded:
        return None
    if not (answer.is_final and _FULL_VERSION.fullmatch(answer.version) and _key(answer.version) >= OLDEST):
        return None
    return Interpreter(version=answer.version, path=answer.base, found_by=found_by, has_venv=answer.has_venv)


def _key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
