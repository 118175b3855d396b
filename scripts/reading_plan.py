"""Which wheels to open, in which order, for the table READINGS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version
from release_index import ListedFile, by_release, list_files
from release_rows import pick_wheel
from wanted_releases import READINGS, WANTED, Reading

from gpuenv._net import Client


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One wheel to open, and the row that its code belongs to."""

    name: str
    version: str
    platform: str
    file: ListedFile


def plan_readings(client: Client, chosen: set[str], cache: Path) -> Iterator[Planned]:
    """The wheels of READINGS in order, each once; only those of `chosen` (`torch`, `torch==2.10.0`) if it is given."""
    seen = set()
    for reading in READINGS:
        if chosen and not any(choice.partition("==")[0] == reading.name for choice in chosen):
            continue
        for planned in _wheels_of(reading, by_release(list_files(client, reading.name, cache))):
            asked = not chosen or not chosen.isdisjoint({planned.name, f"{planned.name}=={planned.version}"})
            if asked and planned.file.filename not in seen:
                seen.add(planned.file.filename)
                yield planned


def _wheels_of(reading: Reading, releases: dict[Version, list[ListedFile]]) -> Iterator[Planned]:
    wanted = next(wanted for wanted in WANTED if wanted.name == reading.name)
    admitted = [version for version in releases if wanted.admits(version)]
    admitted = admitted[:1] if wanted.last_only else admitted
    for version in _versions_to_open(reading, admitted, releases):
        file = pick_wheel(releases[version], reading.platform)
        if file:
            yield Planned(name=reading.name, version=str(version), platform=reading.platform, file=file)


def _versions_to_open(
    reading: Reading, admitted: list[Version], releases: dict[Version, list[ListedFile]]
) -> Iterator[Version]:
    """The newest patch of each minor release that has a wheel for the platform, newest first; then `also`."""
    opened: set[tuple[int, int]] = set()
    for version in admitted:
        minor = (version.major, version.minor)
        full = reading.minors is not None and len(opened) >= reading.minors
        if minor in opened or full or version < Version(reading.since):
            continue
        if pick_wheel(releases[version], reading.platform):
            opened.add(minor)
            yield version
    yield from (version for version in admitted if str(version) in reading.also)
