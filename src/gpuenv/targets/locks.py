"""The files that a lock installs on one machine, whichever tool wrote it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from gpuenv.channels.destinations import Destination
from gpuenv.channels.pylock import parse_lock
from gpuenv.errors import FormatError, NoPlanError
from gpuenv.targets.conda_environment import read_environment
from gpuenv.targets.conda_locks import read_conda_lock, read_explicit, read_pixi_lock
from gpuenv.targets.selection import select_packages
from gpuenv.targets.text_files import read_text_file
from gpuenv.targets.uv_locks import parse_uv_lock, read_uv_lock
from gpuenv.targets.wanted import Expansion
from gpuenv.targets.words import LockKind

__all__ = ["expand_lock"]

_MINORS = range(6, 20)
_MOST_TOLD = 5


def expand_lock(
    path: Path,
    kind: LockKind,
    destination: Destination,
    *,
    is_python_asked: bool = True,
    is_platform_asked: bool = True,
    offline: bool = False,
) -> Expansion:
    """The files that the lock at `path` installs at `destination`. Where no Python or platform was asked for, one that
    the lock is for is taken, with a note.

    RequestError where there is no such file, FormatError where it breaks its format, NoPlanError where it holds nothing
    for the platform.
    """
    text = read_text_file(path)
    match kind:
        case LockKind.PYLOCK:
            lock = parse_lock(text)
            requires = str(lock.requires_python) if lock.requires_python else None
            destination, notes = _for_its_python(requires, destination, path, is_asked=is_python_asked)
            _refuse_others(list(map(str, lock.environments or ())), destination, path)
            found = select_packages(lock, destination, base=path.parent)
            return replace(found, notes=(*notes, *found.notes))
        case LockKind.UV:
            document = parse_uv_lock(text, path)
            requires = document.get("requires-python")
            destination, notes = _for_its_python(requires, destination, path, is_asked=is_python_asked)
            _refuse_others(document.get("supported-markers"), destination, path)
            found = read_uv_lock(document, path, destination)
            return replace(found, notes=(*notes, *found.notes))
        case LockKind.CONDA_LOCK:
            return read_conda_lock(text, path, destination, is_asked=is_platform_asked)
        case LockKind.PIXI:
            return read_pixi_lock(text, path, destination, is_asked=is_platform_asked)
        case LockKind.CONDA_EXPLICIT:
            return read_explicit(text, path, destination, is_asked=is_platform_asked)
        case LockKind.CONDA_ENVIRONMENT:
            return read_environment(text, path, destination, is_python_asked=is_python_asked, offline=offline)


def _refuse_others(markers: object, destination: Destination, path: Path) -> None:
    """NoPlanError where the lock names the environments that it is for, and the destination is none of them (PEP 751,
    `environments`; uv calls them `supported-markers`).
    """
    if not isinstance(markers, list) or not markers:
        return
    environment = {**destination.marker_environment, "extra": ""}
    try:
        if any(Marker(str(one)).evaluate(environment) for one in markers):
            return
    except (InvalidMarker, UndefinedEnvironmentName, UndefinedComparison) as error:
        raise FormatError(f"`{path}` names an environment that is no marker", reasons=(str(error),)) from error
    raise NoPlanError(
        f"`{path.name}` is not for {destination}",
        reasons=tuple(f"it is for {one}" for one in markers[:_MOST_TOLD]),
        hints=("name such a machine with `--machine`, or make a lock for this one",),
    )


def _for_its_python(
    requires: object, destination: Destination, path: Path, *, is_asked: bool
) -> tuple[Destination, tuple[str, ...]]:
    """The destination with a Python that the lock is for, where it is not for this one and none was asked for."""
    if not isinstance(requires, str) or not requires:
        return destination, ()
    try:
        allowed = SpecifierSet(requires)
    except InvalidSpecifier as error:
        raise FormatError(f"`{requires}` in `{path}` is not a range of Pythons", reasons=(str(error),)) from error
    if _admits(allowed, destination.python):
        return destination, ()
    if is_asked:
        return destination, (f"`{path.name}` is for Python {requires}, and {destination.python} is not among them",)
    fitting = next((f"3.{minor}" for minor in _MINORS if _admits(allowed, f"3.{minor}")), None)
    if fitting is None:
        return destination, ()
    return replace(destination, python=fitting), (f"`{path.name}` is for Python {requires}; this is for {fitting}",)


def _admits(allowed: SpecifierSet, python: str) -> bool:
    # 3.11 stands for any patch of it, so a bound such as >=3.11.2 is asked of the newest.
    return allowed.contains(f"{python}.0") or allowed.contains(f"{python}.99")
