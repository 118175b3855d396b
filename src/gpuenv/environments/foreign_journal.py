"""The journal of a change to an environment that gpuenv did not make: written before the first file is touched."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from gpuenv.environments import foreign_layout
from gpuenv.environments.foreign_listing import Difference, Mark
from gpuenv.environments.leftovers import delete_tree
from gpuenv.environments.switch import write_whole
from gpuenv.errors import FormatError, IntegrityError
from gpuenv.model import JSON_VERSION, Noun, PackageChange, from_json, to_json

__all__ = [
    "Journal",
    "Stage",
    "begin",
    "drop",
    "prune",
    "read_after",
    "read_before",
    "read_journal",
    "sweep",
    "write_after",
    "write_journal",
]

_LOCK = re.compile(r"pylock\.gpuenv[0-9a-f]{8}\.toml")
# Some tools edit these where they lie, which a second name of the same file would not survive.
_EDITED_IN_PLACE = (".pth", ".egg-link", ".cfg")


class Stage(StrEnum):
    """How far a change came: under way or interrupted, complete, or being taken back."""

    CHANGING = "changing"
    DONE = "done"
    UNDOING = "undoing"


class Journal(Noun, frozen=True, kw_only=True):
    """What was begun. `lock` is the file that `uv` installs from, by which an orphan of it is known.

    `conda` says that conda packages are changed, and their records with them.
    """

    version: int = JSON_VERSION
    stage: Stage
    specs: tuple[str, ...]
    begun: datetime
    python: str
    lock: str
    changes: tuple[PackageChange, ...] = ()
    conda: bool = False


class _After(msgspec.Struct, frozen=True, kw_only=True):
    created: dict[str, Mark]
    lost: dict[str, Mark]
    replaced: dict[str, Mark]


def begin(prefix: Path, journal: Journal, before: Mapping[str, Mark], lock_text: str, touched: Iterable[Path]) -> Path:
    """Write the way back of a change that is about to begin, in the place of an older one; its directory.

    `touched` are the files that the change will take away, which are kept where not all can be. OSError when the
    system refuses; nothing has changed then.
    """
    new = foreign_layout.fresh_directory(prefix)
    new.mkdir()
    _keep_files(prefix, foreign_layout.files_directory(new), before, touched)
    foreign_layout.before_path(new).write_bytes(msgspec.json.encode(before))
    write_whole(new / journal.lock, lock_text)
    write_whole(foreign_layout.journal_path(new), to_json(journal))
    place = foreign_layout.undo_directory(prefix)
    drop(prefix)
    new.rename(place)
    return place


def drop(prefix: Path) -> None:
    """Delete the way back; it is gone at once or not at all."""
    doomed = foreign_layout.fresh_directory(prefix)
    with suppress(FileNotFoundError):
        foreign_layout.undo_directory(prefix).rename(doomed)
        delete_tree(doomed)


def sweep(prefix: Path) -> None:
    """Delete what a killed command left half written or half deleted. To be called with the lock held."""
    for path in foreign_layout.leftovers_in(prefix):
        delete_tree(path)


def _keep_files(prefix: Path, place: Path, before: Mapping[str, Mark], touched: Iterable[Path]) -> None:
    """Give each file of the environment a second name below `place`, which costs no space and no copying.

    Where the file system has no second names, only `touched` files are copied.
    """
    place.mkdir()
    if _can_link(prefix, place, before):
        _link_all(os.fspath(prefix), os.fspath(place), before)
        return
    for path in touched:
        if path.is_relative_to(prefix) and os.path.lexists(path) and not path.is_dir():
            target = place / path.relative_to(prefix)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target, follow_symlinks=False)


def _can_link(prefix: Path, place: Path, before: Mapping[str, Mark]) -> bool:
    sample = next((path for path, mark in before.items() if mark.kind == "f" and "site-packages/" in path), None)
    sample = sample or next((path for path, mark in before.items() if mark.kind == "f"), None)
    if sample is None:
        return True
    probe = place / "probe"
    try:
        os.link(prefix / sample, probe)
        probe.unlink()
    except OSError:
        return False
    return True


def _link_all(prefix: str, place: str, before: Mapping[str, Mark]) -> None:
    for path, mark in before.items():
        source, target = f"{prefix}/{path}", f"{place}/{path}"
        if mark.kind == "d":
            # Listed before what lies in it.
            os.mkdir(target)  # noqa: PTH102  (a loop over 100000s)
        elif mark.kind == "l":
            os.symlink(mark.target, target)  # noqa: PTH211  (as above)
        elif mark.kind == "f":
            try:
                if path.endswith(_EDITED_IN_PLACE):
                    shutil.copy2(source, target)
                else:
                    os.link(source, target)
            except FileNotFoundError:
                continue
            except OSError:
                shutil.copy2(source, target)


def prune(directory: Path, needed: Iterable[str]) -> None:
    """Delete all kept files but `needed`, which are paths from the prefix."""
    kept = foreign_layout.kept_directory(directory)
    kept.mkdir(exist_ok=True)
    files = foreign_layout.files_directory(directory)
    for path in needed:
        source = files / path
        if os.path.lexists(source) and (source.is_symlink() or not source.is_dir()):
            target = kept / path
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
    delete_tree(files)


def read_journal(prefix: Path) -> Journal | None:
    """The journal of the last change, None where there is none; IntegrityError where it cannot be read."""
    path = foreign_layout.journal_path(foreign_layout.undo_directory(prefix))
    try:
        journal = from_json(path.read_bytes(), Journal)
    except FileNotFoundError:
        return None
    except (OSError, FormatError) as error:
        raise _damaged(path, error) from error
    # By this name processes are ended, so it must be one that nothing else has.
    if not _LOCK.fullmatch(journal.lock):
        raise _damaged(path, ValueError(f"`{journal.lock}` is no name of a lock"))
    return journal


def write_journal(prefix: Path, journal: Journal) -> None:
    """Put the journal in the place of the one that is there."""
    write_whole(foreign_layout.journal_path(foreign_layout.undo_directory(prefix)), to_json(journal))


def write_after(prefix: Path, change: Difference) -> None:
    """Write down what a change did to files."""
    after = _After(created=change.created, lost=change.lost, replaced=change.replaced)
    path = foreign_layout.after_path(foreign_layout.undo_directory(prefix))
    write_whole(path, msgspec.json.encode(after).decode())


def read_after(prefix: Path) -> Difference:
    """What the last change did to files; IntegrityError where that cannot be read."""
    path = foreign_layout.after_path(foreign_layout.undo_directory(prefix))
    try:
        after = msgspec.json.decode(path.read_bytes(), type=_After)
        _check_paths((*after.created, *after.lost, *after.replaced))
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise _damaged(path, error) from error
    return Difference(created=after.created, lost=after.lost, replaced=after.replaced)


def read_before(prefix: Path) -> dict[str, Mark]:
    """All files as they were before the last change; IntegrityError where the list cannot be read."""
    path = foreign_layout.before_path(foreign_layout.undo_directory(prefix))
    try:
        before = msgspec.json.decode(path.read_bytes(), type=dict[str, Mark])
        _check_paths(before)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise _damaged(path, error) from error
    return before


def _check_paths(paths: Iterable[str]) -> None:
    """ValueError for a path that leads out of the environment."""
    for path in paths:
        if path.startswith("/") or "\0" in path or ".." in path.split("/") or not path:
            raise ValueError(f"`{path}` is no path in an environment")


def _damaged(path: Path, error: Exception) -> IntegrityError:
    said = error.message if isinstance(error, FormatError) else str(error)
    return IntegrityError(
        "the way back of the last change is damaged",
        reasons=(f"`{path}`: {said}",),
        hints=(f"if the environment is as it should be, delete `{path.parent}`",),
    )
