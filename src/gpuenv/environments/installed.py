"""What is installed in an environment, read from the metadata of its packages; nothing is imported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from gpuenv.channels.pylock import LockedPackage, read_lock
from gpuenv.environments import layout
from gpuenv.environments.state import Environment, load
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
    found = [
        _describe(distribution, planned.get(distribution.key), locked.get(distribution.key))
        for distribution in read_distributions(environment.prefix)
    ]
    if environment.plan.conda or (environment.prefix / "conda-meta").is_dir():
        found = sorted([*found, *_conda_packages(environment)], key=lambda one: one.name.lower())
    return tuple(found)


def read_distributions(prefix: Path) -> tuple[Distribution, ...]:
    """The distributions in the library of `prefix`, by name, but for those that conda packages brought.

    Remains without metadata are passed over.
    """
    library = layout.library_of(prefix)
    of_conda: frozenset[str] = frozenset()
    if (prefix / "conda-meta").is_dir():
        from gpuenv.artifacts.conda_prefix import find_conda_packages

        of_conda = find_conda_packages(prefix)[1]
    found = (
        _read(distribution)
        for distribution in (metadata.distributions(path=[str(library)]) if library else ())
        if not of_conda or _place_of(distribution, prefix) not in of_conda
    )
    by_key: dict[str, Distribution] = {}
    for distribution in found:
        if distribution:
            by_key.setdefault(distribution.key, distribution)
    return tuple(by_key[key] for key in sorted(by_key))


def _place_of(distribution: metadata.Distribution, prefix: Path) -> str:
    """Where the metadata are, from the prefix and as `find_conda_packages` compares it."""
    place = getattr(distribution, "_path", None)
    return place.relative_to(prefix).as_posix().casefold() if isinstance(place, Path) else ""


def _conda_packages(environment: Environment) -> Iterator[InstalledPackage]:
    """The conda packages that are there. What another tool put there or changed was never judged."""
    from gpuenv.environments.conda_meta import channel_names, is_placeholder, read_conda_meta

    planned = {package.name: package for package in environment.plan.packages}
    locked = {package.name: package for package in environment.plan.conda}
    names = channel_names(environment.plan.request)
    for package in read_conda_meta(environment.prefix)[0]:
        one = package.locked
        if is_placeholder(one):
            continue
        own, of_plan = planned.get(one.name), locked.get(one.name)
        is_same = of_plan is not None and (of_plan.version, of_plan.build) == (one.version, one.build)
        verdict = (own.verdict if is_same else Verdict.UNKNOWN) if own else None
        yield InstalledPackage(
            name=one.name,
            version=one.version,
            package=own.name if own else None,
            build=one.build,
            source=names.get(one.channel.rstrip("/"), one.channel.rstrip("/")),
            gpu=bool(own and own.gpu),
            gpu_support=own.gpu_support if own else None,
            verdict=verdict,
            planned=None if is_same or of_plan is None else f"{of_plan.version} {of_plan.build}",
        )


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
