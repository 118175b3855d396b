"""Ask the user's package indexes which files a release has. `uv` is the client: it knows the indexes and their logins,
withdrawn files and which Python a release is for.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuenv.channels.catalog import nearest_names
from gpuenv.channels.destinations import Destination
from gpuenv.channels.index_files import IndexFile, choose_file, files_of, nearest_file
from gpuenv.channels.pylock import parse_lock
from gpuenv.channels.uv import explain_failure, run_uv
from gpuenv.errors import FormatError, GpuenvError, NoPlanError, RequestError

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

__all__ = [
    "PLAIN_ASKING",
    "Asking",
    "IndexFile",
    "IndexRelease",
    "choose_file",
    "find_fitting_release",
    "find_release",
    "nearest_file",
    "no_such_package",
]

PYTHONS = ("3.11", "3.14", "3.9", "3.8", "3.7", "3.6")
"""The Pythons to ask for in turn: each stands for itself and all newer ones, unless a release names its own bounds."""

_MISSING = re.compile(r"Because (?P<name>[\w.-]+) was not found in the (package registry|provided package locations)")
_NO_VERSION = re.compile(r"there is no version of|there are no versions of|is available and|are available and")
_OF_PYTHON = re.compile(r"requested Python version|Python version tag|Python ABI tag|does not satisfy Python")


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexRelease:
    """One release and all of its files, wheels first; `name` is normalized."""

    name: str
    version: str | None
    files: tuple[IndexFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How the indexes are asked. `lines` are those of a requirements file that name further indexes, `addresses` the
    addresses in them, whose logins may be those of files. `offline` asks only what `uv` has in its cache.
    """

    lines: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    offline: bool = False


PLAIN_ASKING = Asking()
"""Only the indexes that the user's variables name."""


def find_release(requirement: str, *, pythons: Sequence[str] = PYTHONS, asking: Asking = PLAIN_ASKING) -> IndexRelease:
    """The newest release that satisfies `requirement` (PEP 508; a marker is left aside) with all its files.

    Each of `pythons` is tried until one has a release; wheels for older ones than that are left out. RequestError
    for a name that no index has, or a version that is not there; UnavailableError when the index cannot be asked.
    """
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    wanted.marker = None
    failure: GpuenvError | None = None
    for python in pythons:
        try:
            lock = _compile(str(wanted), "--universal", python=python, asking=asking)
            if len(lock.packages) > 1:
                # Other releases for other Pythons: each then lists only what its own Pythons can use.
                wanted = Requirement(f"{wanted.name}=={_for_python(lock, python).version}")
                lock = _compile(str(wanted), "--universal", python=python, asking=asking)
            return _release(_for_python(lock, python))
        except NoPlanError as error:
            failure = failure or error
            if not _OF_PYTHON.search("\n".join(error.reasons)):
                break
    assert failure is not None
    raise _no_release(requirement, failure)


def find_fitting_release(
    requirement: str, destination: Destination, *, asking: Asking = PLAIN_ASKING
) -> IndexRelease | None:
    """The newest release that satisfies `requirement` and has a wheel for `destination`, with the wheels that fit.

    None when there is none. UnavailableError when the index cannot be asked.
    """
    try:
        lock = _compile(
            *(requirement, "--only-binary", ":all:", "--python-platform", destination.uv_platform),
            # Where later releases are sources only, an old prerelease with a wheel is not what anybody meant.
            *("--prerelease", "explicit"),
            python=destination.python,
            asking=asking,
            variables=destination.uv_variables,
        )
    except NoPlanError:
        return None
    return _release(lock.packages[0]) if lock.packages else None


def _compile(
    requirement: str,
    *options: str,
    python: str,
    asking: Asking,
    variables: dict[str, str] | None = None,
) -> Pylock:
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as scratch:
        path = Path(scratch, "pylock.index.toml")
        completed = run_uv(
            [
                *("pip", "compile", "-", "-o", path, "--no-deps", "--no-header", "--no-annotate"),
                # A Python is named, for uv would look for one first; none of it runs.
                *("--python-version", python, "--python", sys.executable, *options),
                *(["--offline"] if asking.offline else []),
            ],
            cwd=Path(scratch),
            text_input="\n".join([*asking.lines, requirement, ""]),
            variables=variables,
        )
        if completed.status != 0:
            raise explain_failure(completed, f"looking for `{requirement}`")
        return parse_lock(path.read_text("utf-8"))


def _for_python(lock: Pylock, python: str) -> Package:
    if not lock.packages:
        raise FormatError("`uv` resolved a package to nothing")
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    holding = (one for one in lock.packages if one.marker is None or one.marker.evaluate(environment))
    return next(holding, lock.packages[0])


def _release(package: Package) -> IndexRelease:
    version = str(package.version) if package.version else None
    # Paths in uv's lock start from its directory, which is gone; only an index in a directory has them, in full.
    return IndexRelease(name=str(package.name), version=version, files=files_of(package, Path()))


def no_such_package(name: str, said: tuple[str, ...] = ()) -> RequestError:
    """The error for a name that no index has."""
    near = nearest_names(name.lower())
    hints = (f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()
    return RequestError(
        f"there is no package `{name}`",
        reasons=("the package index does not know it",),
        hints=(*hints, "check the spelling, or name the index that has it in `UV_INDEX`"),
        details="\n".join(said),
    )


def _no_release(requirement: str, failure: GpuenvError) -> GpuenvError:
    said = "\n".join(failure.reasons)
    missing = _MISSING.search(said)
    if missing:
        return no_such_package(missing["name"], failure.reasons)
    if _NO_VERSION.search(said) or _OF_PYTHON.search(said):
        return RequestError(
            f"the package index has no release for `{requirement}`",
            reasons=failure.reasons,
            hints=("check the version",),
        )
    return failure
