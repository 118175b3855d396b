"""Read the locks that `uv` writes (PEP 751): what is installed, from which file, with which hash."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

from gpuenv.errors import FormatError

if TYPE_CHECKING:
    from packaging.pylock import Package, PackageArchive, PackageSdist, PackageWheel, Pylock

__all__ = ["LockedPackage", "is_without_files", "parse_lock", "read_lock"]

_SOURCES = {"wheels", "sdist", "archive", "vcs", "directory"}
# No directory has such a name.
_NOWHERE = "no file at all\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One package of the lock; `name` is normalized.

    `filename`, `sha256` and `size_bytes` are of the file that it is installed from, the first one listed where there
    are several (uv lists one per package for one platform). `hashes` are `sha256:...` of each such file; a directory
    or repository has none. `only_source` says that installing it means building it. `direct` is the requirement after
    the name for what comes from an address and not from an index (`@ https://...`), `editable` a directory installed
    in place.
    """

    name: str
    version: str | None = None
    marker: str | None = None
    filename: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    hashes: tuple[str, ...] = ()
    only_source: bool = False
    direct: str | None = None
    editable: bool = False


def parse_lock(text: str) -> Pylock:
    """The lock `text` with all that it says; FormatError when it is none.

    uv lists a package without any file where the index has none for the platforms that the package is for. PEP 751
    has no such packages, so they get a source that `is_without_files` knows.
    """
    from packaging.pylock import Pylock, PylockValidationError

    try:
        document = tomllib.loads(text)
        packages = document.get("packages")
        for package in packages if isinstance(packages, list) else ():
            if isinstance(package, dict) and not _SOURCES & package.keys():
                package["directory"] = {"path": _NOWHERE}
        return Pylock.from_dict(document)
    except (tomllib.TOMLDecodeError, PylockValidationError, RecursionError) as error:
        raise FormatError("the lock is not a pylock.toml (PEP 751)", reasons=(str(error),)) from error


def is_without_files(package: Package) -> bool:
    """Whether the lock lists nothing that the package could be installed from."""
    return package.directory is not None and package.directory.path == _NOWHERE


@lru_cache(maxsize=8)
def read_lock(text: str) -> tuple[LockedPackage, ...]:
    """The packages of the lock `text`; FormatError when it is none, or lists a package without files."""
    packages = parse_lock(text).packages
    for package in packages:
        if is_without_files(package):
            raise FormatError(f"the lock lists no file of `{package.name}`")
    return tuple(map(_package, packages))


def _package(package: Package) -> LockedPackage:
    wheels = package.wheels or ()
    others = [file for file in (package.sdist, package.archive) if file]
    files: list[PackageWheel | PackageSdist | PackageArchive] = [*wheels] or [*others]
    first = files[0] if files else None
    where = (getattr(first, "name", None) or unquote(first.url or "") or first.path or "") if first else ""
    return LockedPackage(
        name=str(package.name),
        version=str(package.version) if package.version else None,
        marker=str(package.marker) if package.marker else None,
        filename=where.rpartition("/")[2].partition("#")[0] or None,
        sha256=first.hashes.get("sha256") if first else None,
        size_bytes=first.size if first else None,
        hashes=tuple(f"{kind}:{value}" for file in files for kind, value in sorted(file.hashes.items())),
        only_source=not wheels and package.archive is None,
        direct=_direct(package),
        editable=bool(package.directory and package.directory.editable),
    )


def _direct(package: Package) -> str | None:
    if package.archive:
        return package.archive.url or package.archive.path
    if package.vcs:
        address = package.vcs.url or package.vcs.path
        below = f"#subdirectory={package.vcs.subdirectory}" if package.vcs.subdirectory else ""
        return f"{package.vcs.type}+{address}@{package.vcs.commit_id}{below}"
    return package.directory.path if package.directory else None
