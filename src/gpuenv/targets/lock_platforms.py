"""Which part of a conda lock is for a destination: platforms as conda names them."""

from __future__ import annotations

from collections.abc import Collection

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.channels.destinations import Destination
from gpuenv.errors import NoPlanError

__all__ = ["choose_platform"]


def choose_platform(
    held: Collection[str], destination: Destination, *, where: str, is_asked: bool
) -> tuple[str, tuple[str, ...]]:
    """The platform of a lock to look at, and a note where it is not that of the destination.

    NoPlanError where the lock has nothing for a machine that was asked for (`is_asked`); without one, Linux x86_64 or
    the first that there is.
    """
    wanted = subdir_of(destination.platform)
    if wanted in held:
        return wanted, ()
    if is_asked or not held:
        raise NoPlanError(
            f"`{where}` holds nothing for {wanted}",
            reasons=(f"it is for {', '.join(sorted(held))}",) if held else ("it holds no packages at all",),
        )
    other = "linux-64" if "linux-64" in held else min(held)
    return other, (f"`{where}` holds nothing for {wanted}; this is what it has for {other}",)
