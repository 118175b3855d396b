"""Where gpuenv keeps the way back of a change to an environment that it did not make.

    PREFIX/.gpuenv-undo/journal.json          what was begun, and how far it came (`Journal`)
    PREFIX/.gpuenv-undo/before.json           all files as they were
    PREFIX/.gpuenv-undo/after.json            what the change made of them, once it has ended
    PREFIX/.gpuenv-undo/files/                all files as they were, as second names of the same bytes
    PREFIX/.gpuenv-undo/kept/                 those of them that it took away or replaced, once it has ended
    PREFIX/.gpuenv-undo/pylock.gpuenv1f2e.toml   what is to be installed; the name is unique, so that `uv` can be found
    PREFIX/.gpuenv-undo-1f2e3d4c/             one that is being written or deleted
    PREFIX/.gpuenv.gpuenv-lock                held by the command that changes the environment

All of it lies inside, since the directory around somebody else's environment is nobody's to write into.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

__all__ = [
    "after_path",
    "before_path",
    "files_directory",
    "fresh_directory",
    "is_own",
    "journal_path",
    "kept_directory",
    "leftovers_in",
    "lock_place",
    "saved_file",
    "undo_directory",
]

_OWN = re.compile(r"\.gpuenv-undo(?:-[0-9a-f]{8})?|\.gpuenv\.gpuenv-(?:lock|holder)")
_LEFTOVER = re.compile(r"\.gpuenv-undo-[0-9a-f]{8}")


def undo_directory(prefix: Path) -> Path:
    """The directory that holds the way back."""
    return prefix / ".gpuenv-undo"


def fresh_directory(prefix: Path) -> Path:
    """A new name for one that is being written or deleted."""
    return prefix / f".gpuenv-undo-{secrets.token_hex(4)}"


def leftovers_in(prefix: Path) -> tuple[Path, ...]:
    """What was being written or deleted when its command was killed."""
    return tuple(path for path in prefix.iterdir() if _LEFTOVER.fullmatch(path.name))


def journal_path(directory: Path) -> Path:
    """The journal in a directory of the way back."""
    return directory / "journal.json"


def before_path(directory: Path) -> Path:
    """The list of all files before the change."""
    return directory / "before.json"


def after_path(directory: Path) -> Path:
    """The list of what the change did to files."""
    return directory / "after.json"


def files_directory(directory: Path) -> Path:
    """The files as they were."""
    return directory / "files"


def lock_place(prefix: Path) -> Path:
    """The path beside which the lock of the environment lies."""
    return prefix / "gpuenv"


def kept_directory(directory: Path) -> Path:
    """The files that a change took away or replaced."""
    return directory / "kept"


def saved_file(directory: Path, path: str) -> Path:
    """Where the file lies that was at `path` in the environment, whether or not the others are pruned yet."""
    kept = kept_directory(directory) / path
    return kept if os.path.lexists(kept) else files_directory(directory) / path


def is_own(name: str) -> bool:
    """Whether a name at the top of an environment is of gpuenv's way back or lock."""
    return _OWN.fullmatch(name) is not None
