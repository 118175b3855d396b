"""Which wheels to open for the GPU code in them, and in which order under a budget."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.version import Version

from gpuenv.channels.building.fitting import PLATFORM_ORDER, pick_wheel
from gpuenv.channels.building.listing import ListedRelease
from gpuenv.channels.catalog.projects import Opening, Wheel
from gpuenv.channels.simple_index import ListedFile

__all__ = ["Planned", "in_order", "plan_openings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One wheel to open, and the row that its code belongs to.

    `rank` counts the minor releases of its project that are newer; `extra` marks a further patch of one of them.
    """

    wheel: str
    version: str
    platform: str
    file: ListedFile
    rank: int
    extra: bool = False


def in_order(planned: Iterable[Planned]) -> list[Planned]:
    """The newest minor release of each project first, then the next; Linux x86_64 before the others; each file once."""
    ordered = sorted(
        planned, key=lambda one: (one.rank, one.extra, PLATFORM_ORDER.index(one.platform), one.wheel, one.file.filename)
    )
    return list({one.file.filename: one for one in reversed(ordered)}.values())[::-1]


def plan_openings(wheel: Wheel, releases: Iterable[ListedRelease]) -> Iterator[Planned]:
    """The wheels of one project that its `[[wheels]]` wants opened."""
    there = [release for release in releases if release.yanked is None]
    minors = list(dict.fromkeys(_minor(release.version) for release in there))
    for opening in wheel.open:
        for release, extra in _releases_to_open(opening, there):
            file = pick_wheel(release.files, opening.platform)
            if file:
                yield Planned(
                    wheel=wheel.name,
                    version=str(release.version),
                    platform=opening.platform,
                    file=file,
                    rank=minors.index(_minor(release.version)),
                    extra=extra,
                )


def _releases_to_open(opening: Opening, releases: list[ListedRelease]) -> Iterator[tuple[ListedRelease, bool]]:
    """The newest patch of each minor release that has a wheel for the platform, newest first; then `also`."""
    opened: set[tuple[int, int]] = set()
    for release in releases:
        minor = _minor(release.version)
        full = opening.minors is not None and len(opened) >= opening.minors
        if minor in opened or full or release.version < Version(opening.since):
            continue
        if pick_wheel(release.files, opening.platform):
            opened.add(minor)
            yield release, False
    also = {Version(text) for text in opening.also}
    yield from ((release, True) for release in releases if release.version in also)


def _minor(version: Version) -> tuple[int, int]:
    return version.major, version.minor
