"""The row of one release, and what becomes of a row when the index says something new."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from packaging.version import Version

from gpuenv.channels.building.fitting import is_pure, platforms_of
from gpuenv.channels.building.listing import ListedRelease
from gpuenv.channels.building.metadata import Metadata
from gpuenv.channels.catalog.releases import CodeReading, Release

__all__ = [
    "GONE",
    "add_code",
    "by_version",
    "encode_row",
    "make_row",
    "merge_rows",
    "renew_row",
    "retire_row",
    "same_kind",
]

GONE = "the package index no longer has it"
"""What a row says of a release that vanished."""


def make_row(wheel: str, release: ListedRelease, metadata: Metadata, *, today: str) -> Release:
    """The row of a release that is new, without GPU code."""
    requires_python, requires = metadata
    return Release(
        wheel=wheel,
        version=str(release.version),
        platforms=platforms_of(release.files),
        pure=any(is_pure(file) for file in release.files),
        sdist_only=not any(file.is_wheel for file in release.files),
        requires_python=requires_python,
        requires=requires,
        read=today,
    )


def same_kind(row: Release, release: ListedRelease) -> bool:
    """Whether the release still comes as it did (wheels, pure ones, sources), so that its metadata are the same."""
    pure = any(is_pure(file) for file in release.files)
    return row.pure == pure and row.sdist_only == (not any(file.is_wheel for file in release.files))


def renew_row(row: Release, release: ListedRelease, metadata: Metadata | None, *, today: str) -> Release:
    """The row with what the index says now; `metadata` None keeps what was read. Without a change it is the same row.

    GPU code is dropped where the index now lists another file under the name of the one that was read.
    """
    if release.yanked is not None:
        why = f"it was yanked: {release.yanked}" if release.yanked else "it was yanked"
        return retire_row(row, why, today=today)
    hashes = {file.filename: file.sha256 for file in release.files}
    new = make_row(row.wheel, release, metadata or (row.requires_python, row.requires), today=row.read)
    code = {key: reading for key, reading in row.code.items() if _is_same_file(reading, hashes)}
    new = msgspec.structs.replace(new, code=code)
    return row if new == row else msgspec.structs.replace(new, read=today)


def retire_row(row: Release, why: str, *, today: str) -> Release:
    """The row of a release that is not to be installed any more."""
    return row if row.withdrawn == why else msgspec.structs.replace(row, withdrawn=why, read=today)


def add_code(row: Release, platform: str, code: CodeReading, *, today: str) -> Release:
    """The row with what was read in its wheel for `platform`."""
    if row.code.get(platform) == code:
        return row
    return msgspec.structs.replace(row, code=dict(sorted({**row.code, platform: code}.items())), read=today)


def merge_rows(*sources: Iterable[Release]) -> dict[str, Release]:
    """Rows by version; of one version the row that changed last, with the GPU code that others have besides."""
    found: dict[str, Release] = {}
    for row in (row for rows in sources for row in rows):
        known = found.get(row.version)
        if known is None:
            found[row.version] = row
            continue
        newer, older = (known, row) if known.read >= row.read else (row, known)
        code = dict(sorted({**older.code, **newer.code}.items()))
        found[row.version] = newer if code == newer.code else msgspec.structs.replace(newer, code=code)
    return found


def encode_row(row: Release) -> bytes:
    """The line of a row in its file."""
    fields = msgspec.to_builtins(row)
    for reading in fields["code"].values():
        for library in reading["libraries"]:
            if not library["relocatable"]:
                del library["relocatable"]
    if row.withdrawn is None:
        del fields["withdrawn"]
    return msgspec.json.encode(fields) + b"\n"


def _is_same_file(reading: CodeReading, hashes: dict[str, str | None]) -> bool:
    listed = hashes.get(reading.wheel_file)
    return not listed or not reading.sha256 or listed == reading.sha256


def by_version(rows: Iterable[Release]) -> list[Release]:
    """Rows as they stand in a file."""
    return sorted(rows, key=lambda row: (Version(row.version), row.version))
