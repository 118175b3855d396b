"""The files that a user put into an environment by hand, so that a change does not lose them.

Jupyter kernels, activation scripts of conda, downloaded data, a `sitecustomize.py` or a package of one's own: whatever
neither the making of the environment nor an installed distribution put there. Inside the packages of the library
nothing counts, since what is new there was made by a program (caches, compiled extensions) and may not fit the
versions to come.
"""

from __future__ import annotations

import csv
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from gpuenv.environments import layout
from gpuenv.environments.switch import write_whole
from gpuenv.errors import FormatError
from gpuenv.model import from_json, to_json

__all__ = ["carry_over", "note_made_files"]

_LIBRARY = "{library}/"  # stands for site-packages, whose path holds the version of Python
_NOBODYS = ("__pycache__", layout.VARIABLES_FILE)
_METADATA = (".dist-info", ".egg-info", ".egg-link")


def note_made_files(prefix: Path) -> None:
    """Write down which files belong to the environment as it was made."""
    write_whole(layout.made_path(prefix), to_json(sorted(name for name, _ in _entries(prefix)), indent=0))


def carry_over(old: Path, new: Path) -> tuple[str, ...]:
    """Put the user's own files of `old` into `new` too, as links to the same bytes where possible; their names.

    Where `new` has something of that name, it stays.
    """
    taken = _made(old) | _recorded(old) | _of_conda(old)
    carried: list[str] = []
    for name, source in _entries(old):
        target = _counterpart(source, old, new)
        if name in taken or os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, target, symlinks=True, ignore=ignored, copy_function=_link_or_copy)
        else:
            _link_or_copy(source, target)
        if os.path.lexists(target):
            carried.append(name.removeprefix(_LIBRARY))
    return tuple(carried)


def _entries(prefix: Path) -> Iterator[tuple[str, Path]]:
    """Each file outside the library and all that lies at its top, by the name it has in any environment."""
    library = layout.library_of(prefix)
    skipped = {layout.own_directory(prefix), library.parent if library and os.name != "nt" else prefix / "Lib"}
    for directory, below, names in os.walk(prefix):
        here = Path(directory)
        links = [name for name in below if (here / name).is_symlink()]
        below[:] = sorted(name for name in below if name != "__pycache__" and here / name not in skipped)
        for name in sorted([*names, *links]):
            yield _plain((here / name).relative_to(prefix).as_posix()), here / name
    for path in sorted(library.iterdir()) if library else ():
        if path.name not in _NOBODYS and not path.name.startswith("~") and not path.name.endswith(_METADATA):
            yield _LIBRARY + _plain(path.name), path


def _plain(name: str) -> str:
    """`name` in characters that JSON can hold, since a file name may be any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _counterpart(source: Path, old: Path, new: Path) -> Path:
    libraries = layout.library_of(old), layout.library_of(new)
    if libraries[0] and libraries[1] and source.parent == libraries[0]:
        return libraries[1] / source.name
    return new / source.relative_to(old)


def _of_conda(prefix: Path) -> set[str]:
    """The entries that conda packages own, also such as conda put there later, and the records of them."""
    meta = prefix / "conda-meta"
    if not meta.is_dir():
        return set()
    from gpuenv.environments.conda_meta import read_conda_meta

    library = layout.library_of(prefix)
    packages, _ = read_conda_meta(prefix)
    found = {f"conda-meta/{path.name}" for path in meta.glob("*.json")} | {"conda-meta/history"}
    inside = f"{library.relative_to(prefix).as_posix()}/" if library else None
    for package in packages:
        for path in package.files:
            if inside and path.startswith(inside):
                found.add(_LIBRARY + path[len(inside) :].partition("/")[0])
            else:
                found.add(path)
    return found


def _made(prefix: Path) -> set[str]:
    try:
        return set(from_json(layout.made_path(prefix).read_bytes(), list[str]))
    except (OSError, FormatError):
        return set()


def _recorded(prefix: Path) -> set[str]:
    """The entries that installed distributions say are theirs (RECORD, binary distribution format)."""
    library = layout.library_of(prefix)
    found: set[str] = set()
    for record in library.glob("*.dist-info/RECORD") if library else ():
        with record.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.reader(file):
                if row:
                    found.add(_name_of(row[0], prefix, record.parent.parent))
    return found


def _name_of(row: str, prefix: Path, library: Path) -> str:
    # A path within the library, told by its beginning since there are tens of thousands of them.
    if not row.startswith(("..", "/")) and row[1:2] != ":":
        return _LIBRARY + row.partition("/")[0]
    path = Path(os.path.normpath(library / row))
    return path.relative_to(prefix).as_posix() if path.is_relative_to(prefix) else row


def _link_or_copy(source: str | Path, target: str | Path) -> None:
    mode = Path(source).lstat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)
