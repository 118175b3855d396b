"""The releases of a project on its index page, those that the catalog lists, newest first."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from packaging.version import Version

from gpuenv.artifacts.wheel_names import admitted_pythons, artifact_of_wheel_name, narrow_pythons
from gpuenv.channels.building.wanted import admits
from gpuenv.channels.catalog.projects import Wheel
from gpuenv.channels.simple_index import ListedFile, ProjectPage, version_in_name
from gpuenv.errors import FormatError
from gpuenv.model import Artifact

__all__ = ["ListedRelease", "list_releases", "release_of", "wheel_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRelease:
    """One release: its wheels and source distributions that were not yanked.

    Where all of them were, `files` are these and `yanked` is the reason (perhaps empty).
    """

    version: Version
    files: tuple[ListedFile, ...]
    yanked: str | None = None


def list_releases(page: ProjectPage, wheel: Wheel) -> list[ListedRelease]:
    """The releases that the catalog lists, newest first; yanked ones among them."""
    groups: dict[Version, list[ListedFile]] = {}
    for file in page.files:
        if file.is_wheel or file.is_sdist:
            version = version_in_name(file.filename, wheel.name)
            if version is not None and admits(wheel, version):
                groups.setdefault(version, []).append(file)
    releases = [_release(version, groups[version]) for version in sorted(groups, reverse=True)]
    if not wheel.last_only:
        return releases
    return [release for release in releases if release.yanked is None][:1]


def release_of(page: ProjectPage, name: str, version: Version) -> ListedRelease | None:
    """One release of a project, whether the catalog lists it or not; None where the page has no file of it."""
    files = [file for file in page.files if file.is_wheel or file.is_sdist]
    own = [file for file in files if version_in_name(file.filename, name) == version]
    return _release(version, own) if own else None


def _release(version: Version, files: list[ListedFile]) -> ListedRelease:
    # The order of a page means nothing.
    ordered = sorted(files, key=lambda file: file.filename)
    kept = tuple(file for file in ordered if file.yanked is None)
    if kept:
        return ListedRelease(version=version, files=kept)
    reason = next((file.yanked for file in ordered if file.yanked), "")
    return ListedRelease(version=version, files=tuple(ordered), yanked=reason)


def wheel_of(file: ListedFile) -> Artifact | None:
    """The wheel that `file` is, with the Pythons that the index says it is for; None for what is no wheel."""
    if not file.is_wheel:
        return None
    try:
        wheel = artifact_of_wheel_name(file.filename)
    except FormatError:
        return None
    return msgspec.structs.replace(wheel, pythons=narrow_pythons(wheel.pythons, admitted_pythons(file.requires_python)))
