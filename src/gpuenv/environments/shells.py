"""Open the user's shell with an environment active and its name in the prompt.

The user's own start files run first, then the environment is activated, since many of them change PATH.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from gpuenv import _process, settings
from gpuenv.environments import layout
from gpuenv.environments.activation import activated, load_usable, outside
from gpuenv.environments.conda_activation import activation_scripts, conda_environ, conda_paths, is_conda_prefix
from gpuenv.environments.failures import refusals_explained
from gpuenv.environments.state import Environment
from gpuenv.environments.switch import write_whole
from gpuenv.environments.variables import variables_of
from gpuenv.model import Reporter

__all__ = ["find_shell", "shell_command", "shell_in"]

_BY_NAME = ("bash", "zsh", "fish", "pwsh", "powershell", "cmd", "nu", "xonsh", "tcsh", "csh", "ksh")

_BASHRC = """\
# The start file of a shell in an environment of gpuenv: the user's own first, then the environment.
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
. "$GPUENV_SHELL_START/activate"
"""

# zsh reads every start file from ZDOTDIR, so each of ours calls the one it stands for.
_ZSHENV = """\
# Stands for the user's .zshenv in a shell of gpuenv.
_gpuenv_zdotdir="$ZDOTDIR"
if [[ -n "${GPUENV_SHELL_ZDOTDIR-}" ]]; then ZDOTDIR="$GPUENV_SHELL_ZDOTDIR"; else unset ZDOTDIR; fi
if [[ -f "${ZDOTDIR:-$HOME}/.zshenv" ]]; then . "${ZDOTDIR:-$HOME}/.zshenv"; fi
if [[ -n "${ZDOTDIR-}" ]]; then export GPUENV_SHELL_ZDOTDIR="$ZDOTDIR"; fi
ZDOTDIR="$_gpuenv_zdotdir"
"""
_ZSHRC = """\
# Stands for the user's .zshrc in a shell of gpuenv.
if [[ "${HISTFILE-}" == "$ZDOTDIR"/* ]]; then HISTFILE="${GPUENV_SHELL_ZDOTDIR:-$HOME}/.zsh_history"; fi
if [[ -n "${GPUENV_SHELL_ZDOTDIR-}" ]]; then ZDOTDIR="$GPUENV_SHELL_ZDOTDIR"; else unset ZDOTDIR; fi
unset _gpuenv_zdotdir GPUENV_SHELL_ZDOTDIR
if [[ -f "${ZDOTDIR:-$HOME}/.zshrc" ]]; then . "${ZDOTDIR:-$HOME}/.zshrc"; fi
. "$GPUENV_SHELL_START/activate"
"""

# The start files of a user may have activated another conda environment, so that all is set here again.
_ACTIVATE = """\
# Activates the environment at $GPUENV_SHELL_PREFIX: a virtual one, one of conda packages, or both at once.
if [ -n "${GPUENV_SHELL_CONDA-}" ]; then
    export CONDA_PREFIX="$GPUENV_SHELL_PREFIX" CONDA_DEFAULT_ENV="$GPUENV_SHELL_CONDA" CONDA_SHLVL=1
    export CONDA_PROMPT_MODIFIER="($GPUENV_SHELL_CONDA) "
fi
if [ -f "$GPUENV_SHELL_PREFIX/bin/activate" ] && [ -f "$GPUENV_SHELL_PREFIX/pyvenv.cfg" ]; then
    . "$GPUENV_SHELL_PREFIX/bin/activate"
else
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    export PATH="$GPUENV_SHELL_PREFIX/bin:$PATH"
    PS1="($GPUENV_SHELL_CONDA) ${PS1-}"
fi
if [ -n "${GPUENV_SHELL_CONDA-}" ] && [ -d "$GPUENV_SHELL_PREFIX/etc/conda/activate.d" ]; then
    while IFS= read -r _gpuenv_script <&3; do
        if [ -f "$_gpuenv_script" ]; then . "$_gpuenv_script"; fi
    done 3<<GPUENV_SCRIPTS
$(find "$GPUENV_SHELL_PREFIX/etc/conda/activate.d/" -maxdepth 1 -name '*.sh' | LC_ALL=C sort)
GPUENV_SCRIPTS
    unset _gpuenv_script
fi
"""
_FISH = """\
# The same for fish.
if test -n "$GPUENV_SHELL_CONDA"
    set -gx CONDA_PREFIX $GPUENV_SHELL_PREFIX
    set -gx CONDA_DEFAULT_ENV $GPUENV_SHELL_CONDA
    set -gx CONDA_SHLVL 1
    set -gx CONDA_PROMPT_MODIFIER "($GPUENV_SHELL_CONDA) "
end
if test -f $GPUENV_SHELL_PREFIX/bin/activate.fish; and test -f $GPUENV_SHELL_PREFIX/pyvenv.cfg
    source $GPUENV_SHELL_PREFIX/bin/activate.fish
else
    set -e VIRTUAL_ENV
    set -gx PATH $GPUENV_SHELL_PREFIX/bin $PATH
    functions -q fish_prompt; and functions -c fish_prompt _gpuenv_old_prompt
    function fish_prompt
        printf '(%s) ' $GPUENV_SHELL_CONDA
        functions -q _gpuenv_old_prompt; and _gpuenv_old_prompt
    end
end
if test -n "$GPUENV_SHELL_CONDA"
    for _gpuenv_script in $GPUENV_SHELL_PREFIX/etc/conda/activate.d/*.fish
        source $_gpuenv_script
    end
end
"""


_START_FILES = {
    "bashrc": _BASHRC,
    ".zshenv": _ZSHENV,
    ".zshrc": _ZSHRC,
    "activate": _ACTIVATE,
    "activate.fish": _FISH,
}


def shell_in(prefix: Path, *, report: Reporter, shell: Path | None = None) -> int:
    """Become `shell`, or else the user's, with the environment at `prefix` active; the status where that cannot be.

    Says so when this shell is itself inside one. Fails as `run_in`.
    """
    environment = load_usable(prefix)
    shell = shell or find_shell(os.environ)
    command, environ = shell_command(environment, shell, os.environ)
    report.step(f"{_stem(shell)} in `{environment.name}`; `exit` leaves it")
    if around := os.environ.get("GPUENV_SHELL_PREFIX"):
        report.detail(f"inside the shell of `{Path(around).name}`, {environ['GPUENV_SHELL_DEPTH']} deep")
    return _process.replace_process(command, environ)


def find_shell(environ: Mapping[str, str]) -> Path:
    """The shell that this process was started from, or else the user's login shell."""
    import psutil

    for process in psutil.Process().parents():
        try:
            if Path(process.name().lstrip("-")).stem.lower() in _BY_NAME:
                return Path(process.exe())
        except psutil.Error:
            continue
    return Path(environ.get("SHELL") or environ.get("COMSPEC") or "/bin/sh")


def shell_command(
    environment: Environment, shell: Path, environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command that opens `shell` in `environment`, and its environment variables."""
    # A shell with an activation script of its own gets what is outside, and activates after the user's start files.
    bare = variables_of(environment.plan) | outside(environ) | _marks(environment, environ)
    is_conda = is_conda_prefix(environment.prefix)
    if is_conda:
        bare |= conda_environ(environment.prefix, environment.name) | {"GPUENV_SHELL_CONDA": environment.name}
    scripts = layout.scripts_of(environment.prefix)
    name = _stem(shell)
    if name in {"bash", "zsh", "fish"} and os.name == "posix":
        start = _start_files()
        bare["GPUENV_SHELL_START"] = os.fspath(start)
    if name == "bash" and os.name == "posix":
        return [os.fspath(shell), "--rcfile", os.fspath(start / "bashrc"), "-i"], bare
    if name == "zsh" and os.name == "posix":
        own = {"GPUENV_SHELL_ZDOTDIR": environ["ZDOTDIR"]} if environ.get("ZDOTDIR") else {}
        return [os.fspath(shell), "-i"], bare | own | {"ZDOTDIR": os.fspath(start)}
    if name == "fish" and os.name == "posix":
        return [os.fspath(shell), "--init-command", f"source {_fish(start / 'activate.fish')}"], bare
    if name == "cmd" and not is_conda:
        return [os.fspath(shell), "/K", os.fspath(scripts / "activate.bat")], bare
    inside = activated(environment, environ) | _marks(environment, environ)
    if name == "cmd":
        return [os.fspath(shell), "/K"], {"PROMPT": f"({environment.name}) $P$G"} | inside
    if name in {"pwsh", "powershell"}:
        return [os.fspath(shell), "-NoLogo", "-NoExit", "-Command", _powershell(environment, scripts)], inside
    # Other shells: a prompt where one is taken from the environment variables.
    return [os.fspath(shell), "-i"], {"PS1": f"({environment.name}) $ "} | inside


def _marks(environment: Environment, environ: Mapping[str, str]) -> dict[str, str]:
    depth = environ.get("GPUENV_SHELL_DEPTH", "0")
    return {
        "GPUENV_SHELL_PREFIX": os.fspath(environment.prefix),
        "GPUENV_SHELL_DEPTH": str(int(depth) + 1 if depth.isdecimal() else 1),
    }


def _start_files() -> Path:
    """The directory with the start files, written when it is asked for, since they belong to no environment."""
    directory = settings.cache_directory() / "shell"
    with refusals_explained("writing start files for", directory):
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in _START_FILES.items():
            path = directory / name
            if not path.is_file() or path.read_text(encoding="utf-8") != text:
                write_whole(path, text)
    return directory


def _fish(path: Path) -> str:
    return "'" + os.fspath(path).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(environment: Environment, scripts: Path) -> str:
    """PATH again after the user's profile, and the prompt. No script file, which a policy might forbid."""
    is_conda = is_conda_prefix(environment.prefix)
    places = conda_paths(environment.prefix) if is_conda else [os.fspath(scripts)]
    path = os.pathsep.join(places).replace("'", "''")
    name = environment.name.replace("'", "''")
    own = [os.fspath(one).replace("'", "''") for one in activation_scripts(environment.prefix, ".ps1")]
    return "".join(f". '{one}'; " for one in own) + (
        f"$env:PATH = '{path}' + [IO.Path]::PathSeparator + $env:PATH; "
        "$function:_gpuenv_prompt = $function:prompt; "
        f"function global:prompt {{ '({name}) ' + (_gpuenv_prompt) }}"
    )


def _stem(shell: Path) -> str:
    return shell.name.lower().removesuffix(".exe")
