"""The channel around a package: which records there are of a name, and what packages that it requires bring along."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Lock

from gpuenv.artifacts.outside_libraries import brought_files
from gpuenv.audits.gathering import Subdir
from gpuenv.audits.repodata import Record
from gpuenv.audits.saying import admits, bounds_on, is_satisfied_by, name_of
from gpuenv.model import Reading

__all__ = ["Surroundings"]

_MOST_PACKAGES = 60
_MOST_READ = 3
_MOST_NAMED = 5

Read = Callable[[Subdir, str], Reading | None]


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """One channel. `read` gives what is in one of its packages, None where that cannot be read."""

    subdirs: Sequence[Subdir]
    read: Read
    _by_name: dict[str, list[tuple[Subdir, str, Record]]] = field(default_factory=dict)
    _brought: dict[str, frozenset[str]] = field(default_factory=dict)
    _asked: set[str] | None = None
    _lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        for subdir in self.subdirs:
            for file, record in subdir.records.items():
                self._by_name.setdefault(record.name.lower(), []).append((subdir, file, record))

    def has(self, name: str) -> bool:
        """Whether the channel has packages of that name."""
        return name in self._by_name

    def _found(self, spec: str, subdir: str) -> list[tuple[Subdir, str, Record]]:
        """What satisfies a requirement of a package in `subdir`, newest last."""
        return [
            (place, file, record)
            for place, file, record in self._by_name.get(name_of(spec), ())
            if place.name in {subdir, "noarch"} or subdir == "noarch"
            if is_satisfied_by(
                spec, name=record.name, version=record.version, build=record.build, number=record.build_number
            )
        ]

    def records(self, spec: str, subdir: str) -> list[Record]:
        """The records that satisfy a requirement of a package in `subdir`."""
        return [record for _, _, record in self._found(spec, subdir)]

    def builds(self, name: str, subdir: str) -> tuple[str, ...]:
        """Versions and build strings of a package, a few of them."""
        found = [f"{record.version} {record.build}" for record in self.records(name, subdir)]
        return (*found[:_MOST_NAMED], "…") if len(found) > _MOST_NAMED else tuple(found)

    def is_asked_for(self, name: str) -> bool:
        """Whether some record of the channel requires or constrains a package of that name."""
        with self._lock:
            if self._asked is None:
                records = (record for found in self._by_name.values() for _, _, record in found)
                self._asked = {name_of(spec) for one in records for spec in (*one.depends, *one.constrains)}
        return name in self._asked

    def admits_driver(self, specs: Iterable[str], version: str, subdir: str) -> bool | None:
        """Whether what these requirements bring lets a driver in that serves this CUDA. None where the channel has none
        of them, so that it cannot tell.
        """
        known = [records for spec in specs if (records := self.records(spec, subdir))]
        if not known:
            return None
        return all(
            any(admits(bounds_on("__cuda", (*one.depends, *one.constrains)), version) for one in records)
            for records in known
        )

    def required(self, depends: Iterable[str], subdir: str) -> Iterator[str]:
        """Requirements of the packages that come along, as far as the channel has them."""
        waiting, seen = [*depends], set[str]()
        while waiting and len(seen) < _MOST_PACKAGES:
            spec = waiting.pop()
            if name_of(spec) in seen:
                continue
            seen.add(name_of(spec))
            yield spec
            if records := self.records(spec, subdir):
                waiting += max(records, key=lambda one: (one.timestamp or 0, one.build_number)).depends

    def brought(self, depends: Iterable[str], subdir: str) -> frozenset[str]:
        """The names of native files in the packages that come along, which are read for it."""
        found: set[str] = set()
        for spec in self.required(depends, subdir):
            candidates = self._found(spec, subdir)[-_MOST_READ:]
            for place, file, _ in candidates:
                found |= self._files_of(place, file)
        return frozenset(found)

    def _files_of(self, place: Subdir, file: str) -> frozenset[str]:
        key = f"{place.name}/{file}"
        with self._lock:
            known = self._brought.get(key)
        if known is None:
            reading = self.read(place, file)
            known = frozenset(brought_files(reading.files)) if reading else frozenset()
            with self._lock:
                self._brought[key] = known
        return known
