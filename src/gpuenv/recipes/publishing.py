"""Moves finished packages into a channel: all of them or none, and never over one that is half written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuenv.errors import UnavailableError

__all__ = ["channel_lock", "publish"]

_LOCK = ".gpuenv-channel.lock"
_SECONDS_TO_WAIT = 600.0


@contextmanager
def channel_lock(channel: Path) -> Iterator[None]:
    """Keeps a second writer out of the channel; UnavailableError where one stays for ten minutes."""
    from filelock import FileLock, Timeout

    try:
        channel.mkdir(parents=True, exist_ok=True)
        with FileLock(channel / _LOCK, timeout=_SECONDS_TO_WAIT):
            yield
    except Timeout as error:
        raise UnavailableError(f"another process writes to the channel `{channel}`") from error
    except OSError as error:
        raise UnavailableError(f"cannot write to `{channel}`", reasons=(error.strerror or str(error),)) from error


def publish(packages: Sequence[Path], channel: Path) -> tuple[str, ...]:
    """Puts packages into the channel, each into the directory that it is in here (`linux-64`); gives those of which
    the channel had one of the same name, as `linux-64/NAME`.
    """
    targets = [channel / path.parent.name / path.name for path in packages]
    replaced = tuple(f"{one.parent.name}/{one.name}" for one in targets if one.exists())
    parts = [one.with_name(f".{one.name}.part") for one in targets]
    try:
        for package, part in zip(packages, parts, strict=True):
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(package, part)
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    finally:
        for part in parts:
            with suppress(OSError):
                part.unlink(missing_ok=True)
    return replaced
