"""The machine-made half of the catalog: which releases exist, what they require, which GPU code they carry."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec

from gpuenv.errors import FormatError
from gpuenv.facts.libraries import selects_at_run_time
from gpuenv.model import LibraryCode, Noun, UnitGroup
from gpuenv.versions import CodeImage

__all__ = ["PlatformWheels", "Release", "releases_of", "wheel_names"]

DATA = Path(__file__).with_name("releases")
"""One file per name on the index, with one release a line, by version."""

_SUFFIX = ".jsonl"


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
    groups: tuple[RawGroup, ...]
    relocatable: tuple[RawGroup, ...] = ()
    size_bytes: int = 0


class CodeReading(Noun, frozen=True, kw_only=True):
    """What was read inside one wheel, and which file it was."""

    wheel_file: str
    sha256: str | None = None
    libraries: tuple[RawLibrary, ...] = ()


class Release(Noun, frozen=True, kw_only=True):
    """One release of one project on the index. `code` holds a reading for the platforms that were looked into."""

    wheel: str
    version: str
    platforms: dict[str, PlatformWheels] = {}
    pure: bool = False
    sdist_only: bool = False
    requires_python: str | None = None
    requires: tuple[str, ...] = ()
    code: dict[str, CodeReading] = {}
    read: str


@cache
def releases_of(wheel: str) -> tuple[Release, ...]:
    """All releases of the project that the index calls `wheel`; empty when the catalog does not hold it.

    Only the file of that project is read. FormatError when it is damaged.
    """
    if wheel not in wheel_names():
        return ()
    path = DATA / f"{wheel}{_SUFFIX}"
    try:
        return tuple(msgspec.json.Decoder(Release).decode_lines(path.read_bytes()))
    except (OSError, msgspec.MsgspecError) as error:
        raise FormatError(
            f"the catalog that came with gpuenv is damaged: `{path.name}`",
            reasons=(str(error),),
            hints=("install it again: `pip install --force-reinstall gpuenv`",),
        ) from error


@cache
def wheel_names() -> frozenset[str]:
    """The names on the index that the catalog holds releases of."""
    return frozenset(path.name.removesuffix(_SUFFIX) for path in DATA.iterdir() if path.name.endswith(_SUFFIX))


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
