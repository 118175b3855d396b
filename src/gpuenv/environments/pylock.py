"""Read the lock that `uv` wrote (PEP 751), as far as an environment needs to know what is in it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import Any

from gpuenv.errors import FormatError

__all__ = ["LockedPackage", "read_lock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One package of the lock; `name` is normalized.

    `hashes` are `sha256:...` of each file it may be installed from; a directory or repository has none. `only_source`
    says that installing it means building it. `direct` is the requirement after the name for
    what comes from an address and not from an index (`@ https://...`), `editable` a directory installed in place.
    """

    name: str
    version: str | None = None
    marker: str | None = None
    hashes: tuple[str, ...] = ()
    only_source: bool = False
    direct: str | None = None
    editable: bool = False


def read_lock(text: str) -> tuple[LockedPackage, ...]:
    """The packages of the lock `text`; FormatError when it is none."""
    try:
        packages = tomllib.loads(text).get("packages", [])
        return tuple(_package(entry) for entry in packages)
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"the plan's lock is not a pylock.toml: {error}") from error


def _package(entry: dict[str, Any]) -> LockedPackage:
    from packaging.utils import canonicalize_name

    wheels, sdist = entry.get("wheels", []), entry.get("sdist")
    files = [*wheels, *([sdist] if sdist and not wheels else []), *([entry["archive"]] if "archive" in entry else [])]
    return LockedPackage(
        name=canonicalize_name(entry["name"]),
        version=entry.get("version"),
        marker=entry.get("marker"),
        hashes=tuple(f"{kind}:{value}" for file in files for kind, value in sorted(file.get("hashes", {}).items())),
        only_source=not wheels and not entry.get("archive"),
        direct=_direct(entry),
        editable=bool(entry.get("directory", {}).get("editable")),
    )


def _direct(entry: dict[str, Any]) -> str | None:
    if archive := entry.get("archive"):
        return str(archive.get("url") or archive.get("path"))
    if vcs := entry.get("vcs"):
        address = vcs.get("url") or vcs.get("path")
        below = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        return f"{vcs['type']}+{address}@{vcs['commit-id']}{below}"
    if directory := entry.get("directory"):
        return str(directory["path"])
    return None
