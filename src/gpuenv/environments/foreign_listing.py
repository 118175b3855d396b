"""What lies in an environment at a moment, file by file, so that afterwards it can be told what a change did."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpuenv.environments import foreign_layout

__all__ = ["Difference", "Mark", "difference", "mark_of", "same", "take_listing"]

# conda's own account of itself, its cache of packages, and other environments inside its base environment.
_CONDAS = frozenset({"conda-meta", "pkgs", "envs"})


class Mark(msgspec.Struct, frozen=True, array_like=True):
    """What a file is known by: its kind (`f` file, `d` directory, `l` link, `?` other), and what changes with it."""

    kind: str
    mode: int
    size: int
    mtime_ns: int
    inode: int
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What is there in the second of two listings only, what in the first only, and what is another file now."""

    created: dict[str, Mark]
    lost: dict[str, Mark]
    replaced: dict[str, Mark]

    def __bool__(self) -> bool:
        return bool(self.created or self.lost or self.replaced)


def take_listing(prefix: Path, *, records: bool = False) -> dict[str, Mark]:
    """All that lies in `prefix`, by its path from there, without what is gpuenv's and conda's own.

    With `records` conda's account of its packages (`conda-meta`) is in it, too. Names that are no text are left out: no
    installer makes such files.
    """
    skipped = _CONDAS if (prefix / "conda-meta").is_dir() else frozenset()
    return dict(_below(os.fspath(prefix), "", skipped=skipped - {"conda-meta"} if records else skipped))


def _below(directory: str, before: str, *, skipped: frozenset[str]) -> Iterator[tuple[str, Mark]]:
    try:
        entries = list(os.scandir(directory))
    except OSError:
        # A directory that cannot be read cannot be changed either.
        return
    for entry in entries:
        path = f"{before}{entry.name}"
        if not before and (foreign_layout.is_own(entry.name) or entry.name in skipped):
            continue
        if not entry.name.isprintable() and not _is_text(entry.name):
            continue
        try:
            mark = _mark(entry.stat(follow_symlinks=False), entry.path)
        except OSError:
            continue
        yield path, mark
        if mark.kind == "d":
            yield from _below(entry.path, f"{path}/", skipped=skipped)


def mark_of(path: Path) -> Mark | None:
    """The mark of one file, None where there is none."""
    try:
        return _mark(path.lstat(), os.fspath(path))
    except OSError:
        return None


def same(one: Mark | None, other: Mark | None, *, inode: bool = False) -> bool:
    """Whether two marks are of one state of a file. `inode` sees a file of the same size and time put in its place,
    but not every file system keeps those numbers for long.
    """
    if one is None or other is None:
        return one is other
    if one.kind != other.kind or one.mode != other.mode:
        return False
    if one.kind == "d":
        return True
    if one.kind == "l":
        return one.target == other.target
    return (one.size, one.mtime_ns) == (other.size, other.mtime_ns) and (not inode or one.inode == other.inode)


def difference(before: Mapping[str, Mark], after: Mapping[str, Mark]) -> Difference:
    """What became of the first listing in the second."""
    return Difference(
        created={path: mark for path, mark in after.items() if path not in before},
        lost={path: mark for path, mark in before.items() if path not in after},
        replaced={
            path: mark for path, mark in after.items() if path in before and not same(before[path], mark, inode=True)
        },
    )


def _mark(found: os.stat_result, path: str) -> Mark:
    kind = "?"
    target = ""
    if stat.S_ISDIR(found.st_mode):
        kind = "d"
    elif stat.S_ISREG(found.st_mode):
        kind = "f"
    elif stat.S_ISLNK(found.st_mode):
        kind, target = "l", os.readlink(path)  # noqa: PTH115  (text is wanted, and there may be thousands)
    return Mark(kind, stat.S_IMODE(found.st_mode), found.st_size, found.st_mtime_ns, found.st_ino, target)


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
