"""One run over the index: lists projects, renews their rows, opens wheels; every answer is on disk before the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock
from typing import TypeVar

from packaging.version import Version

from gpuenv import settings
from gpuenv._net import Client
from gpuenv.channels.building.crew import results_of
from gpuenv.channels.building.listing import ListedRelease, list_releases
from gpuenv.channels.building.metadata import read_metadata
from gpuenv.channels.building.openings import Planned, in_order, plan_openings
from gpuenv.channels.building.row_files import RowFiles
from gpuenv.channels.building.rows import GONE, add_code, make_row, merge_rows, renew_row, retire_row, same_kind
from gpuenv.channels.building.second_python import Second, compare_pythons, second_wheel
from gpuenv.channels.building.wheel_code import WheelCode, read_wheel_code
from gpuenv.channels.catalog.projects import Wheel
from gpuenv.channels.catalog.releases import Release
from gpuenv.channels.simple_index import ListedFile, ProjectPage, list_project, version_in_name
from gpuenv.errors import FormatError, GpuenvError, RequestError, UnavailableError
from gpuenv.model import CatalogChange, CatalogDifference, ErrorBody, Reporter

__all__ = ["Asked", "Work"]

Chosen = TypeVar("Chosen")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to work on: a wheel name of the catalog, all its releases or (where there are any) only `versions`."""

    wheel: Wheel
    versions: frozenset[Version] = frozenset()

    def is_meant(self, version: Version) -> bool:
        """Whether a release is to be worked on."""
        return not self.versions or version in self.versions


@dataclass(slots=True)
class _Changes:
    """What changed in one project."""

    added: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Work:
    """The run. `base` gives the rows that are known of a name, before those in `files`.

    `again` opens wheels anew that were read before.
    """

    client: Client
    index: str
    files: RowFiles
    base: Callable[[str], Iterable[Release]]
    report: Reporter
    again: bool = False
    fetched_bytes: int = 0
    left_unread: int = 0
    problems: list[ErrorBody] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    differences: list[CatalogDifference] = field(default_factory=list)
    _listed: list[tuple[Asked, list[ListedRelease]]] = field(default_factory=list)
    _changes: dict[str, _Changes] = field(default_factory=dict)
    _today: dict[str, str] = field(default_factory=dict)
    _stopped: Event = field(default_factory=Event)
    _lock: Lock = field(default_factory=Lock)

    def list_all(self, asked: list[Asked]) -> list[Planned]:
        """Renews the rows of all projects; which wheels are to be opened then, in order.

        UnavailableError where the index does not answer at all.
        """
        self.report.step("asking the package index for releases")
        for one in asked:
            self._changes[one.wheel.name] = _Changes()
        # The first is asked for alone: where nobody answers, the others need not be tried.
        planned = [*self._list_one(asked[0], alone=True)] if asked else []
        threads = settings.CATALOG_PROJECTS_AT_ONCE
        for found in results_of(self._list_one, asked[1:], threads=threads, stopped=self._stopped):
            planned += found
        return in_order(planned)

    def open_all(self, planned: list[Planned], *, budget_bytes: float) -> float:
        """Opens wheels in their order as long as the budget lasts; one that is too large is left out.

        Gives the bytes that are left of the budget.
        """
        self.report.step(f"reading {len(planned)} wheels" if planned else "no wheel to read")
        chosen, left = self._within([(one, one.file) for one in planned], budget_bytes)
        threads = settings.CATALOG_WHEELS_AT_ONCE
        for _ in results_of(self._open_one, chosen, threads=threads, stopped=self._stopped):
            pass
        return left

    def compare_pythons(self, *, budget_bytes: float) -> None:
        """Opens a wheel of another Python of each project's newest opened release, and notes what differs."""
        seconds = []
        for asked, releases in self._listed:
            meant = (one for one in releases if asked.is_meant(one.version))
            second = second_wheel(meant, self.files.rows(asked.wheel.name))
            if second:
                seconds.append((second, second.file))
        seconds.sort(key=lambda pair: pair[1].filename)
        chosen, _ = self._within(seconds, budget_bytes)
        self.report.step(f"comparing {len(chosen)} wheels for another Python" if chosen else "no wheel to compare")
        threads = settings.CATALOG_WHEELS_AT_ONCE
        for _ in results_of(self._compare_one, chosen, threads=threads, stopped=self._stopped):
            pass
        self.compared.sort()
        self.differences.sort(key=lambda one: one.what)

    def _within(self, wheels: list[tuple[Chosen, ListedFile]], budget_bytes: float) -> tuple[list[Chosen], float]:
        """Those that the budget lasts for, and what is left of it; the others count as unread."""
        chosen = []
        for one, file in wheels:
            # A wheel of unknown size costs nothing beforehand; few indexes tell no sizes.
            size = file.size_bytes or 0
            if size <= budget_bytes and budget_bytes > 0:
                budget_bytes -= size
                chosen.append(one)
        self.left_unread += len(wheels) - len(chosen)
        return chosen, budget_bytes

    def changes(self) -> tuple[CatalogChange, ...]:
        """What changed, by name; names where nothing did are left out."""
        return tuple(
            CatalogChange(
                wheel=name,
                added=_sorted(one.added),
                withdrawn=_sorted(one.withdrawn),
                returned=_sorted(one.returned),
                changed=_sorted(one.changed),
                opened=tuple(sorted(one.opened)),
            )
            for name, one in sorted(self._changes.items())
            if one != _Changes()
        )

    # ---- one project -------------------------------------------------------------------------------------------------

    def _list_one(self, asked: Asked, *, alone: bool = False) -> list[Planned]:
        name = asked.wheel.name
        self.report.detail(f"{name}: listing releases")
        self._take_up(name)
        try:
            page = list_project(self.client, self.index, name)
        except RequestError as error:
            self._note(error)
            self._retire(name, set())
            return []
        except GpuenvError as error:
            if alone and isinstance(error, UnavailableError):
                raise
            self._note(error)
            return []
        if not page.files:
            # Real indexes list no project without files, but pages that ask for a login look like that.
            self._note(FormatError(f"the package index lists no file of `{name}`"))
            return []
        return self._renew(asked, page)

    def _take_up(self, name: str) -> None:
        try:
            there = self.files.load(name)
        except FormatError as error:
            self._note(error)
            there = ()
        rows = merge_rows(there, self.base(name)).values()
        # A clock in the past must not make new rows look older than those that are there.
        self._today[name] = max(datetime.now(UTC).date().isoformat(), *(row.read for row in rows), "")
        self.files.start(name, rows)

    def _renew(self, asked: Asked, page: ProjectPage) -> list[Planned]:
        name = asked.wheel.name
        releases = list_releases(page, asked.wheel)
        for release in releases:
            if asked.is_meant(release.version):
                self._renew_release(name, release)
        if not asked.versions:
            self._retire(name, {str(version_in_name(file.filename, name)) for file in page.files})
        self._listed.append((asked, releases))
        planned = plan_openings(asked.wheel, releases)
        return [one for one in planned if self._is_wanted(one) and asked.is_meant(Version(one.version))]

    def _is_wanted(self, planned: Planned) -> bool:
        row = self.files.row(planned.wheel, planned.version)
        return row is not None and (self.again or planned.platform not in row.code)

    def _renew_release(self, name: str, release: ListedRelease) -> None:
        if self._stopped.is_set():
            return
        row, today, changes = self.files.row(name, str(release.version)), self._today[name], self._changes[name]
        try:
            if row is None:
                if release.yanked is None:
                    metadata = read_metadata(self.client, self.index, release.files)
                    self._put(make_row(name, release, metadata, today=today), changes.added)
                return
            again = release.yanked is None and not same_kind(row, release)
            metadata_again = read_metadata(self.client, self.index, release.files) if again else None
        except GpuenvError as error:
            self._note(error, f"`{name}` {release.version} was not read")
            return
        new = renew_row(row, release, metadata_again, today=today)
        if new is not row:
            gone, back = new.withdrawn is not None, row.withdrawn is not None and new.withdrawn is None
            self._put(new, changes.withdrawn if gone else changes.returned if back else changes.changed)

    def _retire(self, name: str, on_page: set[str]) -> None:
        for row in self.files.rows(name):
            if row.version not in on_page:
                new = retire_row(row, GONE, today=self._today[name])
                if new is not row:
                    self._put(new, self._changes[name].withdrawn)

    def _put(self, row: Release, told: list[str], what: str | None = None) -> None:
        with self._lock:
            if not self._stopped.is_set():
                self.files.put(row)
                told.append(what or row.version)

    # ---- one wheel ---------------------------------------------------------------------------------------------------

    def _open_one(self, planned: Planned) -> None:
        found = self._read(planned.file)
        if found is None:
            return
        row = self.files.row(planned.wheel, planned.version)
        assert row is not None
        new = add_code(row, planned.platform, found.code, today=self._today[planned.wheel])
        self._put(new, self._changes[planned.wheel].opened, planned.file.filename)

    def _compare_one(self, second: Second) -> None:
        found = self._read(second.file)
        if found is not None:
            with self._lock:
                self.compared.append(second.file.filename)
                self.differences += compare_pythons(second, found.code)

    def _read(self, file: ListedFile) -> WheelCode | None:
        """The GPU code of a wheel; None where it could not be read whole, which is noted."""
        self.report.detail(f"reading {file.filename}")
        try:
            found = read_wheel_code(self.client, self.index, file, stopped=self._stopped)
            if found.problems:
                raise FormatError(f"`{file.filename}` could not be read whole", reasons=found.problems)
        except GpuenvError as error:
            with self._lock:
                self.left_unread += 1
            self._note(error)
            return None
        with self._lock:
            self.fetched_bytes += found.fetched_bytes
        return found

    def _note(self, error: GpuenvError, context: str = "") -> None:
        body = ErrorBody.of(error)
        if context:
            body = ErrorBody(
                code=body.code,
                exit_code=body.exit_code,
                message=context,
                reasons=(body.message, *body.reasons),
                hints=body.hints,
            )
        with self._lock:
            self.problems.append(body)


def _sorted(versions: list[str]) -> tuple[str, ...]:
    return tuple(sorted(versions, key=Version))
