"""What the name and the tags of a wheel say: platforms, Pythons, C library.

Sources: the binary distribution format and the platform compatibility tags of the Python Packaging User Guide (PEP 425,
427, 513, 571, 599, 600, 656).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gpuenv.errors import FormatError
from gpuenv.model import Artifact, ArtifactKind
from gpuenv.versions import LibcVersion

if TYPE_CHECKING:
    from packaging.tags import Tag

__all__ = ["NEWEST_PYTHON_MINOR", "admitted_pythons", "artifact_of_wheel_name", "fit_of_tags", "narrow_pythons"]

NEWEST_PYTHON_MINOR = 15
_OLDEST_PYTHON_MINOR = 6
_LONGEST_NAME = 255
_LEGACY = {"manylinux1": "2.5", "manylinux2010": "2.12", "manylinux2014": "2.17"}
_LINUX = re.compile(
    r"(?:(manylinux(?:1|2010|2014))|manylinux_(\d{1,2})_(\d{1,3})|musllinux_\d+_\d+|linux)_(\w+)", re.ASCII
)
_MACOS = re.compile(r"macosx_\d+_\d+_(\w+)", re.ASCII)
_MACOS_PROCESSORS = {
    "arm64": ("aarch64",),
    "intel": ("i686", "x86_64"),
    "universal": ("i686", "ppc", "x86_64"),
    "universal2": ("aarch64", "x86_64"),
}
_WINDOWS = {"win32": "i686", "win_amd64": "x86_64", "win_arm64": "aarch64", "win_arm32": "armv7l"}

Pythons = tuple[str, ...] | None


def artifact_of_wheel_name(filename: str) -> Artifact:
    """The wheel that a file of this name is; its Pythons are those of the tags. FormatError for a bad name."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename
    from packaging.version import InvalidVersion

    # Tags are written in sets and come as all combinations of them, which a long name makes countless.
    if len(filename) > _LONGEST_NAME:
        raise FormatError(f"`{filename[:40]}...` is not the name of a wheel", reasons=("it is too long",))
    try:
        name, version, _, tags = parse_wheel_filename(filename)
    except (InvalidWheelFilename, InvalidVersion) as error:
        raise FormatError(f"`{filename}` is not the name of a wheel", reasons=(str(error)[:300],)) from error
    platforms, pythons, glibc = fit_of_tags(tags)
    return Artifact(
        kind=ArtifactKind.WHEEL,
        name=name,
        version=str(version),
        filename=filename,
        platforms=platforms,
        pythons=pythons,
        glibc=glibc,
    )


def fit_of_tags(tags: Iterable[Tag]) -> tuple[tuple[str, ...], Pythons, LibcVersion | None]:
    """Platforms (empty: any), Pythons (None: any Python 3) and the oldest C library that one of the tags promises.

    Tags for PyPy and for Pythons without the global lock add no Python: plans are made for CPython.
    """
    platforms: set[str] = set()
    pythons: set[str] = set()
    libraries: list[LibcVersion] = []
    any_platform = any_python = False
    for tag in tags:
        named = _pythons(tag.interpreter, tag.abi)
        any_python |= named is None
        pythons.update(named or ())
        any_platform |= tag.platform == "any"
        for platform, glibc in _platforms(tag.platform):
            platforms.add(platform)
            libraries += [glibc] if glibc else []
    return (
        () if any_platform else tuple(sorted(platforms)),
        None if any_python else tuple(sorted(pythons, key=_number)),
        None if any_platform else min(libraries, default=None),
    )


def admitted_pythons(requires_python: str | None) -> Pythons:
    """The Pythons 3.6 to 3.15 that `Requires-Python` admits; None where it says nothing that can be understood."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    if not requires_python:
        return None
    try:
        wanted = SpecifierSet(requires_python)
    except InvalidSpecifier:
        return None
    # 3.N.99 is asked for too, since `>=3.9.1` admits Python 3.9.
    minors = range(_OLDEST_PYTHON_MINOR, NEWEST_PYTHON_MINOR + 1)
    return tuple(f"3.{minor}" for minor in minors if f"3.{minor}.0" in wanted or f"3.{minor}.99" in wanted)


def narrow_pythons(tags: Pythons, required: Pythons) -> Pythons:
    """The Pythons of the tags that the requirement admits; None on a side means that it admits any."""
    if tags is None or required is None:
        return required if tags is None else tags
    known = {f"3.{minor}" for minor in range(_OLDEST_PYTHON_MINOR, NEWEST_PYTHON_MINOR + 1)}
    return tuple(python for python in tags if python in required or python not in known)


def _pythons(interpreter: str, abi: str) -> Pythons:
    if found := re.fullmatch(r"py3(\d{0,2})", interpreter, re.ASCII):
        return _since(int(found[1])) if found[1] and int(found[1]) > _OLDEST_PYTHON_MINOR else None
    found = re.fullmatch(r"cp([23])(\d{1,2})", interpreter, re.ASCII)
    if not found:
        return ("2.7",) if interpreter in {"py2", "py27"} else ()
    if abi == "abi3":
        return _since(int(found[2]))
    # `m`, `u` and `d` mark builds of older CPythons; `t` one without the global lock, which is another platform.
    same = re.fullmatch(rf"(?:cp{found[1]}{found[2]}[dmu]*|none)", abi)
    return (f"{found[1]}.{found[2]}",) if same else ()


def _since(minor: int) -> tuple[str, ...]:
    return tuple(f"3.{later}" for later in range(minor, NEWEST_PYTHON_MINOR + 1))


def _platforms(tag: str) -> list[tuple[str, LibcVersion | None]]:
    """A tag that is not known stays as it is, since an empty list would mean any platform."""
    if tag == "any":
        return []
    if found := _LINUX.fullmatch(tag):
        version = _LEGACY[found[1]] if found[1] else f"{int(found[2])}.{int(found[3])}" if found[2] else None
        return [(f"linux-{found[4]}", LibcVersion.parse(version) if version else None)]
    if found := _MACOS.fullmatch(tag):
        return [(f"macos-{processor}", None) for processor in _MACOS_PROCESSORS.get(found[1], (found[1],))]
    return [(f"windows-{_WINDOWS[tag]}" if tag in _WINDOWS else tag, None)]


def _number(python: str) -> tuple[int, ...]:
    return tuple(int(part) for part in python.split("."))
