"""A project's `pyproject.toml`: its dependencies, extras and dependency groups (PEP 621, PEP 735)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpuenv.errors import FormatError, RequestError
from gpuenv.targets.requirement_lines import RequirementList, read_project, requirements_of_lines
from gpuenv.targets.text_files import read_text_file
from gpuenv.workspaces.from_requirements import notes_of_list, specs_of_list
from gpuenv.workspaces.imported import Imported
from gpuenv.workspaces.manifest import python_and_specs

__all__ = ["read_pyproject", "read_toml", "table_of"]


def read_pyproject(path: Path, *, extras: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> Imported:
    """What a project requires, with some of its extras and groups. A file without `[project]` has its groups only.

    RequestError for an extra or group that it does not have, UnavailableError where only its build tells what it
    requires, FormatError for a file that breaks its format.
    """
    document = read_toml(path)
    project = table_of(document, "project", path)
    found = _project(path, project, extras) if project or extras or not groups else RequirementList()
    listed = requirements_of_lines(_of_groups(document, groups, path), base=path.parent, name=f"groups in {path}")
    asked = project.get("requires-python")
    version, further = python_and_specs(asked if isinstance(asked, str) else None)
    own = canonicalize_name(str(project.get("name", "")))
    specs = (*specs_of_list(found), *specs_of_list(listed))
    return Imported(
        specs=(*(spec for spec in dict.fromkeys(specs) if _name(spec) != own), *further),
        python=version,
        notes=tuple(dict.fromkeys((*notes_of_list(found), *notes_of_list(listed)))),
    )


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file; FormatError with the line where it is none."""
    try:
        return tomllib.loads(read_text_file(path))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise FormatError(f"`{path}` is not TOML", reasons=(str(error),)) from error


def table_of(document: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """A table of a document, empty where it is not there; FormatError where something else is."""
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise FormatError(f"`{key}` in `{path}` is not a table")
    return value


def _project(path: Path, project: Mapping[str, Any], extras: tuple[str, ...]) -> RequirementList:
    """Its requirements, with the extras that its extras name of the project itself (`all = ["me[one,two]"]`)."""
    there = {str(canonicalize_name(name)): name for name in table_of(project, "optional-dependencies", path)}
    own = canonicalize_name(str(project.get("name", "")))
    wanted = [_known(extra, there, "extra", path) for extra in extras]
    while True:
        found = read_project(path, wanted)
        further = {
            there[str(canonicalize_name(extra))]
            for line in found.lines
            if line.requirement and canonicalize_name(line.requirement.name) == own
            for extra in line.requirement.extras
            if str(canonicalize_name(extra)) in there
        }
        if further <= set(wanted):
            return found
        wanted += sorted(further - set(wanted))


def _of_groups(document: Mapping[str, Any], groups: Iterable[str], path: Path) -> list[str]:
    from packaging.dependency_groups import resolve_dependency_groups

    table = table_of(document, "dependency-groups", path)
    there = {str(canonicalize_name(name)): name for name in table}
    wanted = [_known(group, there, "group", path) for group in groups]
    if not wanted:
        return []
    try:
        return list(resolve_dependency_groups(table, *wanted))
    except (LookupError, ValueError, TypeError, ExceptionGroup) as error:
        reasons = [str(one) for one in getattr(error, "exceptions", (error,))]
        raise FormatError(f"`dependency-groups` in `{path}` cannot be read", reasons=tuple(reasons)) from error


def _known(asked: str, there: Mapping[str, str], kind: str, path: Path) -> str:
    name = there.get(str(canonicalize_name(asked)))
    if name is None:
        has = f"it has {', '.join(there.values())}" if there else f"it has no {kind}s"
        raise RequestError(f"`{path}` has no {kind} `{asked}`", reasons=(has,))
    return name


def _name(spec: str) -> str:
    return str(canonicalize_name(Requirement(spec).name))
