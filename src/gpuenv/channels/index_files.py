"""The files of one release, and which of them an installer takes for a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from gpuenv.channels.destinations import Destination
from gpuenv.errors import FormatError
from gpuenv.versions import LibcVersion

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel
    from packaging.tags import Tag

__all__ = ["IndexFile", "choose_file", "files_of", "name_in_url", "nearest_file"]

_NEWEST_GLIBC = LibcVersion("2.99")
_NEWEST_MACOS = "99.0"
_PYTHON_MINORS = range(6, 20)
_OTHER_PLATFORMS = (
    *("linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64", "macos-x86_64", "windows-aarch64"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFile:
    """One file of a release: at `url` (without credentials), or at `path` where the index is a directory."""

    filename: str
    url: str | None = None
    path: Path | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    is_wheel: bool = True


def files_of(package: Package, base: Path) -> tuple[IndexFile, ...]:
    """The files that a pylock lists for a package, wheels first; `base` is the directory that its paths start from.

    A repository or a directory of sources is no file, and gives none.
    """
    found: list[PackageWheel | PackageSdist | PackageArchive] = [*(package.wheels or ())]
    found += [one for one in (package.sdist, package.archive) if one]
    return tuple(_file(one, base) for one in found)


def _file(one: PackageWheel | PackageSdist | PackageArchive, base: Path) -> IndexFile:
    name = getattr(one, "name", None) or (name_in_url(one.url) if one.url else _last(one.path or ""))
    local = _split(one.url).scheme == "file" if one.url else True
    path = _local_path(one.url) if one.url and local else base / (one.path or "") if local else None
    return IndexFile(
        filename=name,
        url=None if local else one.url,
        path=path,
        sha256=one.hashes.get("sha256"),
        size_bytes=one.size,
        is_wheel=name.endswith(".whl"),
    )


def name_in_url(url: str) -> str:
    """The file name at the end of an address; FormatError for what is none."""
    return unquote(_split(url).path.rpartition("/")[2])


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise FormatError(f"`{url[:200]}` is not an address", reasons=(str(error),)) from error


def _last(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _local_path(url: str) -> Path:
    from urllib.request import url2pathname

    return Path(url2pathname(_split(url).path))


def choose_file(files: Iterable[IndexFile], destination: Destination) -> IndexFile | None:
    """The wheel that an installer takes there: the best tag wins, then the highest build number. None where none fits.

    Wheels whose names are malformed are passed over, as installers do.
    """
    ranks = {tag: rank for rank, tag in enumerate(destination.tags())}
    best: tuple[int, tuple[int, str]] | None = None
    chosen: IndexFile | None = None
    for file in files:
        build, tags = _build_and_tags(file)
        rank = min((ranks[tag] for tag in tags if tag in ranks), default=None)
        if rank is not None and (best is None or (-rank, build) > best):
            best, chosen = (-rank, build), file
    return chosen


def nearest_file(files: Iterable[IndexFile], destination: Destination) -> tuple[IndexFile, Destination] | None:
    """Where no wheel fits: one that comes near, and where that one would be installed. None where there are no wheels.

    A newer C library first, then the nearest other Python, then another platform, Linux before others.
    """
    wheels = [file for file in files if file.is_wheel]
    for other in _neighbours(destination):
        file = choose_file(wheels, other)
        if file:
            return file, other
    return None


def _neighbours(destination: Destination) -> Iterator[Destination]:
    here = replace(destination, glibc=_NEWEST_GLIBC, macos=_NEWEST_MACOS)
    minor = int(destination.python.partition(".")[2])
    pythons = [f"3.{one}" for one in sorted(_PYTHON_MINORS, key=lambda one: (abs(one - minor), -one))]
    for python in pythons:
        yield replace(here, python=python)
    for platform in _OTHER_PLATFORMS:
        for python in pythons:
            yield Destination(platform=platform, python=python, glibc=_NEWEST_GLIBC, macos=_NEWEST_MACOS)


def _build_and_tags(file: IndexFile) -> tuple[tuple[int, str], frozenset[Tag]]:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    if not file.is_wheel:
        return (0, ""), frozenset()
    try:
        _, _, build, tags = parse_wheel_filename(file.filename)
    except InvalidWheelFilename:
        return (0, ""), frozenset()
    return build or (0, ""), tags
