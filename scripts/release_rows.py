"""One row of `releases.json` for one release: where its wheels fit and which requirements matter to a GPU layer."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from pypi_simple import PyPISimple
from release_index import Fit, RemoteFile, fits_of, is_pure
from wheel_ranges import RemoteWheel, read_sdist_metadata

Row = dict[str, Any]

# What else a release requires is the resolver's business when a plan is made.
MATTERS = re.compile(
    r"nvidia-.+|cuda-.+|triton|pytorch-triton|numpy|jax|jaxlib|jax-.+-(plugin|pjrt)|torch|tensorflow.*"
    r"|keras|tf-keras|llvmlite|numba.*|cupy.*|protobuf|setuptools"
)
# The extra `all` repeats the others.
ALL_EXTRAS = re.compile(r'extra == "all"')
METADATA_PLATFORMS = ("linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64", "macos-x86_64")


def platforms_of(files: list[RemoteFile]) -> dict[str, Row]:
    """Per platform the Pythons with a wheel, the oldest C library and the size of the largest wheel.

    Wheels less than half as large as the largest are another build (a CPU build for an older C library), so
    `glibc` is that of the others.
    """
    found: dict[str, list[tuple[Fit, RemoteFile]]] = {}
    for file in files:
        for fit in fits_of(file) if file.is_wheel else []:
            found.setdefault(fit.platform, []).append((fit, file))
    return {platform: _platform_row(found[platform]) for platform in sorted(found)}


def _platform_row(fits: list[tuple[Fit, RemoteFile]]) -> Row:
    largest = max(file.size_bytes for _, file in fits)
    glibcs = {fit.glibc for fit, file in fits if fit.glibc and file.size_bytes * 2 >= largest}
    pythons: set[str] | None = set()
    for fit, _ in fits:
        pythons = None if pythons is None or fit.pythons is None else pythons | set(fit.pythons)
    return {
        "pythons": None if pythons is None else sorted(pythons, key=Version),
        "glibc": min(glibcs, key=Version) if glibcs else None,
        "size_bytes": largest,
    }


def pick_wheel(files: list[RemoteFile], platform: str) -> RemoteFile | None:
    """The wheel to open for `platform`: of the largest build, for Python 3.11 or else the newest Python."""
    fitting = [(fit, file) for file in files if file.is_wheel for fit in fits_of(file) if fit.platform == platform]
    if not fitting:
        return None
    largest = max(file.size_bytes for _, file in fitting)
    full = [(fit, file) for fit, file in fitting if file.size_bytes * 2 >= largest]

    def preference(pair: tuple[Fit, RemoteFile]) -> tuple[bool, Version, str]:
        pythons = pair[0].pythons
        return pythons is None or "3.11" in pythons, Version((pythons or ("3.11",))[-1]), pair[1].filename

    return max(full, key=preference)[1]


def read_metadata(client: PyPISimple, files: list[RemoteFile], cache: Path) -> str:
    """The core metadata of a release, from one wheel (Linux x86_64 where there is one), else from the sdist."""
    source = next((wheel for key in METADATA_PLATFORMS if (wheel := pick_wheel(files, key))), None)
    source = source or next((file for file in files if is_pure(file)), None) or files[0]
    stored = cache / "metadata" / f"{source.filename}.metadata"
    if not stored.is_file():
        if source.is_wheel:
            text = RemoteWheel.open(client.s, source).metadata()
        else:
            text = read_sdist_metadata(client.s, source)
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(text)
    return stored.read_text()


def requirements_of(metadata: str) -> list[str]:
    """The requirements whose name matters to a GPU layer, normalised, with their markers and extras."""
    kept = set()
    for line in HeaderParser().parsestr(metadata).get_all("Requires-Dist", []):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        requirement.name = str(canonicalize_name(requirement.name))
        if MATTERS.fullmatch(requirement.name) and not ALL_EXTRAS.search(str(requirement.marker or "")):
            kept.add(str(requirement))
    return sorted(kept)


def make_row(name: str, version: Version, files: list[RemoteFile], metadata: str, *, today: str) -> Row:
    """The row of one release, without its GPU code."""
    headers = HeaderParser().parsestr(metadata)
    return {
        "wheel": name,
        "version": str(version),
        "platforms": platforms_of(files),
        "pure": any(is_pure(file) for file in files),
        "sdist_only": not any(file.is_wheel for file in files),
        "requires_python": headers.get("Requires-Python") or files[0].requires_python,
        "requires": requirements_of(metadata),
        "code": {},
        "read": today,
    }
