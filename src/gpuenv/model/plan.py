"""What was asked for, what to install, and why."""

from __future__ import annotations

from gpuenv.model.machine import Machine
from gpuenv.model.needs import GpuSupport
from gpuenv.model.nouns import JSON_VERSION, Finding, Noun, Verdict

__all__ = ["Choice", "Explanation", "LockedWheel", "PassedOver", "Plan", "PlannedPackage", "Request"]


class Request(Noun, frozen=True, kw_only=True):
    """What the user wants. `specs` as typed; `python` None means whichever interpreter suits."""

    specs: tuple[str, ...]
    python: str | None = None


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


class Explanation(Noun, frozen=True, kw_only=True):
    """Why this plan and not another, or why there is none, and what would change the answer."""

    choices: tuple[Choice, ...] = ()
    notes: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()


class PlannedPackage(Noun, frozen=True, kw_only=True):
    """One package of the GPU layer in one build, with the requirements that bring it and how it fares there."""

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


class Plan(Noun, frozen=True, kw_only=True):
    """Exactly what to install. `pylock` is the text of the lock that `uv` installs from (PEP 751).

    Only the projects in `source_packages` may be built from source, with `build_constraints` on their build tools.
    """

    version: int = JSON_VERSION
    request: Request
    machine: Machine
    python: str
    interpreter: str | None = None
    packages: tuple[PlannedPackage, ...] = ()
    wheels: tuple[LockedWheel, ...] = ()
    explanation: Explanation = Explanation()
    source_packages: tuple[str, ...] = ()
    build_constraints: tuple[str, ...] = ()
    pylock: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst verdict among the packages."""
        return Verdict.worst(package.verdict for package in self.packages)
