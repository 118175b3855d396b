"""The files of `info/` that every conda package has, for packages that are written here (CEP 34)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["InstalledPath", "metadata_files", "platform_fields"]

_ARCHITECTURES = {"64": "x86_64", "32": "x86"}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledPath:
    """A file that a package installs, as `paths.json` lists it. `placeholder` is the text in it that clients replace by
    the prefix.
    """

    path: str
    sha256: str
    size_bytes: int
    placeholder: str | None = None


def platform_fields(subdir: str) -> dict[str, str | None]:
    """What `index.json` says of the platform: of `linux-64` also `linux` and `x86_64`, of `noarch` neither."""
    system, _, processor = subdir.partition("-")
    return {
        "subdir": subdir,
        "platform": system if processor else None,
        "arch": _ARCHITECTURES.get(processor, processor) or None,
    }


def metadata_files(
    *,
    index: Mapping[str, Any],
    about: Mapping[str, Any],
    paths: Sequence[InstalledPath] = (),
    noarch: Mapping[str, Any] | None = None,
) -> dict[str, bytes]:
    """The files by their names in `info/`. `noarch` is what `link.json` says of a package for any platform."""
    files = {
        "about.json": _json(about),
        "files": "".join(f"{one.path}\n" for one in paths).encode(),
        "index.json": _json(index),
        "paths.json": _json({"paths": [_entry(one) for one in paths], "paths_version": 1}),
    }
    if noarch:
        files["link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
    if prefixed := [one for one in paths if one.placeholder]:
        files["has_prefix"] = "".join(f"{one.placeholder} text {one.path}\n" for one in prefixed).encode()
    return files


def _entry(one: InstalledPath) -> dict[str, Any]:
    entry = {"_path": one.path, "path_type": "hardlink", "sha256": one.sha256, "size_in_bytes": one.size_bytes}
    return entry | ({"file_mode": "text", "prefix_placeholder": one.placeholder} if one.placeholder else {})


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode()
