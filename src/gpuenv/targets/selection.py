"""Which packages of a pylock apply to a destination, and which file of each is installed there (PEP 751)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gpuenv.channels.destinations import Destination
from gpuenv.channels.index import PLAIN_ASKING, Asking, IndexFile, choose_file, nearest_file
from gpuenv.channels.index_files import files_of
from gpuenv.channels.pylock import is_without_files
from gpuenv.errors import GpuenvError, NoPlanError, UnavailableError
from gpuenv.targets.wanted import Expansion, WantedFile, pinned_file

if TYPE_CHECKING:
    from packaging.pylock import Package, Pylock

__all__ = ["pick_file", "select_packages"]


def select_packages(lock: Pylock, destination: Destination, *, base: Path, asking: Asking = PLAIN_ASKING) -> Expansion:
    """The files that a lock installs at `destination`; paths in it start from `base`.

    A package without a file for it is given with the one that comes near, and a note. One in a repository is a problem,
    since what it is built to is not known; one in a directory is noted, as for `uv.lock`.
    """
    files: list[WantedFile] = []
    problems: list[GpuenvError] = []
    notes: list[str] = []
    for package in lock.packages:
        if package.marker and not _holds(package, lock, destination):
            continue
        found = files_of(package, base)
        version = str(package.version) if package.version else None
        picked = pick_file(str(package.name), version, found, destination, asking=asking)
        if picked:
            files.append(picked)
        elif package.directory and not is_without_files(package):
            if package.directory.path not in {".", ""}:
                notes.append(f"`{package.name}` is a project on disk: only what it requires is looked at")
        else:
            problems.append(_without_file(package, destination))
    return Expansion(files=tuple(files), problems=tuple(problems), notes=tuple(notes))


def pick_file(
    name: str,
    version: str | None,
    files: Iterable[IndexFile],
    destination: Destination,
    *,
    asking: Asking = PLAIN_ASKING,
) -> WantedFile | None:
    """The file of a release that is installed there: a wheel, else the sources, else the wheel that comes near with a
    note. None where there are no files.
    """
    files = tuple(files)
    chosen = choose_file(files, destination)
    if chosen:
        return pinned_file(name, version, chosen, destination, asking=asking)
    sources = next((file for file in files if not file.is_wheel), None)
    near = nearest_file(files, destination)
    if sources:
        has = "its wheels are for others" if near else "it has no wheels"
        note = f"{has}: it is built from source on {destination}"
        return pinned_file(name, version, sources, destination, note=note, asking=asking)
    if near:
        file, where = near
        return pinned_file(name, version, file, where, note=_not_there(destination, where), asking=asking)
    return None


def _not_there(wanted: Destination, found: Destination) -> str:
    if (found.platform, found.python) == (wanted.platform, wanted.python):
        library = f"glibc {wanted.glibc}" if wanted.glibc else "this system's libraries"
        return f"there is no wheel for {wanted} with {library}; this one needs newer ones"
    return f"there is no wheel for {wanted}; this one is for {found}"


def _holds(package: Package, lock: Pylock, destination: Destination) -> bool:
    environment: dict[str, str | frozenset[str]] = {
        **destination.marker_environment,
        "extras": frozenset[str](),
        "dependency_groups": frozenset(lock.default_groups or ()),
    }
    assert package.marker is not None
    return package.marker.evaluate(environment, context="lock_file")


def _without_file(package: Package, destination: Destination) -> GpuenvError:
    if not package.vcs:
        return NoPlanError(f"the lock lists no file of `{package.name}` for {destination}")
    return UnavailableError(
        f"`{package.name}` is not looked at",
        reasons=("it comes from a repository, and would have to be built first",),
        hints=("build a wheel of it and check that",),
    )
