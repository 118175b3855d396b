"""What is installed in an environment, read from the metadata of its distributions; nothing is imported."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gpuenv.channels.pylock import LockedPackage, read_lock
from gpuenv.environments import layout
from gpuenv.environments.state import load
from gpuenv.model import InstalledPackage, Plan, PlannedPackage, Verdict

__all__ = ["Distribution", "InstalledPackage", "list_packages", "read_distributions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution. `key` is its normalized name, `url` where it came from when not from an index."""

    name: str
    key: str
    version: str
    url: str | None = None
    editable: bool = False


def list_packages(prefix: Path) -> tuple[InstalledPackage, ...]:
    """What is installed at `prefix`, by name; RequestError where there is no environment."""
    environment = load(prefix)
    planned = _planned_by_distribution(environment.plan)
    locked = {package.name: package for package in read_lock(environment.plan.pylock)}
    return tuple(
        _describe(distribution, planned.get(distribution.key), locked.get(distribution.key))
        for distribution in read_distributions(environment.prefix)
    )


def read_distributions(prefix: Path) -> tuple[Distribution, ...]:
    """The distributions in the library of `prefix`, by name. Remains without metadata are passed over."""
    library = layout.library_of(prefix)
    found = (_read(distribution) for distribution in metadata.distributions(path=[str(library)])) if library else ()
    by_key: dict[str, Distribution] = {}
    for distribution in found:
        if distribution:
            by_key.setdefault(distribution.key, distribution)
    return tuple(by_key[key] for key in sorted(by_key))


def _read(distribution: metadata.Distribution) -> Distribution | None:
    from packaging.utils import canonicalize_name

    # Asked first, since later versions of Python raise where the file is missing.
    if not (distribution.read_text("METADATA") or distribution.read_text("PKG-INFO")):
        return None
    fields = distribution.metadata
    if "Name" not in fields or "Version" not in fields:
        return None
    name, version = fields["Name"], fields["Version"]
    if not name or not version:
        return None
    url, editable = _origin(distribution.read_text("direct_url.json"))
    return Distribution(name=name, key=canonicalize_name(name), version=version, url=url, editable=editable)


def _origin(text: str | None) -> tuple[str | None, bool]:
    """Address and editable, from direct_url.json (Python packaging: recording the direct URL origin)."""
    if not text:
        return None, False
    try:
        origin = json.loads(text)
        return str(origin["url"]), bool(origin.get("dir_info", {}).get("editable", False))
    except (ValueError, KeyError, TypeError, AttributeError):
        return "an address that cannot be read", False


def _planned_by_distribution(plan: Plan) -> dict[str, PlannedPackage]:
    """Which planned package each distribution belongs to; one of its own name comes first."""
    from packaging.requirements import InvalidRequirement, Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, PlannedPackage] = {}
    for package in plan.packages:
        for text in package.requirements:
            try:
                key = canonicalize_name(Requirement(text).name)
            except InvalidRequirement:
                continue
            if key not in found or canonicalize_name(package.name) == key:
                found[key] = package
    return found


def _describe(
    distribution: Distribution, planned: PlannedPackage | None, locked: LockedPackage | None
) -> InstalledPackage:
    differs = locked is not None and locked.version is not None and locked.version != distribution.version
    source = planned.source if planned else "lock"
    return InstalledPackage(
        name=distribution.name,
        version=distribution.version,
        package=planned.name if planned else None,
        build=planned.build if planned else None,
        source=source if locked else "added",
        gpu=bool(planned and planned.gpu),
        gpu_support=planned.gpu_support if planned else None,
        # Another version than the planned one was never judged.
        verdict=(Verdict.UNKNOWN if differs or not locked else planned.verdict) if planned else None,
        planned=locked.version if differs and locked else None,
        url=distribution.url,
        editable=distribution.editable,
    )
