"""Environments and what is installed in them."""

from __future__ import annotations

from gpuenv.model.needs import GpuSupport
from gpuenv.model.nouns import JSON_VERSION, Noun, Verdict

__all__ = ["EnvironmentList", "EnvironmentRow", "InstalledPackage", "PackageList"]


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
    """What is installed in one environment."""

    version: int = JSON_VERSION
    prefix: str
    packages: tuple[InstalledPackage, ...]


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
