"""Write an environment down for other tools."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from gpuenv.channels.pylock import LockedPackage, read_lock
from gpuenv.environments.foreign import hand_added
from gpuenv.environments.state import Environment, load
from gpuenv.environments.variables import variables_of
from gpuenv.model import to_json

__all__ = ["ExportFormat", "export"]


class ExportFormat(StrEnum):
    """The files that an environment can be written as."""

    REQUIREMENTS = "requirements.txt"
    PYLOCK = "pylock.toml"
    CONDA = "environment.yml"
    JSON = "json"


def export(prefix: Path, format: ExportFormat) -> str:  # noqa: A002  (the word that users know it by)
    """The environment at `prefix` as the text of a file; RequestError where there is none.

    What the lock does not hold (added by hand) stands as a comment where the format has comments.
    """
    environment = load(prefix)
    if format is ExportFormat.JSON:
        return to_json(environment.plan) + "\n"
    writers = {
        ExportFormat.REQUIREMENTS: _requirements,
        ExportFormat.PYLOCK: _pylock,
        ExportFormat.CONDA: _conda,
    }
    return "\n".join((*_heading(environment), *writers[format](environment))) + "\n"


def _heading(environment: Environment) -> list[str]:
    plan = environment.plan
    return [
        f"# Environment `{environment.name}`, made by gpuenv {environment.state.gpuenv} for Python {plan.python}.",
        f"# Asked for: {' '.join(plan.request.specs)}",
        *(f"# Added by hand, in no lock: {text}" for text in hand_added(environment)),
    ]


def _requirements(environment: Environment) -> list[str]:
    plan = environment.plan
    packages = read_lock(plan.pylock)
    lines = [f"# Set the environment variable {name}={value}" for name, value in variables_of(plan).items()]
    lines += [f"# Build with the constraint {constraint}" for constraint in plan.build_constraints]
    lines += ["--only-binary :all:", *(f"--no-binary {one.name}" for one in packages if one.only_source)]
    for package in packages:
        hashes = "".join(f" \\\n    --hash={value}" for value in package.hashes)
        lines.append(_requirement(package) + hashes)
    return lines


def _pylock(environment: Environment) -> list[str]:
    """The lock as uv wrote it, but for its comments, with what pylock has no field for in the table of a tool."""
    plan = environment.plan
    body = [line for line in plan.pylock.splitlines() if not line.startswith("#")]
    table = ["", "[tool.gpuenv]", f"python = {_quoted(plan.python)}"]
    if plan.build_constraints:
        table.append(f"build-constraints = [{', '.join(map(_quoted, plan.build_constraints))}]")
    if plan.source_packages:
        table.append(f"source-packages = [{', '.join(map(_quoted, plan.source_packages))}]")
    variables = [f"{name} = {_quoted(value)}" for name, value in variables_of(plan).items()]
    return [*body, *table, *(["", "[tool.gpuenv.variables]", *variables] if variables else [])]


def _conda(environment: Environment) -> list[str]:
    """A file for `conda env create`: Python from conda, all else through pip; conda sets the variables itself."""
    plan = environment.plan
    packages = read_lock(plan.pylock)
    pip = ["--only-binary :all:", *(f"--no-binary {one.name}" for one in packages if one.only_source)]
    pip += [_requirement(package) for package in packages]
    lines = [f"# Build with the constraint {constraint}" for constraint in plan.build_constraints]
    lines += [f"name: {_quoted(environment.name)}", "channels:", "  - conda-forge", "  - nodefaults", "dependencies:"]
    lines += [f"  - python={plan.python}.*", "  - pip"]
    if packages:
        lines += ["  - pip:", *_items(pip, indent=6)]
    variables = variables_of(plan)
    if variables:
        lines += ["variables:", *(f"  {name}: {_quoted(value)}" for name, value in variables.items())]
    return lines


def _requirement(package: LockedPackage) -> str:
    marker = f" ; {package.marker}" if package.marker else ""
    if package.editable:
        return f"-e {package.direct}"
    if package.direct:
        return f"{package.name} @ {package.direct}{marker}"
    return f"{package.name}=={package.version}{marker}"


def _items(texts: Iterable[str], *, indent: int) -> list[str]:
    return [f"{' ' * indent}- {_quoted(text)}" for text in texts]


def _quoted(text: str) -> str:
    """`text` as a string of JSON, which YAML and TOML read as the same string."""
    return to_json(text, indent=0)
