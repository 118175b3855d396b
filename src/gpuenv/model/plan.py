"""What was asked for, what to install, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from gpuenv.model.machine import Machine
from gpuenv.model.needs import GpuSupport
from gpuenv.model.nouns import JSON_VERSION, Finding, Noun, Verdict

__all__ = [
    "Choice",
    "Explanation",
    "GpuPolicy",
    "IndexPolicy",
    "Learned",
    "LockedConda",
    "LockedWheel",
    "PassedOver",
    "Plan",
    "PlanSet",
    "PlannedPackage",
    "Request",
    "Sources",
    "WhatIf",
]


class GpuPolicy(StrEnum):
    """Whether packages that have GPU builds are to be on the GPU: each of them, those that can be, or none."""

    REQUIRE = "require"
    PREFER = "prefer"
    NEVER = "never"


class IndexPolicy(StrEnum):
    """Which indexes a plan is made from: the user's (PyPI by default) alone, or projects' own ones as well."""

    PYPI = "pypi"
    ALL = "all"


class Sources(StrEnum):
    """What a plan is made of: conda packages where the channels have them and wheels for the rest, or one kind only."""

    ALL = "all"
    CONDA = "conda"
    WHEELS = "wheels"


class Request(Noun, frozen=True, kw_only=True):
    """What the user wants. `specs` as typed; `python` None means whichever interpreter suits.

    `allow_degraded` takes the newest build that runs at all, where otherwise an older one that runs whole goes first.
    `channels` are conda channels in order of priority, by name, address (without credentials) or path; none means that
    everything is made of wheels.
    """

    specs: tuple[str, ...]
    python: str | None = None
    gpu: GpuPolicy = GpuPolicy.PREFER
    allow_degraded: bool = False
    indexes: IndexPolicy = IndexPolicy.ALL
    channels: tuple[str, ...] = ()
    sources: Sources = Sources.ALL


class PassedOver(Noun, frozen=True, kw_only=True):
    """A build that was not taken, and the first reason."""

    version: str
    build: str
    reason: Finding


class Choice(Noun, frozen=True, kw_only=True):
    """Why one package got the build it got: the newest builds passed over, newest first, and what else to know."""

    package: str
    passed_over: tuple[PassedOver, ...] = ()
    notes: tuple[str, ...] = ()


class Learned(Noun, frozen=True, kw_only=True):
    """A file that was looked into while the plan was made, and what the rules then said of it.

    `reason` is the finding that kept it out of the plan, None for one that stays in.
    """

    package: str
    version: str
    filename: str
    sha256: str | None = None
    verdict: Verdict
    reason: Finding | None = None


class WhatIf(Noun, frozen=True, kw_only=True):
    """A single change, such as a newer driver, and what the plan would gain by it, each in words."""

    change: str
    gains: tuple[str, ...]


class Explanation(Noun, frozen=True, kw_only=True):
    """Why this plan and not another, or why there is none, and what would change the answer."""

    choices: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    learned: tuple[Learned, ...] = ()
    what_if: tuple[WhatIf, ...] = ()


class PlannedPackage(Noun, frozen=True, kw_only=True):
    """One package of the GPU layer in one build, with the requirements that bring it and how it fares there.

    `source` is `catalog`, the name of a project's own index (`pytorch/cu126`), `inspected` for a package that no
    catalog knows and that was looked into, or the channel of a conda package.
    """

    name: str
    version: str
    build: str
    gpu: bool = False
    gpu_support: GpuSupport = GpuSupport.NONE
    cuda: str | None = None
    requirements: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    verdict: Verdict = Verdict.WORKS
    findings: tuple[Finding, ...] = ()
    source: str = "catalog"


class LockedWheel(Noun, frozen=True, kw_only=True):
    """One distribution that uv decided on, with the sha256 of the file to install and its size where known."""

    name: str
    version: str
    filename: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None


class LockedConda(Noun, frozen=True, kw_only=True):
    """One conda package that the solver decided on.

    `url` is where it is, `channel` the address of its channel, both without credentials; `sha256` and `md5` are in
    hexadecimal. `record` is its entry of the channel's repodata, field for field, as the prefix keeps it.
    """

    name: str
    version: str
    build: str
    subdir: str
    filename: str
    url: str
    channel: str
    sha256: str | None = None
    md5: str | None = None
    size_bytes: int | None = None
    record: dict[str, Any] = {}


class Plan(Noun, frozen=True, kw_only=True):
    """Exactly what to install. `pylock` is the text of the lock that `uv` installs from (PEP 751), `conda` what comes
    from conda channels. Where the Python is among those, `interpreter` is None.

    It is made for `machine` and for the `others`, where several were named; `indexes` are the projects' own indexes
    that took part (`pytorch/cu126`). Only the projects in `source_packages` may be built from source, with
    `build_constraints` on their build tools.
    """

    version: int = JSON_VERSION
    request: Request
    machine: Machine
    others: tuple[Machine, ...] = ()
    indexes: tuple[str, ...] = ()
    python: str
    interpreter: str | None = None
    packages: tuple[PlannedPackage, ...] = ()
    wheels: tuple[LockedWheel, ...] = ()
    conda: tuple[LockedConda, ...] = ()
    explanation: Explanation = Explanation()
    source_packages: tuple[str, ...] = ()
    build_constraints: tuple[str, ...] = ()
    pylock: str = ""

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines that the plan is made for, `machine` first."""
        return (self.machine, *self.others)

    @property
    def has_conda_python(self) -> bool:
        """Whether the environment's Python is a conda package."""
        return any(package.name == "python" for package in self.conda)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the packages."""
        return Verdict.worst(package.verdict for package in self.packages)


class PlanSet(Noun, frozen=True, kw_only=True):
    """The fewest plans that cover several machines; `reasons` say what forces more than one."""

    version: int = JSON_VERSION
    plans: tuple[Plan, ...]
    reasons: tuple[str, ...] = ()
