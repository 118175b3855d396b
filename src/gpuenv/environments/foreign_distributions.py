"""What is installed in an environment that gpuenv did not make: versions, who installed it, what it requires."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import InvalidVersion, Version

from gpuenv.artifacts.conda_prefix import read_record
from gpuenv.artifacts.distributions import Distribution
from gpuenv.artifacts.site_packages import find_python_distributions, read_requirements
from gpuenv.channels.pylock import LockedPackage
from gpuenv.environments.foreign_places import ForeignEnvironment
from gpuenv.errors import FormatError

__all__ = ["Installed", "files_of", "is_same", "read_installed"]

_METADATA_FILES = ("/METADATA", "/PKG-INFO")


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """One distribution. `conda` is the conda package that it belongs to, `url` where it came from if not an index."""

    name: str
    key: str
    version: str
    metadata: Path
    library: Path
    conda: str | None = None
    url: str | None = None
    editable: bool = False
    requires: tuple[str, ...] = field(default=(), compare=False)


def read_installed(environment: ForeignEnvironment) -> dict[str, Installed]:
    """The distributions by their normalized name. What has no version is passed over."""
    owners = _conda_owners(environment.prefix) if environment.is_conda else {}
    found: dict[str, Installed] = {}
    for library in environment.libraries:
        if not library.is_dir():
            continue
        for one in find_python_distributions(library, environment.prefix)[0]:
            if one.version is None:
                continue
            url, editable = _origin(one.metadata)
            found.setdefault(
                one.key,
                Installed(
                    name=one.name,
                    key=one.key,
                    version=one.version,
                    metadata=one.metadata,
                    library=library,
                    conda=owners.get(_below(one.metadata, environment.prefix)) or _conda_installer(one),
                    url=url or (one.source.as_uri() if one.source else None),
                    editable=editable or one.source is not None,
                    requires=read_requirements(one),
                ),
            )
    return dict(sorted(found.items()))


def is_same(there: Installed, package: LockedPackage) -> bool:
    """Whether what is installed is what is locked; of what comes from an address, whether it is the same address."""
    if package.version is None or (package.direct and there.url):
        return there.url is not None and package.direct is not None and _without_mark(there.url) in package.direct
    try:
        return Version(there.version) == Version(package.version)
    except InvalidVersion:
        return there.version == package.version


def _without_mark(url: str) -> str:
    return url.partition("#")[0]


def files_of(installed: Installed) -> Iterator[Path]:
    """The files that a distribution lists as its own (RECORD), with those of its metadata and compiled sources."""
    try:
        with (installed.metadata / "RECORD").open(encoding="utf-8", errors="replace", newline="") as file:
            rows = [row[0] for row in csv.reader(file) if row and "\0" not in row[0]]
    except (OSError, csv.Error):
        rows = []
    for row in rows:
        path = Path(os.path.normpath(installed.library / row))
        yield path
        if path.suffix == ".py":
            yield from sorted((path.parent / "__pycache__").glob(f"{_escaped(path.stem)}.*.pyc"))
    if installed.metadata.is_dir():
        yield from (path for path in sorted(installed.metadata.rglob("*")) if not path.is_dir())
    else:
        yield installed.metadata


def _escaped(stem: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in stem)


def _below(path: Path, prefix: Path) -> str:
    """The path from the prefix as it is compared, without regard to case as some file systems have it."""
    return path.relative_to(prefix).as_posix().casefold() if path.is_relative_to(prefix) else ""


def _conda_owners(prefix: Path) -> dict[str, str]:
    """The conda package that each metadata directory or file belongs to, by its path from the prefix."""
    owners: dict[str, str] = {}
    for place in sorted((prefix / "conda-meta").glob("*.json")):
        try:
            record = read_record(place)
        except (OSError, FormatError):
            continue
        for file in record.files:
            if file.endswith(_METADATA_FILES):
                owners[file.rpartition("/")[0].casefold()] = record.name
            elif file.endswith(".egg-info"):
                owners[file.casefold()] = record.name
    return owners


def _conda_installer(one: Distribution) -> str | None:
    """The distribution's own name where its metadata say that conda installed it, though no record of conda's does."""
    try:
        text = (one.metadata / "INSTALLER").read_text("utf-8", "replace")
    except OSError:
        return None
    return one.name if text.strip() == "conda" else None


def _origin(metadata: Path) -> tuple[str | None, bool]:
    """Address and editable, from direct_url.json (Python packaging: recording the direct URL origin)."""
    try:
        origin = json.loads((metadata / "direct_url.json").read_text("utf-8"))
        return str(origin["url"]), bool(origin.get("dir_info", {}).get("editable", False))
    except (FileNotFoundError, NotADirectoryError):
        return None, False
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "an address that cannot be read", False
