"""How much a plan downloads: sizes that no index told are asked of the servers, one short question each."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gpuenv.channels.pylock import parse_lock
from gpuenv.errors import GpuenvError
from gpuenv.model import LockedWheel
from gpuenv.plans.learning import Learner
from gpuenv.plans.wheels import locked_wheels

if TYPE_CHECKING:
    from gpuenv.targets.means import Means
    from gpuenv.targets.wanted import WantedFile

__all__ = ["in_gigabytes", "sized_wheels", "total_bytes"]


def sized_wheels(pylock: str, learner: Learner) -> tuple[LockedWheel, ...]:
    """The distributions of a lock, each with its size as far as it can be found out."""
    wheels = locked_wheels(pylock)
    if learner.offline or all(wheel.size_bytes for wheel in wheels):
        return wheels
    from gpuenv.targets.selection import select_packages

    files = {file.name: file for file in select_packages(parse_lock(pylock), learner.destination, base=Path()).files}
    return tuple(
        msgspec.structs.replace(wheel, size_bytes=_size(files[wheel.name], learner.means))
        if wheel.size_bytes is None and wheel.name in files
        else wheel
        for wheel in wheels
    )


def _size(file: WantedFile, means: Means) -> int | None:
    with suppress(GpuenvError, OSError):
        if file.path:
            return file.path.stat().st_size
        if file.fetch_url:
            with means.open_file(file.fetch_url, name=file.filename, size_bytes=None) as remote:
                return remote.size_bytes
    return None


def total_bytes(wheels: Iterable[LockedWheel]) -> int:
    """The sum of the sizes that are known."""
    return sum(wheel.size_bytes or 0 for wheel in wheels)


def in_gigabytes(size_bytes: int) -> str:
    """A size as downloads are spoken of (powers of ten): `0.2 GB`."""
    return f"{size_bytes / 1e9:.1f} GB"
