"""The files of a project on the Python package index, and what their names say: platforms, Pythons, C library.

The index is the one that `pypi-simple` knows, since `uv` lists no more than one release. Pages are kept in a cache
directory, so a second run asks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from packaging.version import InvalidVersion, Version
from pypi_simple import ACCEPT_JSON_ONLY, ProjectPage, PyPISimple

from gpuenv._net import Client
from gpuenv.artifacts.wheel_names import admitted_pythons, artifact_of_wheel_name, narrow_pythons
from gpuenv.errors import FormatError
from gpuenv.model import Artifact

LARGEST_PAGE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFile:
    """One file of a project: where it is, how large, its hash, and which Pythons the index says it is for."""

    filename: str
    url: str
    size_bytes: int
    sha256: str
    requires_python: str | None
    version: str
    is_wheel: bool


def list_files(client: Client, name: str, cache: Path) -> list[ListedFile]:
    """Every wheel and sdist of `name` that was not yanked, from the cache where it is there.

    RequestError for a name that the index does not know.
    """
    stored = cache / "pages" / f"{name}.json"
    if not stored.is_file():
        files = [
            ListedFile(
                filename=file.filename,
                url=file.url,
                size_bytes=file.size or 0,
                sha256=file.digests.get("sha256", ""),
                requires_python=file.requires_python,
                version=file.version,
                is_wheel=file.package_type == "wheel",
            )
            for file in _page(client, name).packages
            if file.version and file.package_type in {"wheel", "sdist"} and not file.is_yanked
        ]
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps([asdict(file) for file in files], indent=0))
    return [ListedFile(**row) for row in json.loads(stored.read_text())]


def _page(client: Client, name: str) -> ProjectPage:
    with PyPISimple() as index:
        address = index.get_project_url(name)
    page = client.get_page(address, limit=LARGEST_PAGE_BYTES, accept=ACCEPT_JSON_ONLY)
    return ProjectPage.from_json_data(json.loads(page.content), base_url=page.location)


def by_release(files: Iterable[ListedFile]) -> dict[Version, list[ListedFile]]:
    """The files grouped by release, newest first; a file whose version means nothing is left out."""
    groups: dict[Version, list[ListedFile]] = {}
    for file in files:
        try:
            groups.setdefault(Version(file.version), []).append(file)
        except InvalidVersion:
            continue
    return dict(sorted(groups.items(), reverse=True))


def wheel_of(file: ListedFile) -> Artifact | None:
    """The wheel that `file` is, with the Pythons that the index says it is for; None for what is no wheel."""
    try:
        wheel = artifact_of_wheel_name(file.filename)
    except FormatError:
        return None
    return msgspec.structs.replace(wheel, pythons=narrow_pythons(wheel.pythons, admitted_pythons(file.requires_python)))
