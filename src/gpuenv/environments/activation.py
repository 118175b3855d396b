"""Run programs inside an environment."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuenv import _process
from gpuenv.environments import layout
from gpuenv.environments.conda_activation import conda_environ, conda_paths, is_conda_prefix, through_scripts
from gpuenv.environments.state import Environment, load
from gpuenv.environments.variables import variables_of
from gpuenv.errors import RequestError, UnavailableError

__all__ = ["activated", "load_usable", "outside", "run_in"]

# Another Python's home, and what says that a conda environment is active: neither is true inside.
_LEFT_BEHIND = {
    *("PYTHONHOME", "CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER", "CONDA_SHLVL"),
    "GPUENV_SHELL_CONDA",
}


def run_in(prefix: Path, command: Sequence[str]) -> int:
    """Become `command`, found and run in the environment at `prefix`; its status where a process cannot be replaced.

    RequestError when there is no such program, UnavailableError when the environment's Python is gone.
    """
    if not command:
        raise RequestError("no command to run", hints=("give one: `gpuenv run python`",))
    environment = load_usable(prefix)
    environ = activated(environment, os.environ)
    program = shutil.which(command[0], path=environ["PATH"])
    if through := through_scripts(environment.prefix, [program or command[0], *command[1:]], environ):
        return _process.replace_process(through, environ)
    if program is None:
        raise RequestError(
            f"there is no program `{command[0]}` in `{environment.name}` or on PATH",
            hints=(f"see what is installed: `gpuenv list -p {shlex.quote(os.fspath(environment.prefix))}`",),
        )
    return _process.replace_process([program, *command[1:]], environ)


def load_usable(prefix: Path) -> Environment:
    """The environment at `prefix`; UnavailableError when its Python is gone, else as `load`."""
    environment = load(prefix)
    if environment.problem:
        raise UnavailableError(
            f"the environment `{environment.name}` cannot run",
            reasons=(environment.problem,),
            hints=(f"make it again: `gpuenv create --force -p {shlex.quote(os.fspath(environment.prefix))}`",),
        )
    return environment


def activated(environment: Environment, environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` as it is inside `environment`. A variable that the user set stays as the user set it."""
    result = variables_of(environment.plan) | outside(environ)
    prefix, is_conda = environment.prefix, is_conda_prefix(environment.prefix)
    places = conda_paths(prefix) if is_conda else [os.fspath(layout.scripts_of(prefix))]
    result["PATH"] = os.pathsep.join((*places, result["PATH"]))
    if is_conda:
        result |= conda_environ(prefix, environment.name)
    if layout.is_virtual(prefix):
        result["VIRTUAL_ENV"] = os.fspath(prefix)
        result["VIRTUAL_ENV_PROMPT"] = environment.name
    return result


def outside(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` as it is outside of any environment, as far as that can be told; PATH is always in it."""
    result = {name: value for name, value in environ.items() if name not in _LEFT_BEHIND}
    places = result.get("PATH", os.defpath).split(os.pathsep)
    if active := result.pop("VIRTUAL_ENV", None):
        scripts = os.fspath(layout.scripts_of(Path(active)))
        places = [place for place in places if place != scripts]
    result.pop("VIRTUAL_ENV_PROMPT", None)
    return result | {"PATH": os.pathsep.join(places)}
