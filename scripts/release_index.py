"""The files of a project on the Python package index, and what their names say: platform, Pythons, C library.

The index is the one that `pypi-simple` knows. Pages are kept in a cache directory, so a second run asks nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import requests
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version
from pypi_simple import PyPISimple
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

TIMEOUT_S = (20.0, 120.0)
NEWEST_PYTHON = 15
MANYLINUX = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """One file of a project: where it is, how large, its hash, and which Pythons the index says it is for."""

    filename: str
    url: str
    size_bytes: int
    sha256: str
    requires_python: str | None
    version: str
    is_wheel: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Where a wheel fits: one platform key, the Pythons named (None: any), and the oldest C library (Linux)."""

    platform: str
    pythons: tuple[str, ...] | None
    glibc: str | None


def open_client(parallel: int) -> PyPISimple:
    """A client of the index that retries politely and keeps at most `parallel` connections."""
    session = requests.Session()
    retry = Retry(total=6, backoff_factor=1.0, status_forcelist=[429, 500, 502, 503, 504], allowed_methods=["GET"])
    session.mount("https://", HTTPAdapter(max_retries=retry, pool_maxsize=parallel))
    session.headers["Accept-Encoding"] = "identity"
    return PyPISimple(session=session)


def list_files(client: PyPISimple, name: str, cache: Path) -> list[RemoteFile]:
    """Every wheel and sdist of `name` that was not yanked, from the cache where it is there."""
    stored = cache / "pages" / f"{name}.json"
    if not stored.is_file():
        page = client.get_project_page(name, timeout=TIMEOUT_S)
        files = [
            RemoteFile(
                filename=file.filename,
                url=file.url,
                size_bytes=file.size or 0,
                sha256=file.digests.get("sha256", ""),
                requires_python=file.requires_python,
                version=file.version,
                is_wheel=file.package_type == "wheel",
            )
            for file in page.packages
            if file.version and file.package_type in {"wheel", "sdist"} and not file.is_yanked
        ]
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(json.dumps([asdict(file) for file in files], indent=0))
    return [RemoteFile(**row) for row in json.loads(stored.read_text())]


def by_release(files: Iterable[RemoteFile]) -> dict[Version, list[RemoteFile]]:
    """The files grouped by release, newest first; a file whose version means nothing is left out."""
    groups: dict[Version, list[RemoteFile]] = {}
    for file in files:
        try:
            groups.setdefault(Version(file.version), []).append(file)
        except InvalidVersion:
            continue
    return dict(sorted(groups.items(), reverse=True))


def admitted_pythons(requires_python: str | None, *, since: int = 6) -> tuple[str, ...] | None:
    """The Pythons 3.6 to 3.15 that `requires_python` admits, or None when it says nothing."""
    if not requires_python:
        return None
    try:
        specifier = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return None
    # 3.N.99 is asked too, since `>=3.9.1` admits Python 3.9.
    minors = range(since, NEWEST_PYTHON + 1)
    return tuple(f"3.{n}" for n in minors if f"3.{n}.0" in specifier or f"3.{n}.99" in specifier)


def fits_of(file: RemoteFile) -> list[Fit]:
    """Where the wheel `file` fits; empty for one that is only for musl, 32 bits, PyPy or free-threaded Python."""
    try:
        tags = parse_wheel_filename(file.filename)[3]
    except (InvalidWheelFilename, InvalidVersion):
        return []
    found: dict[str, Fit] = {}
    for tag in sorted(tags, key=str):
        platforms, pythons = _platforms(tag.platform), _pythons(tag, file.requires_python)
        if pythons is not None and not pythons:
            continue
        for platform, glibc in platforms:
            known = found.get(platform)
            found[platform] = Fit(
                platform=platform,
                pythons=_union(known.pythons if known else (), pythons),
                glibc=_older(known.glibc if known else None, glibc),
            )
    return list(found.values())


def is_pure(file: RemoteFile) -> bool:
    """Whether the wheel is for any platform."""
    return file.is_wheel and file.filename.endswith("-none-any.whl")


def _platforms(tag: str) -> list[tuple[str, str | None]]:
    linux = re.fullmatch(r"(manylinux\d+|linux|manylinux_(\d+)_(\d+))_(x86_64|aarch64|ppc64le)", tag)
    if linux:
        glibc = f"{linux[2]}.{linux[3]}" if linux[2] else MANYLINUX.get(linux[1])
        return [(f"linux-{linux[4]}", glibc)]
    mac = re.fullmatch(r"macosx_\d+_\d+_(x86_64|arm64|universal2|intel)", tag)
    if mac:
        keys = {"x86_64": ["x86_64"], "intel": ["x86_64"], "arm64": ["aarch64"], "universal2": ["aarch64", "x86_64"]}
        return [(f"macos-{arch}", None) for arch in keys[mac[1]]]
    windows = {"win_amd64": "windows-x86_64", "win_arm64": "windows-aarch64"}
    return [(windows[tag], None)] if tag in windows else []


def _pythons(tag: Tag, requires_python: str | None) -> tuple[str, ...] | None:
    """The Pythons of one tag: None means any, an empty tuple none that counts here."""
    found = re.fullmatch(r"cp3(\d+)", tag.interpreter)
    if found and tag.abi == "abi3":
        every = tuple(f"3.{n}" for n in range(int(found[1]), NEWEST_PYTHON + 1))
        admitted = admitted_pythons(requires_python, since=int(found[1]))
        return every if admitted is None else admitted
    if found and re.fullmatch(rf"cp3{found[1]}m?", tag.abi):
        return (f"3.{found[1]}",)
    if found and tag.abi == "none":
        return (f"3.{found[1]}",)
    if re.fullmatch(r"py3\d*", tag.interpreter) and tag.abi == "none":
        return admitted_pythons(requires_python)
    return ()


def _union(left: tuple[str, ...] | None, right: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if left is None or right is None:
        return None
    return tuple(sorted({*left, *right}, key=Version))


def _older(left: str | None, right: str | None) -> str | None:
    known = [text for text in (left, right) if text]
    return min(known, key=Version) if known else None
