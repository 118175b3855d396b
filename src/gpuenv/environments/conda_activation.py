"""How an environment of conda packages is active: its directories on PATH, its variables, the scripts of its packages.

Source: conda's documentation, "Managing environments", and `conda/activate.py`.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from gpuenv.environments.conda_state import conda_variables

__all__ = ["activation_scripts", "conda_environ", "conda_paths", "is_conda_prefix", "through_scripts"]

_ON_WINDOWS = ("", "Library/mingw-w64/bin", "Library/usr/bin", "Library/bin", "Scripts", "bin")
# Within a function, since a script may set the words of what reads it, and without variables, which it may set, too.
_READ = '_gpuenv_read() { . "$1"; }'


def is_conda_prefix(prefix: Path) -> bool:
    """Whether conda packages may be in an environment."""
    return (prefix / "conda-meta").is_dir()


def conda_paths(prefix: Path) -> list[str]:
    """The directories that go on PATH."""
    return [os.fspath(prefix / part) for part in (_ON_WINDOWS if os.name == "nt" else ("bin",))]


def conda_environ(prefix: Path, name: str) -> dict[str, str]:
    """The variables that say which conda environment is active, and those that its packages and its user set."""
    return conda_variables(prefix) | {
        "CONDA_PREFIX": os.fspath(prefix),
        "CONDA_DEFAULT_ENV": name,
        "CONDA_SHLVL": "1",
        "CONDA_PROMPT_MODIFIER": f"({name}) ",
    }


def activation_scripts(prefix: Path, ending: str) -> list[Path]:
    """The scripts of packages that a shell reads when the environment is activated, in the order of their names."""
    directory = prefix / "etc" / "conda" / "activate.d"
    return sorted(path for path in directory.glob(f"*{ending}") if path.is_file()) if directory.is_dir() else []


def through_scripts(prefix: Path, command: Sequence[str], environ: Mapping[str, str]) -> list[str] | None:
    """The command that reads the activation scripts and then becomes `command`; None where there are none.

    None on Windows, too, where the scripts are for cmd, which cannot hand on every word as it is.
    """
    scripts = activation_scripts(prefix, ".sh")
    path = environ.get("PATH")
    shell = shutil.which("bash", path=path) or shutil.which("sh", path=path)
    if os.name == "nt" or not scripts or shell is None:
        return None
    lines = [_READ, *(f"_gpuenv_read {shlex.quote(os.fspath(one))}" for one in scripts), "unset -f _gpuenv_read"]
    return [shell, "-c", "\n".join([*lines, 'exec "$@"']), shell, *command]
