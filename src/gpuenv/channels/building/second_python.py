"""A check on the catalog: the wheel of another Python of a release, whose GPU code should be that of the one opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from gpuenv.channels.building.fitting import PLATFORM_ORDER, pick_other_python
from gpuenv.channels.building.listing import ListedRelease
from gpuenv.channels.building.verify import compare_code
from gpuenv.channels.catalog.releases import CodeReading, RawLibrary, Release
from gpuenv.channels.simple_index import ListedFile
from gpuenv.model import CatalogDifference

__all__ = ["Second", "compare_pythons", "library_without_python", "second_wheel"]

# What the names of extension modules say of their Python: `.cpython-311-x86_64-linux-gnu`, `.cp311-win_amd64`
# (sysconfig, EXT_SUFFIX); and the eight digits of the hash that auditwheel and delvewheel put into names.
_PYTHON = re.compile(r"\.(cpython-3\d+t?|cp3\d+t?)(-[\w-]+)?(?=\.)", re.ASCII)
_HASH = re.compile(r"-[0-9a-f]{8}(?=[.-])|-[0-9a-f]{32}(?=\.)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """A wheel to open as a check, and what was read of its release for the Python that the row has."""

    file: ListedFile
    recorded: CodeReading


def second_wheel(releases: Iterable[ListedRelease], rows: Iterable[Release]) -> Second | None:
    """The wheel of another Python of the newest release of `releases` that `rows` have code of; None without one.

    `releases` are sorted, newest first. Linux x86_64 goes before other platforms.
    """
    opened = {row.version: row.code for row in rows if row.code and row.withdrawn is None}
    newest = next((one for one in releases if one.yanked is None and str(one.version) in opened), None)
    if newest is None:
        return None
    code = opened[str(newest.version)]
    for platform in (platform for platform in PLATFORM_ORDER if platform in code):
        file = pick_other_python(newest.files, platform, than=code[platform].wheel_file)
        if file:
            return Second(file=file, recorded=code[platform])
    return None


def compare_pythons(second: Second, read: CodeReading) -> Iterator[CatalogDifference]:
    """In what the wheel of another Python differs from the recorded one: libraries and their units of GPU code.

    Names count without what they say of the Python, and bytes of code do not: they differ from build to build.
    """
    return compare_code(second.file.filename, _comparable(second.recorded), _comparable(read))


def library_without_python(name: str) -> str:
    """The name of a native library without its Python and without the hash of a vendored one.

    >>> library_without_python("_C.cpython-311-x86_64-linux-gnu.so")
    '_C.so'
    """
    return _HASH.sub("", _PYTHON.sub("", name))


def _comparable(code: CodeReading) -> CodeReading:
    return CodeReading(wheel_file="", libraries=tuple(map(_bare, code.libraries)))


def _bare(library: RawLibrary) -> RawLibrary:
    return msgspec.structs.replace(library, name=library_without_python(library.name), size_bytes=0)
