"""A `pylock.toml` (PEP 751) as a request: each of its packages in the version that it locks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gpuenv.channels.pylock import is_without_files, parse_lock
from gpuenv.targets.text_files import read_text_file
from gpuenv.workspaces.imported import Imported
from gpuenv.workspaces.manifest import python_and_specs

if TYPE_CHECKING:
    from packaging.pylock import Package

__all__ = ["read_pylock"]


def read_pylock(path: Path) -> Imported:
    """The packages of a lock with their versions. Its hashes stay behind, since files are chosen anew.

    FormatError for a file that is no such lock.
    """
    lock = parse_lock(read_text_file(path))
    notes: list[str] = []
    specs = tuple(spec for package in lock.packages for spec in _spec(package, notes))
    version, further = python_and_specs(str(lock.requires_python) if lock.requires_python else None)
    if specs:
        notes.append("the hashes are not carried over: the files are chosen anew, with hashes of their own")
    return Imported(specs=(*dict.fromkeys(specs), *further), python=version, notes=tuple(notes))


def _spec(package: Package, notes: list[str]) -> Iterator[str]:
    marker = str(package.marker) if package.marker else ""
    if "extras" in marker or "dependency_groups" in marker:
        notes.append(f"`{package.name}` is not carried over: it belongs to an extra or a group")
        return
    after = f" ; {marker}" if marker else ""
    archive = package.archive
    elsewhere = archive or package.vcs or (package.directory and not is_without_files(package))
    if archive and archive.url and archive.url.partition("#")[0].endswith(".whl"):
        yield f"{package.name} @ {archive.url}{after}"
    elif package.version is not None and not elsewhere:
        yield f"{package.name}=={package.version}{after}"
    else:
        notes.append(f"`{package.name}` is not carried over: it comes from a repository, a directory or an archive")
