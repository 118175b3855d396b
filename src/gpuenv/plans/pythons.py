"""For which Python a plan is made: the one asked for, else those found here, the preferred one first."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from gpuenv import settings
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.machines.interpreters import Interpreter

__all__ = ["PythonChoice", "choose_pythons"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonChoice:
    """A Python that a plan may be made for: `version` as 3.11, and where it is, when it is on this computer."""

    version: str
    path: str | None = None


def choose_pythons(
    asked: str | None, spec: str | None, interpreters: tuple[Interpreter, ...]
) -> tuple[PythonChoice, ...]:
    """The Pythons to try, in order. `asked` is the value of `--python`, `spec` a conda version spec of the request.

    Without `interpreters` the plan is for a machine elsewhere, and there is one answer. RequestError for a version
    that is none, NoPlanError when nothing found here fits.
    """
    asked = asked or settings.variable("GPUENV_PYTHON") or None
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    here = tuple(PythonChoice(version=_minor(one.version), path=one.path) for one in interpreters)
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


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _nearest_first(running: str) -> list[int]:
    minor = int(running.partition(".")[2])
    return [minor, *(one for one in range(15, 5, -1) if one != minor)]


def _spec(asked: str) -> str:
    parts = asked.split(".")
    if len(parts) not in {2, 3} or not all(part.isdigit() and part.isascii() for part in parts):
        raise RequestError(f"`{asked}` is not a version of Python", hints=("write it as `--python 3.11`",))
    return f"{_minor(asked)}.*"


def _admits(spec: str, version: str) -> bool:
    from rattler import Version, VersionSpec

    # 3.11 stands for any patch of it, so a bound such as >=3.11.2 is asked of the newest.
    wanted = VersionSpec(spec)
    return wanted.matches(Version(version)) or wanted.matches(Version(f"{version}.99"))
