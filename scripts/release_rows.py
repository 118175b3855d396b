"""One row of `releases/*.jsonl` for one release: where its wheels fit and which requirements matter to a GPU layer."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.message import Message
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from release_index import ListedFile, wheel_of

from gpuenv._net import Client
from gpuenv.artifacts.sdists import read_sdist
from gpuenv.artifacts.wheel_metadata import parse_headers, requirements_of
from gpuenv.artifacts.wheels import read_core_metadata
from gpuenv.errors import UnavailableError
from gpuenv.model import Artifact, ArtifactKind

Row = dict[str, Any]

# What else a release requires is the resolver's business when a plan is made.
MATTERS = re.compile(
    r"nvidia-.+|cuda-.+|triton|pytorch-triton|numpy|jax|jaxlib|jax-.+-(plugin|pjrt)|torch|tensorflow.*"
    r"|keras|tf-keras|llvmlite|numba.*|cupy.*|protobuf|setuptools"
)
# The extra `all` repeats the others.
ALL_EXTRAS = re.compile(r'extra == "all"')
METADATA_PLATFORMS = ("linux-x86_64", "linux-aarch64", "windows-x86_64", "macos-aarch64", "macos-x86_64")
# Where the catalog has wheels for; on others (32 bits, Power) nothing is planned.
PLATFORMS = frozenset({*METADATA_PLATFORMS, "linux-ppc64le", "windows-aarch64"})

Fitting = tuple[Artifact, ListedFile]


def fitting_wheels(files: Iterable[ListedFile]) -> list[Fitting]:
    """The wheels for one of PLATFORMS, without those that are only for musl, PyPy, Python 2 or free-threaded Python."""
    wheels = [(wheel, file) for file in files if file.is_wheel and (wheel := wheel_of(file))]
    return [
        (wheel, file)
        for wheel, file in wheels
        if PLATFORMS.intersection(wheel.platforms)
        and _pythons(wheel) != set()
        and not ("-musllinux_" in file.filename and wheel.glibc is None)
    ]


def is_pure(file: ListedFile) -> bool:
    """Whether it is a wheel for any platform."""
    return file.is_wheel and (wheel := wheel_of(file)) is not None and not wheel.platforms


def _pythons(wheel: Artifact) -> set[str] | None:
    return None if wheel.pythons is None else {python for python in wheel.pythons if python.startswith("3.")}


def platforms_of(files: Iterable[ListedFile]) -> dict[str, Row]:
    """Per platform the Pythons with a wheel, the oldest C library and the size of the largest wheel.

    Wheels less than half as large as the largest are another build (a CPU build for an older C library), so
    `glibc` is that of the others.
    """
    found: dict[str, list[Fitting]] = {}
    for wheel, file in fitting_wheels(files):
        for platform in PLATFORMS.intersection(wheel.platforms):
            found.setdefault(platform, []).append((wheel, file))
    return {platform: _platform_row(found[platform]) for platform in sorted(found)}


def _platform_row(wheels: list[Fitting]) -> Row:
    glibcs = [wheel.glibc for wheel, _ in _full_builds(wheels) if wheel.glibc]
    named = [_pythons(wheel) for wheel, _ in wheels]
    pythons = [python for one in named if one for python in one]
    return {
        "pythons": None if None in named else sorted(set(pythons), key=Version),
        "glibc": str(min(glibcs)) if glibcs else None,
        "size_bytes": max(file.size_bytes for _, file in wheels),
    }


def _full_builds(wheels: list[Fitting]) -> list[Fitting]:
    largest = max(file.size_bytes for _, file in wheels)
    return [(wheel, file) for wheel, file in wheels if file.size_bytes * 2 >= largest]


def pick_wheel(files: Iterable[ListedFile], platform: str) -> ListedFile | None:
    """The wheel to open for `platform`: of the largest build, for Python 3.11 or else the newest Python."""
    fitting = [(wheel, file) for wheel, file in fitting_wheels(files) if platform in wheel.platforms]
    if not fitting:
        return None

    def preference(pair: Fitting) -> tuple[bool, Version, str]:
        pythons = sorted(_pythons(pair[0]) or {"3.11"}, key=Version)
        return "3.11" in pythons, Version(pythons[-1]), pair[1].filename

    return max(_full_builds(fitting), key=preference)[1]


def read_metadata(client: Client, files: list[ListedFile], cache: Path) -> Message:
    """The core metadata of a release, from one wheel (Linux x86_64 where there is one), else from the sdist."""
    source = next((wheel for key in METADATA_PLATFORMS if (wheel := pick_wheel(files, key))), None)
    source = source or next((file for file in files if is_pure(file)), None) or files[0]
    stored = cache / "metadata" / f"{source.filename}.metadata"
    if not stored.is_file():
        text = _fetch_metadata(client, source)
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.write_text(text)
    return parse_headers(stored.read_bytes())


def _fetch_metadata(client: Client, file: ListedFile) -> str:
    """`Requires-Python` and `Requires-Dist` as headers; an sdist's older metadata name only the latter."""
    name = file.filename.partition("-")[0]
    requires_python = file.requires_python
    with client.open(file.url, size_bytes=file.size_bytes or None, name=file.filename) as source:
        if file.is_wheel:
            headers = read_core_metadata(source, Artifact(kind=ArtifactKind.WHEEL, name=name))
            requires_python, requires = headers.get("Requires-Python"), requirements_of(headers)
        else:
            reading = read_sdist(source, Artifact(kind=ArtifactKind.SDIST, name=name))
            if not reading.complete:
                raise UnavailableError(f"`{file.filename}` breaks off", reasons=reading.problems)
            requires = reading.requires
    lines = [f"Requires-Python: {requires_python}"] if requires_python else []
    return "".join(f"{line}\n" for line in [*lines, *(f"Requires-Dist: {one}" for one in requires)])


def requirements_that_matter(metadata: Message) -> list[str]:
    """The requirements whose name matters to a GPU layer, normalised, with their markers and extras."""
    kept = set()
    for line in requirements_of(metadata):
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        requirement.name = str(canonicalize_name(requirement.name))
        if MATTERS.fullmatch(requirement.name) and not ALL_EXTRAS.search(str(requirement.marker or "")):
            kept.add(str(requirement))
    return sorted(kept)


def make_row(name: str, version: Version, files: list[ListedFile], metadata: Message, *, today: str) -> Row:
    """The row of one release, without its GPU code."""
    return {
        "wheel": name,
        "version": str(version),
        "platforms": platforms_of(files),
        "pure": any(is_pure(file) for file in files),
        "sdist_only": not any(file.is_wheel for file in files),
        "requires_python": metadata.get("Requires-Python") or files[0].requires_python,
        "requires": requirements_that_matter(metadata),
        "code": {},
        "read": today,
    }
