"""Environments that gpuenv did not make: virtual environments and conda environments, and their own interpreters."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpuenv._process import run
from gpuenv.environments import layout
from gpuenv.environments.naming import real_prefix
from gpuenv.errors import FormatError, RequestError, UnavailableError
from gpuenv.model import Machine
from gpuenv.versions import LibcVersion

__all__ = [
    "ForeignEnvironment",
    "check_writable",
    "chosen_foreign",
    "look_at",
    "look_without_asking",
    "with_own_platform",
]

_TIMEOUT_SECONDS = 20.0
_OLDEST = (3, 6)
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}

_QUESTION = """
import json, os, platform, struct, sys, sysconfig
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
except (AttributeError, OSError, ValueError):
    libc = ""
paths = sysconfig.get_paths()
marker = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
print(json.dumps({
    "version": platform.python_version(),
    "implementation": platform.python_implementation(),
    "bits": struct.calcsize("P") * 8,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "is_final": sys.version_info.releaselevel == "final",
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "libraries": [paths["purelib"], paths["platlib"]],
    "machine": platform.machine(),
    "libc": libc,
    "managed": os.path.isfile(marker),
}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEnvironment:
    """A venv or conda environment of someone else's. `version` is its Python's, `libraries` hold its packages."""

    prefix: Path
    python: Path
    version: str
    libraries: tuple[Path, ...]
    is_conda: bool = False
    arch: str = ""
    libc: str = ""

    @property
    def minor(self) -> str:
        """Its Python as plans name it: `3.11`."""
        return ".".join(self.version.split(".")[:2])


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    version: str
    implementation: str
    bits: int
    free_threaded: bool
    is_final: bool
    prefix: str
    base_prefix: str
    libraries: list[str]
    machine: str
    libc: str
    managed: bool


def chosen_foreign(name: str | None, prefix: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The environment at `prefix`, or else the active one, where gpuenv did not make it; None where it did, or where
    something else is meant: a name, or a path without an environment.

    RequestError where conda's own environment is active and nothing was named, since conda itself would be changed.
    """
    if name is not None:
        return None
    if prefix is not None:
        place = real_prefix(prefix)
        return None if layout.is_environment(place) or not _is_prefix(place) else place
    active = environ.get("VIRTUAL_ENV") or environ.get("CONDA_PREFIX")
    if not active or not _is_prefix(Path(active)) or layout.is_environment(Path(active)):
        return None
    if not environ.get("VIRTUAL_ENV") and _is_conda_base(Path(active)):
        raise RequestError(
            "the active environment is conda's own, in which conda itself runs",
            reasons=(f"`{active}`",),
            hints=(
                "make one for your packages: `gpuenv create -n NAME PACKAGE`",
                f"or name it, if it is meant: `-p {active}`",
            ),
        )
    return real_prefix(Path(active))


def look_at(prefix: Path) -> ForeignEnvironment:
    """The environment at `prefix`, asked of its own interpreter.

    RequestError for one that is no environment, is managed by the system (PEP 668), or whose Python has no GPU
    packages; UnavailableError where its Python does not run or it cannot be written to.
    """
    prefix = real_prefix(prefix)
    python = _python_of(prefix)
    answer = _ask(python, prefix)
    is_venv = (prefix / "pyvenv.cfg").is_file()
    is_conda = (prefix / "conda-meta").is_dir()
    _check_kind(prefix, answer, is_venv=is_venv, is_conda=is_conda)
    libraries = tuple(dict.fromkeys(Path(os.path.realpath(path)) for path in answer.libraries))
    for library in libraries:
        if not library.is_relative_to(prefix):
            raise RequestError(
                f"`{prefix}` keeps its packages elsewhere, in `{library}`",
                hints=("make an environment for them: `gpuenv create -n NAME PACKAGE`",),
            )
    return ForeignEnvironment(
        prefix=prefix,
        python=python,
        version=answer.version,
        libraries=libraries,
        is_conda=is_conda,
        arch=_ARCHITECTURES.get(answer.machine.lower(), answer.machine.lower()),
        libc=answer.libc,
    )


def look_without_asking(prefix: Path, *, python: str = "") -> ForeignEnvironment:
    """The conda environment at `prefix` by what lies there, whether it has a Python that runs or none."""
    prefix = real_prefix(prefix)
    if os.name == "nt":
        libraries = [prefix / "Lib" / "site-packages"]
    else:
        libraries = sorted((prefix / "lib").glob("python*/site-packages"))
    return ForeignEnvironment(
        prefix=prefix,
        python=_find_python(prefix) or layout.python_of(prefix),
        version=python,
        libraries=tuple(Path(os.path.realpath(path)) for path in libraries if path.is_dir()),
        is_conda=True,
    )


def check_writable(environment: ForeignEnvironment) -> None:
    """UnavailableError where this user may not write into the environment."""
    for place in (environment.prefix, *environment.libraries):
        if place.exists() and not os.access(place, os.W_OK):
            raise UnavailableError(
                f"`{place}` is not writable",
                reasons=("it belongs to another user, or its file system is read-only",),
                hints=("make an environment of your own: `gpuenv create -n NAME PACKAGE`",),
            )


def with_own_platform(machine: Machine, environment: ForeignEnvironment) -> Machine:
    """The machine as the environment's interpreter sees it, which may be built for another architecture (a Mac's
    x86_64 conda) or another C library than the computer's own.
    """
    system = machine.system
    if environment.arch and environment.arch != system.arch:
        system = msgspec.structs.replace(system, arch=environment.arch)
    kind, _, version = environment.libc.partition(" ")
    sources = machine.sources
    if kind == "glibc" and "system.glibc" not in sources:
        try:
            system = msgspec.structs.replace(system, glibc=LibcVersion(version))
            sources = {**sources, "system.glibc": "the environment's Python"}
        except FormatError:
            pass
    return msgspec.structs.replace(machine, system=system, sources=sources)


def _is_prefix(place: Path) -> bool:
    """Whether a Python lies there as in an environment, an interpreter's own home included."""
    if not place.is_dir():
        return False
    return (place / "pyvenv.cfg").is_file() or (place / "conda-meta").is_dir() or _find_python(place) is not None


def _is_conda_base(place: Path) -> bool:
    return (place / "condabin").is_dir() or any((place / "conda-meta").glob("conda-[0-9]*.json"))


def _find_python(prefix: Path) -> Path | None:
    # On Windows the Python of a conda environment lies at its top.
    names = ("Scripts/python.exe", "python.exe") if os.name == "nt" else ("bin/python", "bin/python3")
    return next((prefix / name for name in names if (prefix / name).is_file()), None)


def _python_of(prefix: Path) -> Path:
    python = _find_python(prefix)
    if python is not None:
        return python
    if (prefix / "conda-meta").is_dir() and not (prefix / "pyvenv.cfg").is_file():
        raise RequestError(
            f"the conda environment `{prefix}` has no Python",
            hints=(f"put one in: `conda install -p {prefix} python pip`",),
        )
    raise UnavailableError(
        f"the Python of `{prefix}` is gone",
        reasons=("it has no `bin/python`, or what that points to is not there",),
        hints=("make the environment again",),
    )


def _ask(python: Path, prefix: Path) -> _Answer:
    done = run((python, "-I", "-c", _QUESTION), timeout_seconds=_TIMEOUT_SECONDS)
    try:
        return msgspec.json.decode(done.stdout.strip().rpartition("\n")[2], type=_Answer)
    except (msgspec.MsgspecError, ValueError) as error:
        said = done.stderr.strip().splitlines()[-1:] or [f"it ended with {done.status} and did not answer"]
        raise UnavailableError(f"the Python of `{prefix}` does not run", reasons=tuple(said)) from error


def _check_kind(prefix: Path, answer: _Answer, *, is_venv: bool, is_conda: bool) -> None:
    instead = ("make an environment for your packages: `gpuenv create -n NAME PACKAGE`",)
    if answer.managed and not is_venv:
        raise RequestError(
            f"the Python in `{prefix}` is managed by the system, which its own tools change (PEP 668)",
            reasons=("its library has a file `EXTERNALLY-MANAGED`",),
            hints=instead,
        )
    if not (is_venv or is_conda):
        raise RequestError(
            f"`{prefix}` is the home of a Python, and no environment",
            reasons=("it has neither `pyvenv.cfg` nor `conda-meta`",),
            hints=instead,
        )
    if Path(os.path.realpath(answer.prefix)) != prefix:
        raise UnavailableError(
            f"the Python of `{prefix}` says that it belongs to `{answer.prefix}`",
            reasons=("the environment was moved or copied",),
            hints=("make it again in its new place",),
        )
    parts = tuple(int(part) for part in answer.version.split(".")[:2] if part.isdigit())
    is_usual = answer.implementation == "CPython" and answer.bits == 64 and not answer.free_threaded
    if not (is_usual and answer.is_final and parts >= _OLDEST):
        kind = f"{answer.implementation} {answer.version}, {answer.bits} bit"
        raise RequestError(
            f"the Python of `{prefix}` has no GPU packages",
            reasons=(f"it is {kind}{', free-threaded' if answer.free_threaded else ''}",),
            hints=instead,
        )
