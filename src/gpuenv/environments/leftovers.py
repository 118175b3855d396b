"""Clear away what a killed command left beside an environment.

Whoever holds the lock of an environment is its only writer, so every half-built or half-deleted directory of it has
lost its maker. What can outlive the maker is the `uv` that it started; that one is ended first.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpuenv.environments import layout
from gpuenv.environments.locking import holding
from gpuenv.environments.switch import repair
from gpuenv.errors import UnavailableError

if TYPE_CHECKING:
    import psutil

__all__ = ["delete_tree", "discard", "end_orphans", "sweep", "sweep_neighbours"]

_KILL_WAIT_SECONDS = 5.0


def sweep(prefix: Path) -> None:
    """Finish an interrupted switch of `prefix` and delete what it left. To be called with its lock held."""
    repair(prefix)
    for path in layout.leftovers_in(prefix.parent).get(prefix, []):
        discard(path, prefix)


def sweep_neighbours(prefix: Path) -> None:
    """The same for the other environments of that directory, as far as nobody is changing them."""
    for neighbour in layout.leftovers_in(prefix.parent):
        if neighbour != prefix:
            with suppress(UnavailableError, OSError), holding(neighbour, "cleaning", wait_seconds=0):
                sweep(neighbour)


def discard(path: Path, prefix: Path) -> None:
    """Delete a directory beside `prefix`; what cannot be deleted now is left for the next command."""
    end_orphans(path)
    # Renamed first: what is half deleted must never be taken for a new environment.
    doomed = layout.beside(prefix, "old")
    try:
        path.rename(doomed)
    except OSError:
        doomed = path
    delete_tree(doomed)


def delete_tree(path: Path) -> None:
    """Delete a directory as far as possible, read-only directories in it too; links are not followed."""
    shutil.rmtree(path, ignore_errors=True)
    if not os.path.lexists(path):
        return
    for directory, _, _ in os.walk(path):
        with suppress(OSError):
            Path(directory).chmod(stat.S_IRWXU)
    shutil.rmtree(path, ignore_errors=True)


def end_orphans(path: Path) -> None:
    """End each `uv` that still fills `path`, known by that unique path in its command line."""
    import psutil

    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or ()
        if Path(process.info["name"] or "").stem != "uv" or not any(path.name in word for word in words):
            continue
        with suppress(psutil.Error):
            family = [*process.children(recursive=True), process]
            for member in family:
                with suppress(psutil.Error):
                    member.kill()
            _wait_for_the_end(family)


def _wait_for_the_end(family: list[psutil.Process]) -> None:
    """Until none of them can write any more; a zombie cannot, and stays one where nobody collects it."""
    import psutil

    until = time.monotonic() + _KILL_WAIT_SECONDS
    while time.monotonic() < until:
        with suppress(psutil.NoSuchProcess):
            family = [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
            if not family:
                return
        time.sleep(0.01)
