"""From a requirements file to the files that it installs on one machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gpuenv.channels.destinations import Destination
from gpuenv.channels.index import Asking
from gpuenv.errors import GpuenvError, ToolError, UnavailableError
from gpuenv.targets.named import expand_address, expand_requirement
from gpuenv.targets.requirement_lines import RequirementLine, RequirementList, read_project, read_requirements
from gpuenv.targets.resolution import resolve_whole
from gpuenv.targets.wanted import Expansion, WantedFile, kind_of_name

__all__ = ["resolve_list", "resolve_requirements"]


def resolve_requirements(path: Path, destination: Destination, *, offline: bool = False) -> Expansion:
    """The files that a requirements file, or a project's `pyproject.toml`, installs at `destination`.

    Where `uv` finds no set, its words are one problem, and each requirement is then looked up on its own, without what
    it requires. RequestError where a file is missing, FormatError where it is none.
    """
    if path.name == "pyproject.toml":
        return resolve_list(read_project(path), destination, offline=offline)
    found = read_requirements(path)
    return resolve_list(found, destination, path=path if found.is_as_written else None, offline=offline)


def resolve_list(
    found: RequirementList, destination: Destination, *, path: Path | None = None, offline: bool = False
) -> Expansion:
    """The files that a list installs; `path` is the file that `uv` can be given in its place."""
    notes = tuple(found.notes)
    problems = tuple(found.left_out)
    if not found.lines and path is None:
        return Expansion(problems=problems, notes=notes)
    try:
        whole = _whole(found, destination, path, offline=offline)
    except GpuenvError as error:
        if isinstance(error, UnavailableError) and not any(_address_of(line) for line in found.lines):
            return Expansion(problems=(*problems, error), notes=notes)
        alone = _one_by_one(found, destination, found.asking(offline=offline))
        notes += ("each requirement is looked up on its own, without what it requires", *alone.notes)
        return Expansion(files=alone.files, problems=(*problems, error, *alone.problems), notes=notes)
    return replace(whole, problems=(*problems, *whole.problems), notes=(*notes, *whole.notes))


def _whole(found: RequirementList, destination: Destination, path: Path | None, *, offline: bool) -> Expansion:
    try:
        return resolve_whole(found, destination, path, offline=offline)
    except ToolError:
        # What pip reads and uv does not, such as a line that goes on before its marker, was read here.
        if path is None:
            raise
        return resolve_whole(found, destination, offline=offline)


# ---- one by one -------------------------------------------------------------------------------------------------


def _one_by_one(found: RequirementList, destination: Destination, asking: Asking) -> Expansion:
    files: list[WantedFile] = []
    problems: list[GpuenvError] = []
    notes: list[str] = []
    for line in found.lines:
        try:
            one = _of_line(line, destination, asking)
        except UnavailableError as error:
            problems.append(error)
            if not _address_of(line):
                # The index does not answer, and would not for the next line.
                break
        except GpuenvError as error:
            problems.append(error)
        else:
            files += one.files
            problems += one.problems
            notes += one.notes
    return Expansion(files=tuple(files), problems=tuple(problems), notes=tuple(dict.fromkeys(notes)))


def _of_line(line: RequirementLine, destination: Destination, asking: Asking) -> Expansion:
    requirement = line.requirement
    if line.file:
        kind = kind_of_name(line.file.name)
        return Expansion(files=(WantedFile(name=line.file.name, filename=line.file.name, kind=kind, path=line.file),))
    if requirement and requirement.marker and not requirement.marker.evaluate(destination.marker_environment):
        return Expansion()
    address = _address_of(line)
    if address:
        return expand_address(address, name=requirement.name if requirement else None, asking=asking)
    assert requirement is not None
    return expand_requirement(str(requirement), destination, asking=asking, with_extras=False)


def _address_of(line: RequirementLine) -> str | None:
    return line.url or (line.requirement.url if line.requirement else None)
