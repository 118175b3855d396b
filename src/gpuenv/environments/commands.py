"""A plan as commands for people who keep their own tool: `uv`, `pip`, or conda with pip in its environment.

The commands hold every package of the plan with its exact version, so that they bring the very plan and nothing is
resolved again. What is to be said about them is kept apart (`notes`), since zsh takes no comment lines at its prompt.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gpuenv.channels.destinations import destination_of
from gpuenv.channels.index_logins import without_credentials
from gpuenv.channels.pylock import LockedPackage, read_lock
from gpuenv.environments.build import with_lock
from gpuenv.environments.command_shells import Shell, shell_of
from gpuenv.environments.conda_exports import explicit_lines
from gpuenv.environments.lock_markers import packages_of
from gpuenv.environments.variables import variables_of
from gpuenv.errors import RequestError
from gpuenv.model import Plan

__all__ = ["CommandFormat", "Commands", "commands"]

_DIRECTORY = ".venv"
_BUILD_CONSTRAINTS = "gpuenv-build-constraints.txt"
_REQUIREMENTS = "gpuenv-requirements.txt"
_EXPLICIT = "gpuenv-explicit.txt"


class CommandFormat(StrEnum):
    """The tools that a plan can be written for as commands."""

    UV = "uv"
    PIP = "pip"
    CONDA = "conda"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Commands to paste into a shell of the plan's machine, and what to know about them."""

    text: str
    notes: tuple[str, ...] = ()


def commands(
    plan: Plan,
    format: CommandFormat,  # noqa: A002  (the word that users know it by)
    *,
    hashes: bool = False,
    name: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Commands:
    """What to type, in `.venv` of the current directory or a conda environment `name`, to get `plan` with that tool.

    With `hashes` the files themselves are pinned, by a list of requirements that the commands write first. `environ`
    (by default this process's) tells which indexes the plan was made from. RequestError for a plan without a lock.
    """
    plan = with_lock(plan)
    if plan.conda and format is not CommandFormat.CONDA:
        raise RequestError(
            f"`{format.value}` installs wheels only",
            reasons=(f"the plan has {len(plan.conda)} conda packages",),
            hints=("as conda commands: `--format conda`", "or plan with `--only wheels`"),
        )
    environ = os.environ if environ is None else environ
    shell = shell_of(plan.machine.system.os)
    packages = packages_of(plan)
    tool = _Tool(plan=plan, format=format, shell=shell, name=name or "gpuenv", sources=_sources(format, environ))
    wheels = [one for one in packages if not _is_built(one, plan)]
    built = [one for one in packages if _is_built(one, plan)]
    lines = [*tool.new_environment()]
    if wheels:
        lines += tool.install(wheels, hashes=hashes)
    if built:
        lines += tool.build(built, hashes=hashes)
    lines += tool.set_variables()
    return Commands(text="".join(f"{line}\n" for line in lines), notes=tuple(_notes(tool, environ)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """How one of the tools is called, for one plan and one shell."""

    plan: Plan
    format: CommandFormat
    shell: Shell
    name: str
    sources: tuple[str, ...]

    @property
    def is_elsewhere(self) -> bool:
        """Whether the plan is for another computer, where no interpreter is known."""
        return self.plan.interpreter is None

    def new_environment(self) -> Iterator[str]:
        """The command that makes the environment."""
        python = self.plan.python
        if self.format is CommandFormat.UV:
            yield self.shell.line(["uv", "venv", "--python", python, _DIRECTORY])
        elif self.plan.conda:
            yield from self.shell.write_file(_EXPLICIT, explicit_lines(self.plan))
            yield self.shell.line(["conda", "create", "--yes", "--name", self.name, "--file", _EXPLICIT])
        elif self.format is CommandFormat.CONDA:
            yield self.shell.line(["conda", "create", "--yes", "--name", self.name, f"python={python}", "pip"])
        else:
            interpreter = [self.plan.interpreter] if self.plan.interpreter else [f"python{python}"]
            words = ["py", f"-{python}"] if self.shell.is_windows else interpreter
            yield self.shell.line([*words, "-m", "venv", _DIRECTORY])

    def installer(self) -> list[str]:
        """The words that begin an installation into the new environment."""
        if self.format is CommandFormat.UV:
            words = ["uv", "pip", "install", "--python", _DIRECTORY]
            return [*words, *self._platform()]
        if self.format is CommandFormat.CONDA:
            return ["conda", "run", "--no-capture-output", "--name", self.name, "python", "-m", "pip", "install"]
        python = rf"{_DIRECTORY}\Scripts\python.exe" if self.shell.is_windows else f"{_DIRECTORY}/bin/python"
        return [python, "-m", "pip", "install"]

    def install(self, packages: Sequence[LockedPackage], *, hashes: bool) -> Iterator[str]:
        """The commands for wheels."""
        words = [*self.installer(), *self.sources, "--no-deps", "--only-binary=:all:"]
        yield from self._with_packages(words, packages, hashes=hashes, file=_REQUIREMENTS)

    def build(self, packages: Sequence[LockedPackage], *, hashes: bool) -> Iterator[str]:
        """The commands for packages that are built here, after the wheels since pip's constraints are for both."""
        words = [*self.installer(), *self.sources, "--no-deps"]
        words += [f"--no-binary={one.name}" for one in packages if one.only_source]
        variables: dict[str, str] = {}
        constraints = self.plan.build_constraints
        if constraints:
            yield from self.shell.write_file(_BUILD_CONSTRAINTS, constraints)
            if self.format is CommandFormat.UV:
                words.append(f"--build-constraints={_BUILD_CONSTRAINTS}")
            else:
                # Older releases of pip pass the first on to builds, newer ones the second.
                variables = dict.fromkeys(("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT"), _BUILD_CONSTRAINTS)
        yield from self._with_packages(
            words, packages, hashes=hashes, file=f"gpuenv-source-{_REQUIREMENTS[7:]}", variables=variables
        )

    def set_variables(self) -> Iterator[str]:
        """The commands that set what the packages need at run time."""
        variables = variables_of(self.plan)
        if variables and self.format is CommandFormat.CONDA:
            pairs = [f"{name}={value}" for name, value in variables.items()]
            yield self.shell.line(["conda", "env", "config", "vars", "set", "--name", self.name, *pairs])
        else:
            yield from (self.shell.set_variable(name, value) for name, value in variables.items())

    def _platform(self) -> list[str]:
        """For a plan for elsewhere, the platform that its wheels were chosen for."""
        return [f"--python-platform={destination_of(self.plan.machine).uv_platform}"] if self.is_elsewhere else []

    def _with_packages(
        self,
        words: list[str],
        packages: Sequence[LockedPackage],
        *,
        hashes: bool,
        file: str,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[str]:
        variables = dict(variables or {})
        if self.format is CommandFormat.UV and self.is_elsewhere:
            variables |= destination_of(self.plan.machine).uv_variables
        # A directory or repository has no hash, and then no tool takes hashes for the others.
        if hashes and all(one.hashes for one in packages):
            yield from self.shell.write_file(file, (_hashed(one) for one in packages))
            words = [*words, "--require-hashes", "-r", file]
        else:
            words = [*words, *(word for one in packages for word in _pin(one))]
        yield from self.shell.run_with(variables, words)


def _is_built(package: LockedPackage, plan: Plan) -> bool:
    return package.only_source or package.name in plan.source_packages


def _pin(package: LockedPackage) -> list[str]:
    """The words that ask for one package; of an address with the hash of the file, which both tools check."""
    if package.editable:
        return ["-e", str(package.direct)]
    marker = package.marker or ""
    # Single quotes can stand within double ones, which is what Windows has for a word.
    marker = marker if "'" in marker else marker.replace('"', "'")
    return [_requirement(package, with_hash=True) + (f" ; {marker}" if marker else "")]


def _hashed(package: LockedPackage) -> str:
    hashes = "".join(f" --hash={value}" for value in package.hashes)
    return _requirement(package) + (f" ; {package.marker}" if package.marker else "") + hashes


def _requirement(package: LockedPackage, *, with_hash: bool = False) -> str:
    """The package with its version or address, as a requirement (PEP 508)."""
    if not package.direct:
        return f"{package.name}=={package.version}"
    has_hash = with_hash and package.sha256 and "sha256=" not in package.direct
    mark = "&" if "#" in package.direct else "#"
    return f"{package.name} @ {package.direct}" + (f"{mark}sha256={package.sha256}" if has_hash else "")


def _sources(format: CommandFormat, environ: Mapping[str, str]) -> tuple[str, ...]:  # noqa: A002  (as above)
    """The indexes that the user's variables name, as options. What needs a login of uv's stays in uv's variables."""
    default = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL") or ""
    others = [*(environ.get("UV_INDEX") or "").split(), *(environ.get("UV_EXTRA_INDEX_URL") or "").split()]
    places = [one for one in (environ.get("UV_FIND_LINKS") or "").replace(",", " ").split() if one]
    uses_uv = format is CommandFormat.UV
    options = ("--default-index", "--index") if uses_uv else ("--index-url", "--extra-index-url")
    words: list[str] = []
    for option, address in [(options[0], default), *((options[1], one) for one in others)]:
        if address and not (uses_uv and _has_login(address)):
            words.append(f"{option}={_plain_address(address)}")
    words += [f"--find-links={without_credentials(place)}" for place in places]
    return tuple(words)


def _plain_address(index: str) -> str:
    """The address of an index without the name that uv may give it and without a login."""
    name, found, address = index.partition("=")
    return without_credentials(address if found and "://" not in name else index)


def _has_login(index: str) -> bool:
    """Whether an index has a login in its address, or a name by which uv may know one."""
    return "://" not in index.partition("=")[0] or without_credentials(index) != index


def _notes(tool: _Tool, environ: Mapping[str, str]) -> Iterator[str]:
    if tool.is_elsewhere:
        yield f"for {tool.plan.machine.platform} with Python {tool.plan.python}: run it on the machine of the plan"
    if tool.plan.conda and read_lock(tool.plan.pylock) and not any(one.name == "pip" for one in tool.plan.conda):
        yield "the plan has no pip, which conda needs for the wheels: `conda install -n NAME pip` before them"
    if tool.format is CommandFormat.CONDA and not tool.plan.conda:
        yield "conda channels are not read: Python and pip come from conda, the packages as wheels through pip"
    if tool.shell.is_windows:
        yield "the commands are for PowerShell"
    indexes = " ".join(environ.get(name) or "" for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX"))
    if any(map(_has_login, indexes.split())):
        what = "is left to uv's variables" if tool.format is CommandFormat.UV else "must be given to pip"
        yield f"an index has a login or a name, which {what} and does not stand in the command"
    if variables_of(tool.plan) and tool.format is not CommandFormat.CONDA:
        yield "the packages need the variables in each shell that they are used from"
