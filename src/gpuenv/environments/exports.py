"""Write a plan or an environment down for other tools."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from gpuenv.channels.pylock import LockedPackage, parse_lock, read_lock
from gpuenv.environments.build import with_lock
from gpuenv.environments.foreign import hand_added
from gpuenv.environments.state import load
from gpuenv.environments.variables import variables_of
from gpuenv.errors import RequestError
from gpuenv.model import Plan, Silence, to_json

__all__ = ["ExportFormat", "export", "export_plan"]


class ExportFormat(StrEnum):
    """The files that an environment or a lock can be written as."""

    REQUIREMENTS = "requirements.txt"
    PYLOCK = "pylock.toml"
    CONDA = "environment.yml"
    CONDA_HISTORY = "environment.yml-from-history"
    CONDA_EXPLICIT = "conda-explicit"
    PIXI = "pixi.lock"
    DOCKERFILE = "dockerfile"
    JSON = "json"


_WITH_CONDA = {
    *(ExportFormat.JSON, ExportFormat.CONDA, ExportFormat.CONDA_HISTORY, ExportFormat.CONDA_EXPLICIT),
    ExportFormat.PIXI,
}


def export(prefix: Path, format: ExportFormat) -> str:  # noqa: A002  (the word that users know it by)
    """The environment at `prefix` as the text of a file; RequestError where there is none.

    What the lock does not hold (added by hand) stands as a comment where the format has comments.
    """
    environment = load(prefix)
    if environment.plan.conda:
        from gpuenv.environments.conda_truth import as_it_is

        environment = as_it_is(environment, report=Silence())
    made_by = f"made by gpuenv {environment.state.gpuenv} for Python {environment.plan.python}"
    heading = (
        f"Environment `{environment.name}`, {made_by}.",
        f"Asked for: {' '.join(environment.plan.request.specs)}",
        *(f"Added by hand, in no lock: {text}" for text in hand_added(environment)),
    )
    return export_plan(environment.plan, format, name=environment.name, heading=heading)


def export_plan(
    plan: Plan,
    format: ExportFormat,  # noqa: A002  (the word that users know it by)
    *,
    name: str,
    heading: Iterable[str] = (),
) -> str:
    """A plan as the text of a file. `name` is the environment's, `heading` stands above as comments.

    RequestError where the format cannot hold the plan.
    """
    if format is ExportFormat.JSON:
        return f"{to_json(plan)}\n"
    plan = with_lock(plan)
    if plan.conda and format not in _WITH_CONDA:
        raise _for_wheels_only(plan, format)
    writers: dict[ExportFormat, Callable[[Plan, str], Iterable[str]]] = {
        ExportFormat.REQUIREMENTS: _requirements,
        ExportFormat.PYLOCK: _pylock,
        ExportFormat.CONDA: _conda,
        ExportFormat.CONDA_HISTORY: _conda_history,
        ExportFormat.PIXI: _pixi,
        ExportFormat.CONDA_EXPLICIT: _conda_explicit,
        ExportFormat.DOCKERFILE: _dockerfile,
    }
    # This must stay the first line, where Docker looks for it.
    syntax = ["# syntax=docker/dockerfile:1"] if format is ExportFormat.DOCKERFILE else []
    comments = [f"# {' '.join(line.split())}" for line in heading]
    return "\n".join((*syntax, *comments, *writers[format](plan, name))) + "\n"


def _requirements(plan: Plan, _name: str) -> Iterator[str]:
    for name, value in variables_of(plan).items():
        yield f"# Set the environment variable {name}={value}"
    for constraint in plan.build_constraints:
        yield f"# Build with the constraint {constraint}"
    yield from _hashed(plan)


def _hashed(plan: Plan) -> Iterator[str]:
    packages = read_lock(plan.pylock)
    yield "--only-binary :all:"
    yield from (f"--no-binary {one.name}" for one in packages if one.only_source)
    addresses = _addresses_elsewhere(plan)
    for package in packages:
        hashes = "".join(f" \\\n    --hash={value}" for value in package.hashes)
        yield _requirement(package, addresses) + hashes


def _pylock(plan: Plan, _name: str) -> list[str]:
    """The lock as uv wrote it, but for its comments, with what pylock has no field for in the table of a tool."""
    body = [line for line in plan.pylock.splitlines() if not line.startswith("#")]
    table = ["", "[tool.gpuenv]", f"python = {_quoted(plan.python)}"]
    if plan.build_constraints:
        table.append(f"build-constraints = [{', '.join(map(_quoted, plan.build_constraints))}]")
    if plan.source_packages:
        table.append(f"source-packages = [{', '.join(map(_quoted, plan.source_packages))}]")
    variables = [f"{name} = {_quoted(value)}" for name, value in variables_of(plan).items()]
    return [*body, *table, *(["", "[tool.gpuenv.variables]", *variables] if variables else [])]


def _for_wheels_only(plan: Plan, format: ExportFormat) -> RequestError:  # noqa: A002  (as above)
    return RequestError(
        f"`{format.value}` can hold wheels only",
        reasons=(f"the plan has {len(plan.conda)} conda packages",),
        hints=("for conda: `--format environment.yml` or `--format conda-explicit`", "for pixi: `--format pixi.lock`"),
    )


def _pixi(plan: Plan, _name: str) -> list[str]:
    from gpuenv.environments.conda_exports import pixi_lock

    if not plan.conda:
        raise RequestError(
            "a pixi.lock without conda packages has no Python",
            reasons=("the plan is made of wheels alone",),
            hints=("name a channel that has Python, with `-c`", "or `--format pylock.toml`"),
        )
    return pixi_lock(plan).splitlines()


def _conda_history(plan: Plan, name: str) -> list[str]:
    """What was asked for alone, to be solved again."""
    from gpuenv.environments.conda_build import asked_of_conda
    from gpuenv.environments.conda_exports import channels_of, history_dependencies
    from gpuenv.plans.specs import spec_name

    asked = history_dependencies(plan)
    names = asked_of_conda(plan).keys()
    wheels = [spec for spec in plan.request.specs if not plan.conda or spec_name(spec) not in names]
    lines = [f"name: {_quoted(name)}", "channels:", *_items(channels_of(plan) or ["conda-forge"], indent=2)]
    lines += ["  - nodefaults", "dependencies:", *_items(asked, indent=2)]
    if not plan.has_conda_python and (wheels or not asked):
        lines.append(f"  - python={plan.python}.*")
    if wheels:
        lines += ["  - pip", "  - pip:", *_items(wheels, indent=6)]
    return lines


def _conda(plan: Plan, name: str) -> list[str]:
    """A file for `conda env create`: conda packages pinned, all else through pip; conda sets the variables itself."""
    packages = read_lock(plan.pylock)
    pip = ["--only-binary :all:", *(f"--no-binary {one.name}" for one in packages if one.only_source)]
    addresses = _addresses_elsewhere(plan)
    pip += [_requirement(package, addresses) for package in packages]
    lines = [f"# Build with the constraint {constraint}" for constraint in plan.build_constraints]
    lines += [f"name: {_quoted(name)}", "channels:", *_conda_channels(plan), "  - nodefaults", "dependencies:"]
    lines += _conda_packages(plan, with_pip=bool(packages))
    if packages:
        lines += ["  - pip:", *_items(pip, indent=6)]
    variables = variables_of(plan)
    if variables:
        lines += ["variables:", *(f"  {key}: {_quoted(value)}" for key, value in variables.items())]
    return lines


def _conda_channels(plan: Plan) -> list[str]:
    if not plan.conda:
        return ["  - conda-forge"]
    from gpuenv.environments.conda_exports import channels_of

    needs_more = not plan.has_conda_python and read_lock(plan.pylock)
    return _items(dict.fromkeys([*channels_of(plan), *(["conda-forge"] if needs_more else [])]), indent=2)


def _conda_packages(plan: Plan, *, with_pip: bool) -> list[str]:
    if not plan.conda:
        return [f"  - python={plan.python}.*", "  - pip"]
    from gpuenv.environments.conda_exports import pinned_dependencies

    python = [] if plan.has_conda_python or not with_pip else [f"python={plan.python}.*"]
    pip = ["pip"] if with_pip and not any(one.name == "pip" for one in plan.conda) else []
    return _items([*pinned_dependencies(plan), *python, *pip], indent=2)


def _conda_explicit(plan: Plan, _name: str) -> Iterable[str]:
    if plan.conda:
        from gpuenv.environments.conda_exports import explicit_lines

        return [*explicit_lines(plan)]
    wheels = len(plan.wheels) or len(read_lock(plan.pylock))
    raise RequestError(
        "a conda explicit file can hold conda packages only",
        reasons=(f"the plan has {wheels} wheels and no conda package, since packages come as wheels",),
        hints=(
            "for conda: `--format environment.yml`, which installs the wheels through pip",
            "with the hash of every file: `--format requirements.txt` or `--format pylock.toml`",
        ),
    )


def _dockerfile(plan: Plan, _name: str) -> Iterator[str]:
    from gpuenv.environments.dockerfile import dockerfile_lines

    yield from dockerfile_lines(plan, [line for text in _hashed(plan) for line in text.splitlines()])


def _addresses_elsewhere(plan: Plan) -> dict[str, str]:
    """Where the files are that only a project's own index has, by package, since other tools ask the usual one."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    own = {
        canonicalize_name(Requirement(text).name)
        for package in plan.packages
        if "/" in package.source
        for text in package.requirements
    }
    found: dict[str, str] = {}
    for package in parse_lock(plan.pylock).packages:
        is_elsewhere = package.name in own or (package.version is not None and package.version.local is not None)
        wheel = next(iter(package.wheels or ()), None)
        if is_elsewhere and wheel and wheel.url and wheel.url.startswith(("http://", "https://")):
            found[str(package.name)] = wheel.url
    return found


def _requirement(package: LockedPackage, addresses: dict[str, str]) -> str:
    marker = f" ; {package.marker}" if package.marker else ""
    if package.editable:
        return f"-e {package.direct}"
    if package.direct:
        return f"{package.name} @ {package.direct}{marker}"
    if package.name in addresses:
        return f"{package.name} @ {addresses[package.name]}{marker}"
    return f"{package.name}=={package.version}{marker}"


def _items(texts: Iterable[str], *, indent: int) -> list[str]:
    return [f"{' ' * indent}- {_quoted(text)}" for text in texts]


def _quoted(text: str) -> str:
    """`text` as a string of JSON, which YAML and TOML read as the same string."""
    return to_json(text, indent=0)
