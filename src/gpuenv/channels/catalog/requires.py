"""What a release requires, seen from the GPU layer: markers decided for one platform, in conda's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from packaging.specifiers import SpecifierSet

from gpuenv.artifacts.required import Required, marker_holds, parse_requirement
from gpuenv.channels.catalog.releases import Release, releases_of

__all__ = ["conda_version", "required"]


def required(release: Release, platform: str, python: str, extras: Iterable[str] = ()) -> Iterator[Required]:
    """The requirements of a release that hold on `platform` and `python` with `extras`.

    Extras of an exactly pinned requirement (`jax-cuda12-plugin[with-cuda]==0.10.2`) are followed into it.
    """
    wanted = frozenset(extras)
    for text in release.requires:
        requirement = parse_requirement(text)
        if requirement.marker and not marker_holds(requirement.marker, platform, python, wanted):
            continue
        yield requirement
        if requirement.extras and requirement.name != "cuda-toolkit":
            pinned = [row for row in releases_of(requirement.name) if requirement.specifier.contains(row.version)]
            if len(pinned) == 1:
                yield from required(pinned[0], platform, python, requirement.extras)


def conda_version(specifier: SpecifierSet) -> str:
    """A PEP 440 specifier as a conda version spec: `~=3.9.0` becomes `>=3.9.0,3.9.*`; `*` for an empty one."""
    parts: list[str] = []
    for one in specifier:
        version = one.version.partition("+")[0]
        if one.operator == "~=":
            parts += [f">={version}", f"{version.rpartition('.')[0]}.*"]
        elif one.operator in {"==", "==="}:
            parts.append(version if version.endswith("*") else f"=={version}")
        else:
            parts.append(f"{one.operator}{version}")
    return ",".join(sorted(parts)) or "*"
