"""Python distributions that conda packages bring, so that `uv` neither replaces them nor picks what they do not suit.

`uv` is shown a wheel without requirements in place of each: what it depends on, conda has decided already.
"""

from __future__ import annotations

import re
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gpuenv.channels.catalog import find_project

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["provided_distributions", "without_packages", "write_stand_ins"]

_PYTHON = frozenset({"python", "python_abi"})
_TABLE = "[[packages]]"
_FIRST_WORD = re.compile(r"[\w.-]+", re.ASCII)


def provided_distributions(records: Iterable[RepoDataRecord]) -> dict[str, str]:
    """The distributions that conda packages bring, by normalized name, with their versions.

    A conda package of Python code is taken to bring the distribution of its own name, or for a project of the catalog
    those of its wheels.
    """
    found: dict[str, str] = {}
    for record in records:
        version = str(record.version)
        if not _is_python_code(record) or not _is_version(version):
            continue
        name = record.name.normalized
        project = find_project(name)
        wheels = [rule.wheel for rule in project.builds] if project and project.name == name else []
        found |= {canonicalize_name(one): version for one in (name, *wheels)}
    return found


def _is_python_code(record: RepoDataRecord) -> bool:
    if record.name.normalized in _PYTHON:
        return False
    words = (_FIRST_WORD.match(text) for text in record.depends)
    return any(word and word[0] in _PYTHON for word in words)


def _is_version(text: str) -> bool:
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def write_stand_ins(directory: Path, provided: Mapping[str, str]) -> Iterator[str]:
    """Writes a wheel for each of `provided` into `directory`, and gives the constraints by which `uv` takes it."""
    for name, version in provided.items():
        plain = str(Version(version))
        stem = f"{name.replace('-', '_')}-{plain}"
        path = directory / f"{stem}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: {plain}\n"
            archive.writestr(f"{stem}.dist-info/METADATA", about)
            wheel = "Wheel-Version: 1.0\nGenerator: gpuenv\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{stem}.dist-info/WHEEL", wheel)
            archive.writestr(f"{stem}.dist-info/RECORD", "")
        yield f"{name} @ {path.as_uri()}"


def without_packages(pylock: str, names: Iterable[str]) -> str:
    """The text of a pylock that `uv` wrote, without some of its packages."""
    left_out = frozenset(names)
    if not left_out:
        return pylock
    head, *packages = re.split(rf"(?m)^(?={re.escape(_TABLE)}$)", pylock)
    kept = [text for text in packages if _name_of(text) not in left_out]
    if kept:
        return "".join((head, *kept)).rstrip() + "\n"
    # PEP 751 asks for the list of packages, even where it is empty.
    return f"{head.rstrip()}\npackages = []\n"


def _name_of(package: str) -> str:
    return canonicalize_name(tomllib.loads(package)["packages"][0]["name"])
