"""conda's `environment.yml`: specs for a solver, and requirements for pip.

The specs say nothing about files before a solver has been at them, with the channels and the machine. So only the `pip`
part is looked at, and the rest is said not to be.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from gpuenv.channels.catalog import find_project
from gpuenv.channels.destinations import Destination
from gpuenv.errors import FormatError, UnavailableError
from gpuenv.model import GpuSupport
from gpuenv.targets.requirement_lines import requirements_of_lines
from gpuenv.targets.requirements import resolve_list
from gpuenv.targets.wanted import Expansion
from gpuenv.targets.yaml_text import as_list, as_mapping, as_text, read_yaml

__all__ = ["read_environment"]

_SPEC = re.compile(r"\s*(?:[^\s:\[\]]+::)?(?P<name>[\w.-]+?)\s*(?P<rest>(?:[\s=<>!~\[*].*)?)", re.DOTALL | re.ASCII)
_PYTHON = re.compile(r"\s*={0,2}\s*(\d\.\d{1,2})(?:\.[\d*]+|\.\*|\*)?(?:[=\s].*)?", re.ASCII)
_WITHOUT_CODE = {"python", "pip", "setuptools", "wheel"}


def read_environment(
    text: str, path: Path, destination: Destination, *, is_python_asked: bool = True, offline: bool = False
) -> Expansion:
    """The files of the `pip` part, for the Python that the file names unless one was asked for; and a problem that
    names the conda specs, those on packages that are known to use a GPU first.
    """
    document = as_mapping(read_yaml(text, where=str(path)), f"`{path}`")
    if "dependencies" not in document:
        raise FormatError(f"`{path}` is not an environment.yml", reasons=("it has no `dependencies`",))
    specs: list[str] = []
    lines: list[str] = []
    for index, entry in enumerate(as_list(document["dependencies"], f"`dependencies` in `{path}`")):
        where = f"`dependencies[{index}]` in `{path}`"
        if isinstance(entry, dict):
            pip = as_list(as_mapping(entry, where).get("pip"), f"{where}: `pip`")
            lines += [as_text(line, f"{where}: `pip`") for line in pip]
        else:
            specs.append(as_text(entry, where))
    named = {found["name"].lower(): found["rest"] for spec in specs if (found := _SPEC.fullmatch(spec))}
    python = _PYTHON.fullmatch(named.get("python", ""))
    if python and not is_python_asked:
        destination = replace(destination, python=python[1])
    problem = _not_looked_at([spec for spec in specs if spec.strip()], path)
    problems = (problem,) if problem else ()
    if not lines:
        return Expansion(problems=problems)
    listed = requirements_of_lines(lines, base=path.parent, name=f"`pip` in {path}")
    pip_part = resolve_list(listed, destination, offline=offline)
    return replace(pip_part, problems=(*problems, *pip_part.problems))


def _not_looked_at(specs: list[str], path: Path) -> UnavailableError | None:
    names = {spec: found["name"].lower() for spec in specs if (found := _SPEC.fullmatch(spec))}
    others = [spec for spec in specs if names.get(spec) not in _WITHOUT_CODE]
    if not others:
        return None
    using = [spec for spec in others if _uses_gpu(names.get(spec, ""))]
    hints: tuple[str, ...] = (
        f"lock it and check the lock: `conda-lock -f {path.name}`, or `pixi init --import {path.name}`",
    )
    if using:
        hints += (f"for the wheels of the same project: `gpuenv check {names[using[0]]}`",)
    return UnavailableError(
        f"the conda packages of `{path}` are not looked at",
        reasons=(
            "which build a spec means is only known when conda has chosen one",
            *((f"known to use a GPU: {', '.join(using)}",) if using else ()),
            f"asked for: {', '.join(others[:20])}" + (f" and {len(others) - 20} more" if len(others) > 20 else ""),
        ),
        hints=hints,
    )


def _uses_gpu(name: str) -> bool:
    project = find_project(name)
    return project is not None and project.gpu_support is not GpuSupport.NONE
