"""For which Python a plan is made: the one asked for, else those found here, the preferred one first."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from gpuenv import settings
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.interpreters import Interpreter

__all__ = ["PythonChoice", "choose_pythons", "conda_pythons", "minor_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonChoice:
    """A Python that a plan may be made for: `version` as 3.11, and where it is, when it is on this computer.

    `spec` is set for one that a conda channel has, in conda's words; then an empty version leaves it to the solver.
    """

    version: str
    path: str | None = None
    spec: str | None = None


def choose_pythons(
    asked: str | None, spec: str | None, interpreters: tuple[Interpreter, ...]
) -> tuple[PythonChoice, ...]:
    """The Pythons to try, in order. `asked` is the value of `--python`, `spec` a conda version spec of the request.

    Without `interpreters` the plan is for a machine elsewhere, and there is one answer. RequestError for a version
    that is none, NoPlanError when nothing found here fits.
    """
    asked = asked or settings.variable("GPUENV_PYTHON") or None
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    here = tuple(PythonChoice(version=minor_of(one.version), path=one.path) for one in interpreters)
    known = here or tuple(PythonChoice(version=f"3.{minor}") for minor in _nearest_first(running))
    wanted = [text for text in (spec, _spec(asked) if asked else None) if text]
    fitting = tuple(one for one in known if all(_admits(text, one.version) for text in wanted))
    if not fitting:
        found = ", ".join(one.version for one in here)
        raise NoPlanError(
            f"no Python here is `{asked or spec}`" if here else f"no Python is `{asked or spec}`",
            reasons=(f"found {found}",) if here else (),
            hints=("install that Python, or leave it out of the request",),
        )
    return fitting if here else fitting[:1]


def conda_pythons(
    asked: str | None, spec: str | None, versions: Iterable[str], *, for_wheels: bool
) -> tuple[PythonChoice, ...]:
    """The Pythons to try, in order, where channels have Python in `versions`: the newest first.

    Without wheels, for which one must be named, the solver chooses. Errors as those of `choose_pythons`.
    """
    from gpuenv.plans.ordering import version_key

    asked = asked or settings.variable("GPUENV_PYTHON") or None
    wanted = [text for text in (spec, _spec(asked) if asked else None) if text]
    if not for_wheels:
        return (PythonChoice(version="", spec=" ".join(["python", ",".join(wanted)]) if wanted else None),)
    minors = dict.fromkeys(minor_of(one) for one in sorted(versions, key=version_key, reverse=True))
    fitting = tuple(
        PythonChoice(version=minor, spec=" ".join(["python", ",".join([f"{minor}.*", *wanted])]))
        for minor in minors
        if all(_admits(text, minor) for text in wanted)
    )
    if not fitting:
        raise NoPlanError(
            f"no Python in the channels is `{asked or spec}`",
            reasons=(f"they have {', '.join(minors)}",),
            hints=("leave it out of the request, or name a channel that has it with `-c`",),
        )
    return fitting


def minor_of(version: str) -> str:
    """The minor version of a Python: 3.11 of 3.11.7."""
    return ".".join(version.split(".")[:2])


def _nearest_first(running: str) -> list[int]:
    minor = int(running.partition(".")[2])
    return [minor, *(one for one in range(15, 5, -1) if one != minor)]


def _spec(asked: str) -> str:
    parts = asked.split(".")
    if len(parts) not in {2, 3} or not all(part.isdigit() and part.isascii() for part in parts):
        raise RequestError(f"`{asked}` is not a version of Python", hints=("write it as `--python 3.11`",))
    return f"{minor_of(asked)}.*"


def _admits(spec: str, version: str) -> bool:
    from rattler import Version, VersionSpec

    # 3.11 stands for any patch of it, so a bound such as >=3.11.2 is asked of the newest.
    wanted = VersionSpec(spec)
    return wanted.matches(Version(version)) or wanted.matches(Version(f"{version}.99"))
