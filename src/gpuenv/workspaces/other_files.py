"""Read what a project asks for from the file of another tool."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.errors import RequestError
from gpuenv.model import Machine
from gpuenv.targets.requirement_lines import read_requirements
from gpuenv.targets.words import LockFile, LockKind, RequirementsFile, parse_target
from gpuenv.workspaces.from_conda import read_conda_environment
from gpuenv.workspaces.from_explicit import read_explicit_list
from gpuenv.workspaces.from_pixi import has_pixi, read_pixi
from gpuenv.workspaces.from_pylock import read_pylock
from gpuenv.workspaces.from_pyproject import read_pyproject, read_toml, table_of
from gpuenv.workspaces.from_requirements import notes_of_list, specs_of_list
from gpuenv.workspaces.imported import CondaPart, Imported
from gpuenv.workspaces.manifest import MANIFEST_NAME, read_workspace

__all__ = ["read_request"]

_KNOWN = "requirements.txt, pyproject.toml, environment.yml, pylock.toml, pixi.toml, gpuenv.toml or an explicit list"


def read_request(
    path: Path,
    *,
    extras: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
    machines: Iterable[Machine] = (),
) -> Imported:
    """What the file at `path` asks for, by the name of the file.

    `extras` and `groups` are those of a `pyproject.toml`; `groups` are features or environments for pixi. `machines`
    decide about parts that are for some platforms only. RequestError where there is no such file, or extra, or the
    file is of no kind that is known; FormatError where it breaks its format.
    """
    name = path.name.lower()
    subdirs = tuple(dict.fromkeys(subdir_of(machine.platform) for machine in machines))
    if not path.is_file():
        raise RequestError(f"there is no file `{path}`", hints=("check the path",))
    if name == "pyproject.toml":
        return _read_project(path, extras=extras, groups=groups, subdirs=subdirs)
    if extras or (groups and name != "pixi.toml"):
        raise RequestError(
            f"`{path.name}` has no {'extras' if extras else 'groups'} to choose from",
            hints=("`--extra` and `--group` are for `pyproject.toml`, `--group` for `pixi.toml`",),
        )
    if name == "pixi.toml":
        return read_pixi(read_toml(path), path, groups=groups, subdirs=subdirs)
    if name == MANIFEST_NAME:
        workspace = read_workspace(path)
        request = workspace.request
        part = CondaPart(specs=request.specs, channels=request.channels, only_own=True, is_strict=False)
        return Imported(specs=request.specs, python=request.python, conda=part if request.channels else None)
    return _read_list(path)


def _read_project(
    path: Path, *, extras: tuple[str, ...], groups: tuple[str, ...], subdirs: tuple[str, ...]
) -> Imported:
    document = read_toml(path)
    if not has_pixi(document):
        return read_pyproject(path, extras=extras, groups=groups)
    own = {re.sub(r"[-_.]+", "-", name).lower() for name in table_of(document, "dependency-groups", path)}
    of_project = tuple(one for one in groups if re.sub(r"[-_.]+", "-", one).lower() in own)
    of_pixi = tuple(one for one in groups if one not in of_project)
    project = Imported()
    if document.get("project") or of_project or extras:
        project = read_pyproject(path, extras=extras, groups=of_project)
    pixi = read_pixi(document["tool"]["pixi"], path, groups=of_pixi, subdirs=subdirs)
    return _together(pixi, project)


def _together(first: Imported, second: Imported) -> Imported:
    return Imported(
        specs=tuple(dict.fromkeys((*first.specs, *second.specs))),
        python=first.python or second.python,
        conda=_with_wheels(first.conda, second.specs),
        notes=tuple(dict.fromkeys((*first.notes, *second.notes))),
        requires=first.requires,
    )


def _with_wheels(part: CondaPart | None, specs: tuple[str, ...]) -> CondaPart | None:
    return part and replace(part, wheels=tuple(dict.fromkeys((*part.wheels, *specs))))


def _read_list(path: Path) -> Imported:
    target = parse_target(str(path.absolute()))
    match target:
        case RequirementsFile():
            found = read_requirements(path)
            return Imported(specs=specs_of_list(found), notes=notes_of_list(found))
        case LockFile(kind=LockKind.PYLOCK):
            return read_pylock(path)
        case LockFile(kind=LockKind.CONDA_ENVIRONMENT):
            return read_conda_environment(path)
        case LockFile(kind=LockKind.CONDA_EXPLICIT):
            return read_explicit_list(path)
        case LockFile(kind=kind):
            raise RequestError(
                f"`{path.name}` is a lock ({kind.value}), and no list of what somebody wants",
                hints=(f"name the file that it was made from: {_KNOWN}",),
            )
        case _:
            raise RequestError(f"`{path.name}` is no list of packages that is known", hints=(f"name a {_KNOWN}",))
