"""From a name on the index, the name of a file there, or an address, to the files behind it."""

from __future__ import annotations

import re
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_sdist_filename, parse_wheel_filename

from gpuenv.channels.catalog import Project, find_project, releases_of
from gpuenv.channels.catalog.projects import BuildRule
from gpuenv.channels.destinations import Destination
from gpuenv.channels.index import (
    PLAIN_ASKING,
    PYTHONS,
    Asking,
    IndexRelease,
    choose_file,
    find_fitting_release,
    find_release,
)
from gpuenv.channels.index_files import IndexFile, name_in_url
from gpuenv.channels.index_logins import credentials_for, without_credentials
from gpuenv.errors import GpuenvError, NoPlanError, RequestError
from gpuenv.model import ArtifactKind
from gpuenv.targets.requirement_lines import requirements_of_lines
from gpuenv.targets.resolution import resolve_whole
from gpuenv.targets.selection import pick_file
from gpuenv.targets.wanted import Expansion, WantedFile, conda_file, kind_of_name, pinned_file, sha256_in
from gpuenv.versions import CudaVersion

__all__ = ["expand_address", "expand_file_name", "expand_requirement"]

_CUDA_IN_NAME = re.compile(r"cu(?:da)?-?(\d{2})x?$|cuda(\d{2})\dx?$", re.ASCII)
_OF_INTERPRETER = re.compile(r"(?:cp|py|pp)(\d)(\d+)", re.ASCII)
_OLDEST_FIRST = tuple(f"3.{minor}" for minor in range(6, 16))


def expand_address(url: str, *, name: str | None = None, asking: Asking = PLAIN_ASKING) -> Expansion:
    """The file at an address. A hash may stand at its end (`#sha256=…`). RequestError when it names no file."""
    clean = without_credentials(url.partition("#")[0])
    filename = name_in_url(clean)
    if not filename:
        raise RequestError(f"`{clean}` is the address of no file", hints=("name a file: `https://…/NAME.whl`",))
    kind = kind_of_name(filename)
    login = credentials_for(url, indexes=asking.addresses)
    sha256 = sha256_in(url.partition("#")[2])
    if kind is ArtifactKind.CONDA:
        return Expansion(files=(replace(conda_file(clean, sha256=sha256), login=login),))
    known, version = _name_and_version(filename)
    return Expansion(
        files=(
            WantedFile(
                name=name or known or filename,
                version=version,
                filename=filename,
                kind=kind,
                url=clean,
                sha256=sha256,
                login=login,
            ),
        )
    )


def _name_and_version(filename: str) -> tuple[str | None, str | None]:
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except ValueError:
        return None, None
    return str(name), str(version)


def expand_file_name(filename: str, destination: Destination, *, asking: Asking = PLAIN_ASKING) -> Expansion:
    """The file of that name on the index. RequestError when its release is not there, or has no such file."""
    name, version = _name_and_version(filename)
    if name is None or version is None:
        raise RequestError(f"there is no file `{filename}`", hints=("check the path",))
    release = find_release(f"{name}=={version}", pythons=_pythons_of(filename), asking=asking)
    for file in release.files:
        if file.filename.lower() == filename.lower():
            return Expansion(files=(pinned_file(name, version, file, destination),))
    raise RequestError(
        f"`{name}` {version} has no file `{filename}`",
        reasons=tuple(f"it has `{file.filename}`" for file in release.files[:8]),
        hints=(f"name the package to have the right file chosen: `{name}=={version}`",),
    )


def _pythons_of(filename: str) -> tuple[str, ...]:
    """The Pythons to ask for, so that the file is among the answers: its own tag's first."""
    if not filename.endswith(".whl"):
        return PYTHONS
    tags = parse_wheel_filename(filename)[-1]
    found = (_OF_INTERPRETER.fullmatch(tag.interpreter) for tag in tags)
    own = {(int(one[1]), int(one[2])) for one in found if one and one[1] == "3"}
    if not own:
        return (*PYTHONS, *_OLDEST_FIRST)
    return (".".join(map(str, min(own))), *_OLDEST_FIRST)


def expand_requirement(
    requirement: str,
    destination: Destination,
    *,
    cuda: CudaVersion | None = None,
    asking: Asking = PLAIN_ASKING,
    with_extras: bool = True,
) -> Expansion:
    """The file that an installer takes for `requirement`, and with extras those of what the extras bring.

    Where the newest release has no wheel for `destination`, an older one that has is taken, with a note; where there
    is none, the nearest. `cuda` is what the driver serves, by which one of a project's wheels is chosen
    (`cupy`). RequestError for what is not on the index.
    """
    wanted, notes = _in_the_indexs_words(Requirement(requirement), cuda)
    bare = f"{wanted.name}{wanted.specifier}"
    release = find_release(bare, pythons=(destination.python, *PYTHONS), asking=asking)
    file = _file_of(release, bare, destination, asking)
    if file is None:
        raise NoPlanError(f"`{release.name}` {release.version} has no files on the index")
    problems: tuple[GpuenvError, ...] = ()
    files: tuple[WantedFile, ...] = (file,)
    if with_extras and wanted.extras and file.version:
        brought = _brought_by(wanted.extras, file, destination, asking)
        files, problems, notes = (*files, *brought.files), brought.problems, (*notes, *brought.notes)
    return Expansion(files=files, problems=problems, notes=notes)


def _file_of(release: IndexRelease, wanted: str, destination: Destination, asking: Asking) -> WantedFile | None:
    chosen = choose_file(release.files, destination)
    if chosen:
        return pinned_file(release.name, release.version, chosen, destination, asking=asking)
    older = _fitting(wanted, destination, asking)
    chosen = choose_file(older.files, destination) if older else None
    if older and chosen:
        note = f"{older.name} {older.version} is the newest with a wheel for {destination}, not {release.version}"
        return pinned_file(older.name, older.version, chosen, destination, note=note, asking=asking)
    files = _all_files(release, asking)
    return pick_file(release.name, release.version, files, destination, asking=asking)


def _fitting(wanted: str, destination: Destination, asking: Asking) -> IndexRelease | None:
    try:
        return find_fitting_release(wanted, destination, asking=asking)
    except NoPlanError:
        # uv has no name for this platform.
        return None


def _all_files(release: IndexRelease, asking: Asking) -> tuple[IndexFile, ...]:
    """The files for older Pythons too, which a question for a newer one leaves out."""
    try:
        return find_release(f"{release.name}=={release.version}", pythons=_OLDEST_FIRST, asking=asking).files
    except GpuenvError:
        return release.files


def _brought_by(extras: set[str], file: WantedFile, destination: Destination, asking: Asking) -> Expansion:
    """What installing a release with `extras` adds to installing it without."""
    pin = f"{file.name}=={file.version}"
    with_them = f"{file.name}[{','.join(sorted(extras))}]=={file.version}"
    try:
        less, more = (_resolved(text, destination, asking) for text in (pin, with_them))
    except GpuenvError as error:
        return Expansion(problems=(error,))
    known = {(one.name, one.version) for one in less.files}
    added = tuple(one for one in more.files if one.name != file.name and (one.name, one.version) not in known)
    return Expansion(files=added, problems=more.problems, notes=more.notes)


def _resolved(text: str, destination: Destination, asking: Asking) -> Expansion:
    from pathlib import Path

    return resolve_whole(
        requirements_of_lines([*asking.lines, text], base=Path(), name=text), destination, offline=asking.offline
    )


# ---- conda's names ----------------------------------------------------------------------------------------------


def _in_the_indexs_words(wanted: Requirement, cuda: CudaVersion | None) -> tuple[Requirement, tuple[str, ...]]:
    """`pytorch` is `torch` on the index; `cupy` is one of several wheels, of which the newest that the driver serves
    is taken.
    """
    typed = canonicalize_name(wanted.name)
    project = find_project(wanted.name.lower()) or find_project(typed)
    if project is None or not project.listed or any(rule.wheel == typed for rule in project.builds):
        return wanted, ()
    _refuse_without_files(project, wanted.name.lower())
    rules = _distinct([rule for rule in project.builds if rule.gpu] or [*project.builds])
    fitting = [rule for rule in rules if _has_release(rule, wanted)] or rules
    served = [rule for rule in fitting if cuda is None or _cuda_major(rule.wheel) <= cuda.major]
    chosen = (served or fitting)[0].wheel
    others = [rule.wheel for rule in fitting if rule.wheel != chosen]
    note = f"`{wanted.name}` is `{chosen}` on the index" + (f" (others are {', '.join(others)})" if others else "")
    extras = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    return Requirement(f"{chosen}{extras}{wanted.specifier}"), (note,)


def _distinct(rules: list[BuildRule]) -> list[BuildRule]:
    return list({rule.wheel: rule for rule in reversed(rules)}.values())[::-1]


def _has_release(rule: BuildRule, wanted: Requirement) -> bool:
    return any(wanted.specifier.contains(release.version, prereleases=True) for release in releases_of(rule.wheel))


def _cuda_major(wheel: str) -> int:
    found = _CUDA_IN_NAME.search(wheel)
    return int(found[1] or found[2]) if found else 0


def _refuse_without_files(project: Project, name: str) -> None:
    for gone in project.unavailable:
        if gone.name == name:
            raise NoPlanError(f"`{name}` cannot be had as a wheel", reasons=(gone.reason,), hints=gone.hints)
    choosing = {one.name for one in project.metapackages if one.of_cuda or one.version}
    if name in choosing or not project.builds:
        raise RequestError(
            f"`{name}` has no files",
            reasons=("it only chooses among builds of other packages",),
            hints=("name the package itself",),
        )
