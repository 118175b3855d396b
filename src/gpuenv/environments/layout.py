"""Where things are: inside an environment, and beside it while it changes.

    PARENT/NAME/                             the environment, a virtual environment that can be moved
    PARENT/NAME/.gpuenv/environment.json     what it was made from (`EnvironmentState`)
    PARENT/NAME/.gpuenv/pylock.gpuenv.toml   the lock that `uv` installed
    PARENT/NAME/.gpuenv/made.json            the files outside the library that gpuenv and `uv` put there
    PARENT/.NAME.gpuenv-lock                 held by the command that changes the environment
    PARENT/.NAME.gpuenv-holder               which command that is
    PARENT/.NAME.gpuenv-journal              names the new environment while a switch takes more than one step
    PARENT/.NAME.gpuenv-new-1f2e3d4c         an environment being built
    PARENT/.NAME.gpuenv-old-1f2e3d4c         an environment being deleted

Only functions from paths to paths, and those that look at what is there.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

__all__ = [
    "VARIABLES_FILE",
    "beside",
    "holder_path",
    "is_environment",
    "is_virtual",
    "journal_path",
    "leftovers_in",
    "library_of",
    "lock_path",
    "lock_text_path",
    "made_path",
    "own_directory",
    "prefixes_with_journal",
    "python_of",
    "scripts_of",
    "state_path",
]

VARIABLES_FILE = "_gpuenv_variables.pth"
"""The file in site-packages through which every start of the environment's Python gets its variables."""

_LEFTOVER = re.compile(r"\.(?P<name>.+)\.gpuenv-(?:new|old)-[0-9a-f]{8}")
_JOURNAL = re.compile(r"\.(?P<name>.+)\.gpuenv-journal")


def own_directory(prefix: Path) -> Path:
    """The directory in an environment that is gpuenv's."""
    return prefix / ".gpuenv"


def state_path(prefix: Path) -> Path:
    """The file that says what the environment was made from, and by which the environment is known as ours."""
    return own_directory(prefix) / "environment.json"


def lock_text_path(prefix: Path) -> Path:
    """The lock that `uv` installed; uv wants this pattern of name (PEP 751)."""
    return own_directory(prefix) / "pylock.gpuenv.toml"


def made_path(prefix: Path) -> Path:
    """The list of the files outside the library that belong to the environment as it was made."""
    return own_directory(prefix) / "made.json"


def lock_path(prefix: Path) -> Path:
    """The file locked by whoever changes the environment."""
    return prefix.with_name(f".{prefix.name}.gpuenv-lock")


def holder_path(prefix: Path) -> Path:
    """The file that names whoever holds the lock."""
    return prefix.with_name(f".{prefix.name}.gpuenv-holder")


def journal_path(prefix: Path) -> Path:
    """The file that exists while a switch in several steps is under way."""
    return prefix.with_name(f".{prefix.name}.gpuenv-journal")


def beside(prefix: Path, kind: str) -> Path:
    """A fresh name beside the environment; `kind` is `new` or `old`."""
    return prefix.with_name(f".{prefix.name}.gpuenv-{kind}-{secrets.token_hex(4)}")


def leftovers_in(parent: Path) -> dict[Path, list[Path]]:
    """By environment, the directories of `parent` that are being built or deleted, or were when their maker died."""
    found: dict[Path, list[Path]] = {}
    for path in sorted(parent.iterdir()) if parent.is_dir() else ():
        if match := _LEFTOVER.fullmatch(path.name):
            found.setdefault(parent / match["name"], []).append(path)
    return found


def prefixes_with_journal(parent: Path) -> tuple[Path, ...]:
    """The environments of `parent` whose switch began and did not end."""
    names = (_JOURNAL.fullmatch(path.name) for path in parent.iterdir()) if parent.is_dir() else ()
    return tuple(sorted(parent / match["name"] for match in names if match))


def is_environment(prefix: Path) -> bool:
    """Whether gpuenv made `prefix`."""
    return state_path(prefix).is_file()


def is_virtual(prefix: Path) -> bool:
    """Whether an environment is a virtual environment, which it may be beside a conda prefix."""
    return (prefix / "pyvenv.cfg").is_file()


def scripts_of(prefix: Path) -> Path:
    """The directory of an environment that goes on PATH."""
    return prefix / ("Scripts" if os.name == "nt" else "bin")


def python_of(prefix: Path) -> Path:
    """The interpreter of an environment. On Windows conda's own lies at the top."""
    if os.name == "nt" and not (prefix / "Scripts" / "python.exe").exists() and (prefix / "conda-meta").is_dir():
        return prefix / "python.exe"
    return scripts_of(prefix) / ("python.exe" if os.name == "nt" else "python")


def library_of(prefix: Path) -> Path | None:
    """The site-packages directory of an environment, None when there is none."""
    if os.name == "nt":
        candidates = [prefix / "Lib" / "site-packages"]
    else:
        candidates = sorted((prefix / "lib").glob("*/site-packages"))
    return next((path for path in candidates if path.is_dir()), None)
