"""`~/.conda/environments.txt`, by which conda and its tools list environments that lie anywhere (CEP 32).

Format: one path a line (`conda/core/envs_manager.py`). What goes wrong with it stops nothing: it is a convenience.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gpuenv.environments.switch import write_whole

__all__ = ["forget", "register"]

_MOST_BYTES = 16 << 20


def register(prefix: Path) -> None:
    """Add an environment of conda packages to the list, for users who have a directory of conda's in their home."""
    place = _place()
    if place is None or not (prefix / "conda-meta" / "history").is_file():
        return
    with suppress(OSError):
        lines = _lines(place)
        if os.fspath(prefix) not in lines:
            with place.open("a", encoding="utf-8") as file:
                file.write(f"{os.fspath(prefix)}\n")


def forget(prefix: Path) -> None:
    """Take an environment that is gone off the list."""
    place = _place()
    if place is None:
        return
    with suppress(OSError):
        lines = _lines(place)
        if os.fspath(prefix) in lines:
            write_whole(place, "".join(f"{line}\n" for line in lines if line != os.fspath(prefix)))


def _place() -> Path | None:
    with suppress(RuntimeError):
        directory = Path.home() / ".conda"
        return directory / "environments.txt" if directory.is_dir() else None
    return None


def _lines(place: Path) -> list[str]:
    if not place.exists():
        return []
    with place.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError
    return content.decode("utf-8", "surrogateescape").splitlines()
