"""Reads a release again, its page and its binaries, and compares with the row of the catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gpuenv._net import Client
from gpuenv.channels.building.indexes import default_index
from gpuenv.channels.building.listing import ListedRelease, release_of
from gpuenv.channels.building.metadata import read_metadata
from gpuenv.channels.building.rows import make_row
from gpuenv.channels.building.wheel_code import read_wheel_code
from gpuenv.channels.catalog import releases_of
from gpuenv.channels.catalog.releases import CodeReading, RawGroup, RawLibrary, Release, wheel_names
from gpuenv.channels.simple_index import ListedFile, ProjectPage, list_project
from gpuenv.errors import FormatError, GpuenvError, RequestError, UnavailableError
from gpuenv.model import CatalogDifference, CatalogVerification, ErrorBody, Reporter, Silence

__all__ = ["compare_code", "compare_rows", "recorded_row", "verify_release"]


def verify_release(requirement: str, *, report: Reporter | None = None) -> CatalogVerification:
    """Whether the row of a release (`torch==2.10.0`) is what its index page and its wheels say when read again.

    Every wheel that the row has GPU code of is opened by ranges; nothing comes from a cache. RequestError for what is
    not in the catalog. What could not be read is told in `problems`, and `equal` is None then unless there is a
    difference besides.
    """
    row = recorded_row(requirement)
    report = report or Silence()
    with Client() as client:
        check = _Check(client, row, report)
        check.run()
    found = tuple(check.differences)
    return CatalogVerification(
        wheel=row.wheel,
        release=row.version,
        equal=False if found else None if check.problems else True,
        differences=found,
        files=tuple(check.files),
        fetched_bytes=check.fetched_bytes,
        problems=tuple(map(ErrorBody.of, check.problems)),
    )


def recorded_row(requirement: str) -> Release:
    """The row that `NAME==VERSION` names; RequestError where the catalog has none."""
    name, separator, version = requirement.partition("==")
    wheel = str(canonicalize_name(name.strip()))
    try:
        wanted = Version(version.strip())
    except InvalidVersion as error:
        raise RequestError(
            f"`{requirement}` names no release", hints=("write it as `gpuenv catalog verify torch==2.10.0`",)
        ) from error
    if not separator or wheel not in wheel_names():
        raise RequestError(
            f"the catalog has no rows of `{wheel}`", hints=("`gpuenv catalog status` lists the names that it has",)
        )
    found = next((row for row in releases_of(wheel) if Version(row.version) == wanted), None)
    if found is None:
        raise RequestError(
            f"the catalog has no row of `{wheel}` {wanted}", hints=("`gpuenv catalog update` reads what is new",)
        )
    return found


class _Check:
    """One release while it is read again."""

    def __init__(self, client: Client, row: Release, report: Reporter) -> None:
        self.differences: list[CatalogDifference] = []
        self.problems: list[GpuenvError] = []
        self.files: list[str] = []
        self.fetched_bytes = 0
        self._client = client
        self._row = row
        self._report = report

    def run(self) -> None:
        """Reads page, metadata and wheels."""
        try:
            index = default_index()
            self._report.step(f"reading the index page of {self._row.wheel}")
            page = list_project(self._client, index, self._row.wheel)
        except GpuenvError as error:
            self.problems.append(error)
            return
        self._check_page(index, page)
        for platform, recorded in self._row.code.items():
            self._check_code(index, page, platform, recorded)

    def _check_page(self, index: str, page: ProjectPage) -> None:
        row = self._row
        release = release_of(page, row.wheel, Version(row.version))
        if release is None:
            if row.withdrawn is None:
                self.differences.append(CatalogDifference(what="release", recorded="on the index", read=None))
            return
        if (release.yanked is not None) != (row.withdrawn is not None):
            read = "on the index" if release.yanked is None else f"yanked: {release.yanked}"
            self.differences.append(
                CatalogDifference(what="release", recorded=row.withdrawn or "on the index", read=read)
            )
        if release.yanked is None:
            self._check_metadata(index, release)

    def _check_metadata(self, index: str, release: ListedRelease) -> None:
        self._report.step(f"reading the metadata of {self._row.wheel} {release.version}")
        try:
            metadata = read_metadata(self._client, index, release.files)
        except GpuenvError as error:
            self.problems.append(error)
            return
        self.differences += compare_rows(self._row, make_row(self._row.wheel, release, metadata, today=self._row.read))

    def _check_code(self, index: str, page: ProjectPage, platform: str, recorded: CodeReading) -> None:
        file = next((file for file in page.files if file.filename == recorded.wheel_file), None)
        if file is None:
            self.problems.append(UnavailableError(f"the index no longer lists `{recorded.wheel_file}`"))
            return
        self._report.step(f"reading {file.filename}")
        try:
            self._compare_with(index, file, platform, recorded)
        except GpuenvError as error:
            self.problems.append(error)

    def _compare_with(self, index: str, file: ListedFile, platform: str, recorded: CodeReading) -> None:
        found = read_wheel_code(self._client, index, file)
        self.fetched_bytes += found.fetched_bytes
        self.files.append(file.filename)
        if found.problems:
            raise FormatError(f"`{file.filename}` could not be read whole", reasons=found.problems)
        self.differences += compare_code(platform, recorded, found.code)


def compare_rows(recorded: Release, read: Release) -> Iterator[CatalogDifference]:
    """In what two rows of one release differ, GPU code aside."""
    for what in ("pure", "sdist_only", "requires_python"):
        yield from _compared(what, getattr(recorded, what), getattr(read, what))
    for text in sorted({*recorded.requires} ^ {*read.requires}):
        ours = text in recorded.requires
        yield CatalogDifference(what="requires", recorded=text if ours else None, read=None if ours else text)
    for platform in sorted(recorded.platforms.keys() | read.platforms.keys()):
        one, other = recorded.platforms.get(platform), read.platforms.get(platform)
        if one is None or other is None:
            yield from _compared(platform, "has wheels" if one else None, "has wheels" if other else None)
            continue
        for what in ("pythons", "glibc", "size_bytes"):
            yield from _compared(f"{platform} {what}", getattr(one, what), getattr(other, what))


def compare_code(platform: str, recorded: CodeReading, read: CodeReading) -> Iterator[CatalogDifference]:
    """In what two readings of one wheel differ, library by library."""
    yield from _compared(f"{platform} sha256", recorded.sha256, read.sha256)
    for name in sorted({library.name for library in (*recorded.libraries, *read.libraries)}):
        # A wheel may have several libraries of one name in different directories.
        ours, theirs = (
            Counter(_in_words(one) for one in code.libraries if one.name == name) for code in (recorded, read)
        )
        left, right = [*(ours - theirs).elements()], [*(theirs - ours).elements()]
        for position in range(max(len(left), len(right))):
            one, other = (side[position] if position < len(side) else None for side in (left, right))
            yield CatalogDifference(what=f"{platform} {name}", recorded=one, read=other)


def _compared(what: str, recorded: object, read: object) -> Iterator[CatalogDifference]:
    if recorded != read:
        yield CatalogDifference(what=what, recorded=_text(recorded), read=_text(read))


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return None if value is None else str(value)


def _in_words(library: RawLibrary) -> str:
    parts = [_groups_in_words(library.groups)]
    if library.relocatable:
        parts.append(f"relocatable: {_groups_in_words(library.relocatable)}")
    if library.size_bytes:
        parts.append(f"{library.size_bytes} bytes of code")
    return "; ".join(parts)


def _groups_in_words(groups: tuple[RawGroup, ...]) -> str:
    said = [f"{group.units} x {' '.join(group.images)}" for group in groups]
    return ", ".join(said) or "none"
