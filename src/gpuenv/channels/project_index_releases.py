"""From the page of a wheel on a project's own index to its releases: version, CUDA line, and the file to install.

Builds for another CUDA have the version's local part (PEP 440) for their name: `torch-2.9.1+cu126-…`, percent-encoded
in addresses. Other local parts (`rocm6.4`, `xpu`, `cpu.cxx11.abi`) are builds for other vendors or other C++ ABIs, and
are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from gpuenv.artifacts.cuda_lines import CudaLine, line_in_name
from gpuenv.artifacts.wheel_names import admitted_pythons, artifact_of_wheel_name, narrow_pythons
from gpuenv.channels.simple_index import ListedFile
from gpuenv.channels.variants import variant_name
from gpuenv.errors import FormatError
from gpuenv.model import Artifact
from gpuenv.versions import LibcVersion

__all__ = ["CPU", "IndexedRelease", "releases_on", "worth_reading"]

CPU = "cpu"
"""The line of builds without CUDA."""

_LINE = re.compile(r"cu\d{2,3}", re.ASCII)
_MOST_MINORS = 12
_MOST_ASKED_FOR = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedRelease:
    """One release of a wheel on one line of an index, for one platform and Python, and the file to install.

    `version` is the public one, `line` `cpu` or `cu126`, empty on an index without lines whose files do not tell one;
    `label` is that of a variant wheel, of which a release may have several.
    """

    wheel: str
    version: Version
    line: str
    cuda: CudaLine | None
    file: ListedFile
    pythons: tuple[str, ...] | None
    glibc: LibcVersion | None
    label: str = ""


def releases_on(
    files: Iterable[ListedFile], *, wheel: str, line: str, platform: str, python: str
) -> tuple[IndexedRelease, ...]:
    """The releases that a page of `line` lists for `platform` and `python`, newest first; of each the file that runs
    with the oldest C library.

    Prereleases, files that were taken back, and files without a sha256, which could not be held to a lock, are left
    out.
    """
    listed = [file for file in files if _may_fit(file.filename, platform, python)]
    # Where builds of a line are marked as such, one without a mark is some other build (PyTorch's for aarch64 are).
    marked = bool(line) and any(f"+{line}-" in file.filename for file in listed)
    found: dict[tuple[Version, str, str], IndexedRelease] = {}
    for file in listed:
        if marked and f"+{line}-" not in file.filename and variant_name(file.filename) is None:
            continue
        release = _release(file, wheel=wheel, line=line, platform=platform, python=python)
        if release is None:
            continue
        key = release.version, release.line, release.label
        if key not in found or _age(release) < _age(found[key]):
            found[key] = release
    return tuple(sorted(found.values(), key=lambda one: (one.version, one.line, one.label), reverse=True))


def _may_fit(filename: str, platform: str, python: str) -> bool:
    """Whether it is worth the time to take a name apart: a page has thousands, of which a few dozen fit."""
    tags = filename.rpartition("-")[2] if filename.endswith(".whl") else ""
    if variant_name(filename):
        tags = filename
    system = {"linux": "linux", "windows": "win", "macos": "macosx"}.get(platform.partition("-")[0], "")
    return (system in tags or tags == "any.whl") and any(
        word in filename for word in (f"cp{python.replace('.', '')}-", "-abi3-", "py3", f"cp{python.replace('.', '')}.")
    )


def _release(file: ListedFile, *, wheel: str, line: str, platform: str, python: str) -> IndexedRelease | None:
    if not file.is_wheel or file.yanked is not None or file.sha256 is None:
        return None
    variant = variant_name(file.filename)
    try:
        artifact = artifact_of_wheel_name(variant.plain if variant else file.filename)
    except FormatError:
        return None
    pythons = narrow_pythons(artifact.pythons, admitted_pythons(file.requires_python))
    if artifact.name != canonicalize_name(wheel) or not _fits(artifact, platform, pythons, python):
        return None
    version = Version(artifact.version or "0")
    own_line = _line_of(version, line)
    if version.is_prerelease or own_line is None:
        return None
    cuda = None if own_line == CPU else line_in_name(own_line or wheel)
    return IndexedRelease(
        wheel=wheel,
        version=Version(version.public),
        line=own_line,
        cuda=cuda,
        file=file,
        pythons=pythons,
        glibc=artifact.glibc,
        label=variant.label if variant else "",
    )


def _fits(artifact: Artifact, platform: str, pythons: tuple[str, ...] | None, python: str) -> bool:
    return (not artifact.platforms or platform in artifact.platforms) and (pythons is None or python in pythons)


def _line_of(version: Version, line: str) -> str | None:
    """The line that the local part tells, else that of the page; None where it is no line, or not that of the page."""
    if version.local is None:
        return line
    if version.local != CPU and not _LINE.fullmatch(version.local):
        return None
    return version.local if line in {"", version.local} else None


def _age(release: IndexedRelease) -> tuple[bool, tuple[int, ...]]:
    return release.glibc is None, release.glibc.numbers if release.glibc else ()


def worth_reading(releases: Iterable[IndexedRelease], wanted: str = "") -> Iterator[IndexedRelease]:
    """Those of the releases of one page that a plan may take: the last patch of the newest minor releases, and the
    newest that satisfy `wanted` (a PEP 440 specifier); newest first.
    """
    try:
        asked = SpecifierSet(wanted) if wanted else None
    except InvalidSpecifier:
        asked = None
    listed = list(releases)
    versions = sorted({one.version for one in listed}, reverse=True)
    last_patches: dict[tuple[int, ...], Version] = {}
    for version in versions:
        last_patches.setdefault(version.release[:2], version)
    chosen = set(list(last_patches.values())[:_MOST_MINORS])
    chosen.update([one for one in versions if asked is not None and asked.contains(one)][:_MOST_ASKED_FOR])
    yield from (one for one in listed if one.version in chosen)
