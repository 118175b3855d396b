"""Environments and what is installed in them."""

from __future__ import annotations

from gpuenv.model.lock import PackageChange
from gpuenv.model.needs import GpuSupport
from gpuenv.model.nouns import JSON_VERSION, Noun, Verdict
from gpuenv.model.plan import Plan

__all__ = [
    "Conflict",
    "EnvironmentList",
    "EnvironmentRow",
    "InstallReport",
    "InstalledPackage",
    "PackageList",
]


class InstalledPackage(Noun, frozen=True, kw_only=True):
    """One installed distribution, and what the plan says of it.

    `package` is the package of the plan that brought it (`pytorch` for `torch`), with its build, GPU support and
    verdict; they are None for what no GPU package stands for. `source` is `catalog` and the like for those, `lock` for
    what the lock brought along, `added` for what was installed by hand. `planned` is the locked version where it is
    another.
    """

    name: str
    version: str
    package: str | None = None
    build: str | None = None
    source: str
    gpu: bool = False
    gpu_support: GpuSupport | None = None
    verdict: Verdict | None = None
    planned: str | None = None
    url: str | None = None
    editable: bool = False


class PackageList(Noun, frozen=True, kw_only=True):
    """What is installed in one environment; `problems` are conda packages of which files or records are gone."""

    version: int = JSON_VERSION
    prefix: str
    packages: tuple[InstalledPackage, ...]
    problems: tuple[str, ...] = ()


class EnvironmentRow(Noun, frozen=True, kw_only=True):
    """One named environment; `problem` says why it cannot be used, where it cannot."""

    name: str
    prefix: str
    python: str | None = None
    specs: tuple[str, ...] = ()
    problem: str | None = None


class EnvironmentList(Noun, frozen=True, kw_only=True):
    """The named environments of one user."""

    version: int = JSON_VERSION
    environments: tuple[EnvironmentRow, ...] = ()


class Conflict(Noun, frozen=True, kw_only=True):
    """An installed distribution whose requirement is not met: `found` is the version there is, None for none."""

    name: str
    version: str
    requires: str
    found: str | None = None


class InstallReport(Noun, frozen=True, kw_only=True):
    """What an installation into an environment that gpuenv did not make changes, or changed (`done`).

    `kept` are distributions from a directory or an address, which stay as they are; `conflicts` those that hold
    afterwards, as far as they are known, `conflicts_before` those that were there already. `variables` are set at each
    start of the environment's Python. `plan` is None where nothing was planned, as for an undo.
    """

    version: int = JSON_VERSION
    prefix: str
    python: str
    done: bool = False
    changes: tuple[PackageChange, ...] = ()
    kept: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    conflicts_before: tuple[Conflict, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    variables: dict[str, str] = {}
    plan: Plan | None = None
