"""What conda packages a prefix really has, read from its `conda-meta`, whoever changed it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.artifacts.listed_files import read_regular
from gpuenv.channels.conda.places import without_secrets
from gpuenv.errors import FormatError, GpuenvError
from gpuenv.model import LockedConda, Request, printable

__all__ = ["PLACEHOLDER_CHANNEL", "CondaPackage", "channel_names", "is_placeholder", "missing_files", "read_conda_meta"]

PLACEHOLDER_CHANNEL = "file:///gpuenv-placeholder"
"""The channel of the record that stands for a Python which is not conda's."""

_MOST_BYTES = 256 << 20
# What a prefix adds to the entry of the repodata.
_OF_PREFIX = {
    *("files", "paths_data", "link", "extracted_package_dir", "package_tarball_full_path", "requested_spec"),
    *("requested_specs", "auth"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPackage:
    """One installed package, its files from the prefix, and the specs that it was asked for with."""

    locked: LockedConda
    files: tuple[str, ...]
    requested: tuple[str, ...] = ()


def read_conda_meta(prefix: Path) -> tuple[tuple[CondaPackage, ...], tuple[str, ...]]:
    """The packages of a prefix by name, and what of `conda-meta` cannot be read."""
    found: dict[str, CondaPackage] = {}
    problems: list[str] = []
    directory = prefix / "conda-meta"
    for place in sorted(directory.glob("*.json")) if directory.is_dir() else ():
        try:
            one = _package(json.loads(read_regular(place, _MOST_BYTES)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, FormatError) as error:
            said = error.message if isinstance(error, FormatError) else f"{type(error).__name__} {error}"
            problems.append(f"`conda-meta/{printable(place.name)}` is no record of a package: {printable(said)}")
            continue
        if one.locked.name in found:
            problems.append(f"`{one.locked.name}` has two records: `conda-meta/{printable(place.name)}` is passed over")
            continue
        found[one.locked.name] = one
    return tuple(found[name] for name in sorted(found)), tuple(problems)


def channel_names(request: Request) -> dict[str, str]:
    """What users call the channels of a request, by address and in their order; none where its words do not say."""
    from gpuenv.channels.conda.opening import open_channels

    try:
        channels = open_channels(request.channels, specs=request.specs)
    except GpuenvError:
        return {}
    return {place.address: place.name for place in channels.places} if channels else {}


def missing_files(prefix: Path, packages: Iterable[CondaPackage]) -> Iterator[str]:
    """A line for each package of which files are gone."""
    for one in packages:
        gone = [path for path in one.files if not os.path.lexists(prefix / path)]
        if gone:
            what = f"{len(gone)} files" if len(gone) > 1 else "a file"
            yield f"`{one.locked.name}` misses {what}, such as `{printable(gone[0])}`"


def is_placeholder(package: LockedConda) -> bool:
    """Whether it is gpuenv's stand-in for a Python that is not conda's."""
    return package.channel == PLACEHOLDER_CHANNEL


def _package(record: Mapping[str, Any]) -> CondaPackage:
    name, version, build = (record[key] for key in ("name", "version", "build"))
    for text in (name, version, build):
        if not isinstance(text, str) or not text or not text.isprintable():
            raise FormatError("it names no package")
    subdir = str(record.get("subdir") or "noarch")
    filename = str(record.get("fn") or f"{name}-{version}-{build}.conda")
    if not filename.endswith(CONDA_ENDINGS):
        # conda gives the name without its ending for what it was given as a file.
        filename += ".tar.bz2" if str(record.get("url")).endswith(".tar.bz2") else ".conda"
    url = without_secrets(str(record.get("url") or ""))
    channel = _channel(record, url, subdir)
    entry = {key: value for key, value in record.items() if key not in _OF_PREFIX}
    asked = record.get("requested_specs") or [record.get("requested_spec")]
    return CondaPackage(
        locked=LockedConda(
            name=name.lower(),
            version=version,
            build=build,
            subdir=subdir,
            filename=filename,
            url=url,
            channel=channel,
            sha256=record.get("sha256") or None,
            md5=record.get("md5") or None,
            size_bytes=record.get("size") or None,
            record={**entry, "fn": filename, "url": url, "channel": channel, "subdir": subdir},
        ),
        files=tuple(str(path) for path in record.get("files") or ()),
        requested=tuple(str(spec) for spec in asked if spec and spec != "None"),
    )


def _channel(record: Mapping[str, Any], url: str, subdir: str) -> str:
    """The address of the channel. The package's own address tells it best: conda writes a channel's name at times."""
    before, found, _ = url.rpartition(f"/{subdir}/")
    if found:
        return before
    return without_secrets(str(record.get("channel") or "")).rstrip("/").removesuffix(f"/{subdir}")
