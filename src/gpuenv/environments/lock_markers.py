"""The packages of a plan's lock that are for its machines, with their markers decided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gpuenv.artifacts.required import marker_holds
from gpuenv.channels.pylock import LockedPackage, read_lock
from gpuenv.errors import FormatError
from gpuenv.model import Plan

__all__ = ["packages_of"]


def packages_of(plan: Plan) -> tuple[LockedPackage, ...]:
    """What the lock of `plan` has for its machines; a marker is left only where they differ in it.

    FormatError when the lock is none.
    """
    return tuple(_decided(plan))


def _decided(plan: Plan) -> Iterator[LockedPackage]:
    platforms = {machine.platform for machine in plan.machines}
    for package in read_lock(plan.pylock):
        marker = package.marker
        if marker is None:
            yield package
            continue
        try:
            answers = {marker_holds(marker, platform, plan.python, frozenset()) for platform in platforms}
        except FormatError:
            # What gpuenv cannot decide (a marker on groups of a lock) is left to the tool.
            answers = {True, False}
        if answers == {True}:
            yield replace(package, marker=None)
        elif answers != {False}:
            yield package
