"""Which environment a command means: a name, a path, or the active one."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from gpuenv import settings
from gpuenv.environments import layout
from gpuenv.errors import RequestError

__all__ = ["environments_directory", "real_prefix", "resolve_prefix"]

_NAME = re.compile(r"\w[\w.+-]{0,99}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def environments_directory(data_dir: Path) -> Path:
    """Where the named environments of `data_dir` are."""
    return data_dir / "envs"


def resolve_prefix(name: str | None, prefix: Path | None, environ: Mapping[str, str]) -> Path:
    """The absolute path of the environment called `name`, or at `prefix`, or else the active one.

    Whether anything is there is not asked, except of the active one (VIRTUAL_ENV or CONDA_PREFIX), which must be
    gpuenv's.
    RequestError for both at once, for neither, and for a name or path that cannot be used.
    """
    if name is not None and prefix is not None:
        raise RequestError("give a name or a path, not both", hints=("use `-n NAME` or `-p PATH`",))
    if name is not None:
        return environments_directory(settings.data_directory()) / _checked_name(name)
    if prefix is not None:
        return _checked_path(prefix)
    for active in (environ.get("VIRTUAL_ENV"), environ.get("CONDA_PREFIX")):
        if active and layout.is_environment(Path(active)):
            return Path(active).absolute()
    active = environ.get("VIRTUAL_ENV")
    raise RequestError(
        "which environment is meant",
        reasons=(
            f"the active environment `{active}` was not made by gpuenv" if active else "no environment is active",
        ),
        hints=("name one with `-n NAME`, or give its path with `-p PATH`",),
    )


def real_prefix(prefix: Path) -> Path:
    """`prefix` without links on the way, so that all commands mean one directory by it."""
    return _checked_path(Path(os.path.realpath(prefix.expanduser())))


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name) or name.endswith(".") or _DEVICES.fullmatch(name):
        hint = "give a path with `-p`" if "/" in name or "\\" in name else "use letters, digits, `-`, `_`, `.`, `+`"
        raise RequestError(
            f"`{name}` cannot be the name of an environment",
            reasons=("it starts with a letter or digit, has letters, digits and `-_.+` only, and at most 100 of them",),
            hints=(hint,),
        )
    return name


def _checked_path(prefix: Path) -> Path:
    path = Path(os.path.abspath(prefix.expanduser()))  # noqa: PTH100  (also takes `..` away, which absolute() leaves)
    if not path.name:
        raise RequestError(f"`{path}` cannot be an environment", hints=("give a directory of its own",))
    if os.pathsep in os.fspath(path) or "\n" in os.fspath(path):
        raise RequestError(
            f"`{path}` cannot be an environment",
            reasons=(f"a path with `{os.pathsep}` or a line break in it cannot stand in PATH",),
        )
    if path == Path.home():
        raise RequestError("your home directory cannot be an environment", hints=("give a directory inside it",))
    return path
