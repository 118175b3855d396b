"""One writer at a time for each environment."""

from __future__ import annotations

import os
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gpuenv.environments import layout
from gpuenv.environments.failures import explain_refusal
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import Noun, from_json, to_json

__all__ = ["LOCK_WAIT_SECONDS", "holding"]

LOCK_WAIT_SECONDS = 3.0
"""How long a second writer waits: enough for the end of another command, short enough to be told."""


class Holder(Noun, frozen=True, kw_only=True):
    """Who changes an environment."""

    pid: int
    host: str
    doing: str
    since: datetime


@contextmanager
def holding(
    prefix: Path, doing: str, *, wait_seconds: float = LOCK_WAIT_SECONDS, at: Path | None = None
) -> Iterator[None]:
    """Inside, nobody else changes `prefix`; UnavailableError names who does when it stays locked.

    The lock is the operating system's, so it ends with its holder. It lies beside `prefix`, or beside `at`, whose
    parent directory must exist.
    """
    import filelock

    place = at or prefix
    lock = filelock.FileLock(layout.lock_path(place))
    try:
        # File systems without locks (Lustre without -o flock) get a lock by existence, and a warning about it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lock.acquire(timeout=wait_seconds)
    except filelock.Timeout as error:
        if not layout.lock_path(place).exists():
            # Some systems of files (/proc) say of a file that cannot be made that it is not there.
            raise UnavailableError(
                f"no file can be made in `{place.parent}`", hints=("choose another place with `-p PATH`",)
            ) from error
        raise _held_by_another(prefix, place) from error
    except OSError as error:
        raise explain_refusal(error, doing, prefix) from error
    try:
        _sign(place, doing)
        yield
    finally:
        _leave(place, lock)


def _sign(prefix: Path, doing: str) -> None:
    holder = Holder(pid=os.getpid(), host=socket.gethostname(), doing=doing, since=datetime.now(UTC))
    # Without it a second writer is told less, nothing else.
    with suppress(OSError):
        layout.holder_path(prefix).write_text(to_json(holder), encoding="utf-8")


def _leave(prefix: Path, lock: object) -> None:
    import filelock

    assert isinstance(lock, filelock.BaseFileLock)
    with suppress(OSError):
        layout.holder_path(prefix).unlink()
    # Where no environment is, its lock would be litter. Unlinked while held, so that nobody holds the same name.
    with suppress(OSError):
        if not layout.is_environment(prefix):
            layout.lock_path(prefix).unlink()
    with suppress(OSError):
        lock.release()


def _held_by_another(prefix: Path, place: Path) -> UnavailableError:
    try:
        holder = from_json(layout.holder_path(place).read_bytes(), Holder)
    except (OSError, FormatError):
        return UnavailableError(
            f"another gpuenv is changing `{prefix}`",
            hints=("wait for it to end and try again",),
        )
    seconds = max(0, round(time.time() - holder.since.timestamp()))
    elsewhere = "" if holder.host == socket.gethostname() else f" on `{holder.host}`"
    return UnavailableError(
        f"another gpuenv is changing `{prefix}`",
        reasons=(f"process {holder.pid}{elsewhere} has been {holder.doing} it for {seconds} s",),
        hints=(f"wait for process {holder.pid} to end and try again",),
    )
