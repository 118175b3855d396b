"""What is known of an environment: the plan it was made from, and when."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gpuenv.environments import layout
from gpuenv.environments.failures import refusals_explained
from gpuenv.environments.locking import holding
from gpuenv.environments.naming import environments_directory, real_prefix
from gpuenv.environments.switch import repair, write_whole
from gpuenv.errors import FormatError, GpuenvError, IntegrityError, RequestError, UnavailableError
from gpuenv.model import JSON_VERSION, Noun, Plan, from_json, to_json

__all__ = ["Environment", "EnvironmentState", "Found", "find_environments", "load", "read_state", "write_state"]


class EnvironmentState(Noun, frozen=True, kw_only=True):
    """What `.gpuenv/environment.json` holds. `gpuenv` is the version that wrote it; times are UTC.

    `prefix` is the place that its files name, where conda packages have such files.
    """

    version: int = JSON_VERSION
    plan: Plan
    gpuenv: str
    created: datetime
    changed: datetime
    prefix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment that gpuenv made, and where it is; `notes` are what is to be told of what was just done to it."""

    prefix: Path
    state: EnvironmentState
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self.prefix.name

    @property
    def plan(self) -> Plan:
        """What it was made from."""
        return self.state.plan

    @property
    def created(self) -> datetime:
        """When it was first made."""
        return self.state.created

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return layout.python_of(self.prefix)

    @property
    def conda_problems(self) -> tuple[str, ...]:
        """What is broken in its conda packages: records, and files that are gone."""
        from gpuenv.environments.conda_truth import conda_problems

        return conda_problems(self)

    @property
    def problem(self) -> str | None:
        """Why it cannot run as it is, None when nothing is seen to be wrong."""
        # An environment of conda packages alone may have no Python, or a stand-in for one.
        needs_python = not self.plan.conda or bool(self.plan.wheels)
        if needs_python and not self.python.exists():
            return f"its Python is gone: `{os.path.realpath(self.python)}`"
        if self.state.prefix and not _is_same_place(Path(self.state.prefix), self.prefix):
            return f"it was moved here from `{self.state.prefix}`, which files of its conda packages name"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One entry of the directory of environments: `environment` is None when it cannot be read, `problem` says why."""

    prefix: Path
    environment: Environment | None
    problem: str | None = None


def load(prefix: Path) -> Environment:
    """The environment at `prefix`; an interrupted switch is finished first.

    RequestError where there is none, IntegrityError where its state cannot be read.
    """
    prefix = real_prefix(prefix)
    if layout.journal_path(prefix).exists():
        with refusals_explained("repairing", prefix), holding(prefix, "repairing"):
            repair(prefix)
    return Environment(prefix=prefix, state=read_state(prefix))


def find_environments(data_dir: Path) -> tuple[Found, ...]:
    """The named environments under `data_dir`, by name, broken ones too; directories of others are passed over."""
    directory = environments_directory(data_dir)
    if not directory.is_dir():
        return ()
    there = {path for path in directory.iterdir() if not path.name.startswith(".") and layout.is_environment(path)}
    return tuple(_look(prefix) for prefix in sorted(there | set(layout.prefixes_with_journal(directory))))


def read_state(prefix: Path) -> EnvironmentState:
    """What `prefix` says of itself; RequestError where gpuenv made nothing, IntegrityError where it is damaged."""
    path = layout.state_path(prefix)
    try:
        return from_json(path.read_bytes(), EnvironmentState)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _not_ours(prefix) from error
    except OSError as error:
        raise UnavailableError(f"cannot read `{path}`", reasons=(error.strerror or str(error),)) from error
    except FormatError as error:
        raise IntegrityError(
            f"the environment `{prefix}` is damaged",
            reasons=(f"`{path}`: {error.message}",),
            hints=(f"make it again: `gpuenv create --force -p {shlex.quote(os.fspath(prefix))}`",),
        ) from error


def write_state(prefix: Path, state: EnvironmentState) -> None:
    """Write what `prefix` says of itself."""
    write_whole(layout.state_path(prefix), to_json(state))


def _is_same_place(one: Path, other: Path) -> bool:
    try:
        return one == other or one.samefile(other)
    except OSError:
        return False


def _look(prefix: Path) -> Found:
    try:
        environment = load(prefix)
    except GpuenvError as error:
        return Found(prefix=prefix, environment=None, problem="; ".join((error.message, *error.reasons)))
    return Found(prefix=prefix, environment=environment, problem=environment.problem)


def _not_ours(prefix: Path) -> RequestError:
    if os.path.lexists(prefix):
        return RequestError(
            f"`{prefix}` is no environment of gpuenv",
            reasons=("it has no `.gpuenv/environment.json`",),
            hints=("make one elsewhere: `gpuenv create -n NAME PACKAGE`",),
        )
    return RequestError(f"there is no environment at `{prefix}`", hints=("list them: `gpuenv env list`",))
