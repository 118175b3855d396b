"""`uv` turns the GPU layer's requirements and the plain ones into one set of wheels with hashes (PEP 751)."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gpuenv.channels.destinations import destination_of
from gpuenv.channels.pylock import read_lock
from gpuenv.channels.uv import explain_failure, run_uv
from gpuenv.errors import NoPlanError
from gpuenv.model import LockedWheel, Machine, Reporter
from gpuenv.plans.provided import without_packages, write_stand_ins

__all__ = ["lock_wheels", "locked_wheels", "uv_platform"]

_NO_EXTRA = re.compile(
    r"The package `(?P<name>[\w.-]+)[^`]*` does not have an extra named `(?P<extra>[^`]+)`", re.ASCII
)


def uv_platform(machine: Machine) -> str:
    """The platform of a machine as uv names it; NoPlanError where uv has no name for it."""
    return destination_of(machine).uv_platform


def lock_wheels(
    requirements: list[str],
    constraints: list[str],
    *,
    machine: Machine,
    python: str,
    interpreter: str | None,
    source_packages: tuple[str, ...],
    build_constraints: tuple[str, ...],
    preferred: str = "",
    renew: frozenset[str] = frozenset(),
    offline: bool = False,
    report: Reporter,
    provided: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The text of a pylock for `requirements`, one file per package. Nothing but metadata is fetched, except for
    `source_packages`, whose metadata only their build tells. Versions of the pylock `preferred` are kept where they
    fit, except those of `renew`. `offline` takes only what `uv` has in its cache. `provided` are distributions, with
    their versions, that conda packages bring: wheels have to get along with them, and the lock leaves them out.

    NoPlanError when no set fits together, UnavailableError when the index cannot be asked.
    """
    report.step("resolving with uv")
    with tempfile.TemporaryDirectory(prefix="gpuenv-") as scratch:
        held = write_stand_ins(Path(scratch), provided)
        files = {"constraints": [*constraints, *held], "build-constraints": list(build_constraints)}
        options: list[str | Path] = []
        for name, lines in files.items():
            if lines:
                path = Path(scratch, f"{name}.txt")
                path.write_text("\n".join(lines) + "\n", encoding="utf-8")
                options += [f"--{name}", path]
        for name in source_packages:
            options += ["--no-binary", name]
        lock = Path(scratch, "pylock.gpuenv.toml")
        if preferred:
            lock.write_text(preferred, encoding="utf-8")
        for name in sorted(renew):
            options += ["--upgrade-package", name]
        # A Python is named even for a plan elsewhere, for uv would look for one first; it runs only to build a source.
        runs_with = interpreter or sys.executable
        completed = run_uv(
            [
                *("pip", "compile", "-", "-o", lock, "--no-header", "--no-annotate"),
                *("--only-binary", ":all:", "--python-version", python, "--python-platform", uv_platform(machine)),
                *("--python", runs_with),
                *options,
                *(["--offline"] if offline else []),
            ],
            cwd=Path(scratch),
            text_input="\n".join(requirements) + "\n",
            variables=destination_of(machine).uv_variables,
        )
        if completed.status != 0:
            raise explain_failure(completed, "resolving")
        _check_extras(completed.stderr, requirements)
        return without_packages(lock.read_text("utf-8"), provided)


def _check_extras(said: str, requirements: list[str]) -> None:
    """NoPlanError when a release lacks an extra that it was asked for, on which uv does no more than warn."""
    parsed = [Requirement(text) for text in requirements]
    asked = {(canonicalize_name(one.name), canonicalize_name(extra)) for one in parsed for extra in one.extras}
    for found in _NO_EXTRA.finditer(said):
        name, extra = found["name"], found["extra"]
        # Some package of the set may well ask another for an extra that is gone, as pip and uv allow.
        if (canonicalize_name(name), canonicalize_name(extra)) in asked:
            raise NoPlanError(f"`{name}` has no extra `{extra}`", reasons=(found[0],))


def locked_wheels(text: str) -> tuple[LockedWheel, ...]:
    """The distributions of a pylock with the file that each is installed from; FormatError when it is none."""
    return tuple(
        LockedWheel(
            name=one.name,
            version=one.version or "0",
            filename=one.filename,
            sha256=one.sha256,
            size_bytes=one.size_bytes,
        )
        for one in read_lock(text)
    )
