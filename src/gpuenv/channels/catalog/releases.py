"""The machine-made half of the catalog: which releases exist, what they require, which GPU code they carry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from gpuenv import settings
from gpuenv.channels.catalog.own_copy import SUFFIX, OwnCopy
from gpuenv.errors import FormatError
from gpuenv.facts.libraries import selects_at_run_time
from gpuenv.model import LibraryCode, Noun, UnitGroup
from gpuenv.versions import CodeImage

__all__ = [
    "CodeReading",
    "LoadedRows",
    "PlatformWheels",
    "RawGroup",
    "RawLibrary",
    "Release",
    "catalog_problems",
    "decode_rows",
    "forget_loaded",
    "load_rows",
    "newest_date",
    "own_copy",
    "packaged_content",
    "releases_of",
    "wheel_names",
]

DATA = Path(__file__).with_name("releases")
"""One file per name on the index, with one release a line, by version."""

_DATE = re.compile(rb'"read":"(\d{4}-\d{2}-\d{2})"')


class PlatformWheels(Noun, frozen=True, kw_only=True):
    """The wheels of one release for one platform: Pythons (None: any), oldest C library, bytes of the largest."""

    pythons: tuple[str, ...] | None = None
    glibc: str | None = None
    size_bytes: int | None = None


class RawGroup(Noun, frozen=True, kw_only=True):
    """Units with the same images, the images still as text."""

    images: tuple[str, ...]
    units: int


class RawLibrary(Noun, frozen=True, kw_only=True):
    """One library's GPU code as it stands in the data file."""

    name: str
    size_bytes: int = 0
    groups: tuple[RawGroup, ...]
    relocatable: tuple[RawGroup, ...] = ()


class CodeReading(Noun, frozen=True, kw_only=True):
    """What was read inside one wheel, and which file it was."""

    wheel_file: str
    sha256: str | None = None
    libraries: tuple[RawLibrary, ...] = ()


class Release(Noun, frozen=True, kw_only=True):
    """One release of one project on the index. `code` holds a reading for the platforms that were looked into.

    `read` is the day (2026-11-24) on which something in the row last changed. `withdrawn` says why the index gives the
    release no more (it was yanked, it is gone), None where it does.
    """

    wheel: str
    version: str
    platforms: dict[str, PlatformWheels] = {}
    pure: bool = False
    sdist_only: bool = False
    requires_python: str | None = None
    requires: tuple[str, ...] = ()
    code: dict[str, CodeReading] = {}
    read: str
    withdrawn: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedRows:
    """The rows of one name as they were loaded; `size_bytes` is that of their file. `is_own`: the user's own copy."""

    rows: tuple[Release, ...] = ()
    is_own: bool = False
    size_bytes: int = 0


def releases_of(wheel: str) -> tuple[Release, ...]:
    """All releases of the project that the index calls `wheel`; empty when the catalog does not hold it.

    Only the file of that project is read: the user's own where it is sound and not older by the dates in it, else the
    one that came with gpuenv. FormatError when the latter is damaged.
    """
    return load_rows(wheel).rows


@cache
def load_rows(wheel: str) -> LoadedRows:
    """As `releases_of`, and where the rows are from."""
    own = own_copy()
    date = own.date(wheel)
    packaged = packaged_content(wheel)
    if date is not None and date >= newest_date(packaged) and (content := own.content(wheel)) is not None:
        try:
            return LoadedRows(rows=decode_rows(content), is_own=True, size_bytes=len(content))
        except FormatError as error:
            own.give_up(wheel, error.message)
    try:
        return LoadedRows(rows=decode_rows(packaged), size_bytes=len(packaged))
    except FormatError as error:
        raise _damaged(wheel, error.message) from error


def decode_rows(content: bytes) -> tuple[Release, ...]:
    """The releases in the lines of a file; FormatError where they are none."""
    try:
        return tuple(msgspec.json.Decoder(Release).decode_lines(content))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(str(error)[:300]) from error


def newest_date(content: bytes) -> str:
    """The newest day in the rows of a file, empty for none; the rows are searched and not read."""
    return max(_DATE.findall(content), default=b"").decode()


def packaged_content(wheel: str) -> bytes:
    """The rows that came with gpuenv as they stand in their file, empty for none; FormatError when it is damaged."""
    if wheel not in _packaged_names():
        return b""
    try:
        return (DATA / f"{wheel}{SUFFIX}").read_bytes()
    except OSError as error:
        raise _damaged(wheel, error.strerror or str(error)) from error


def _damaged(wheel: str, why: str) -> FormatError:
    return FormatError(
        f"the catalog that came with gpuenv is damaged: `{wheel}{SUFFIX}`",
        reasons=(why,),
        hints=("install it again: `pip install --force-reinstall gpuenv`",),
    )


@cache
def own_copy() -> OwnCopy:
    """The user's own copy of the catalog, with nothing in it where there is none."""
    return OwnCopy(settings.catalog_directory())


def catalog_problems() -> tuple[str, ...]:
    """What is wrong with the user's own copy of the catalog, as far as it was looked at, a sentence each."""
    return own_copy().problems


@cache
def wheel_names() -> frozenset[str]:
    """The names on the index that the catalog holds releases of."""
    manifest = own_copy().manifest
    return _packaged_names() | (manifest.files.keys() if manifest else frozenset())


@cache
def _packaged_names() -> frozenset[str]:
    return frozenset(path.name.removesuffix(SUFFIX) for path in DATA.iterdir() if path.name.endswith(SUFFIX))


def forget_loaded() -> None:
    """Lets all of it be loaded anew."""
    for loaded in (load_rows, own_copy, wheel_names, _packaged_names):
        loaded.cache_clear()


def library_code(reading: CodeReading) -> tuple[LibraryCode, ...]:
    """The GPU code of a reading as the rules take it."""
    return tuple(
        LibraryCode(
            name=library.name,
            selects_at_run_time=selects_at_run_time(library.name),
            size_bytes=library.size_bytes,
            groups=_groups(library.groups),
            relocatable=_groups(library.relocatable),
        )
        for library in reading.libraries
    )


def _groups(rows: tuple[RawGroup, ...]) -> tuple[UnitGroup, ...]:
    return tuple(UnitGroup(images=tuple(_image(text) for text in row.images), units=row.units) for row in rows)


@cache
def _image(text: str) -> CodeImage:
    return CodeImage.parse(text)
