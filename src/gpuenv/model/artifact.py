"""Artifacts, what was read in them, and what the rules say of them on machines."""

from __future__ import annotations

from enum import StrEnum

from gpuenv.model.needs import Jit, LibraryCode, Needs
from gpuenv.model.nouns import JSON_VERSION, Finding, Noun, Verdict
from gpuenv.model.telling import ErrorBody
from gpuenv.versions import CudaVersion, LibcVersion

__all__ = [
    "Artifact",
    "ArtifactKind",
    "CheckReport",
    "CheckedArtifact",
    "Inspection",
    "InspectionReport",
    "LibrarySummary",
    "MachineAnswer",
    "NativeFile",
    "Reading",
]


class ArtifactKind(StrEnum):
    """What sort of package it is: `file` is one native file or bare GPU code, `installed` a distribution on disk."""

    FILE = "file"
    WHEEL = "wheel"
    CONDA = "conda"
    SDIST = "sdist"
    INSTALLED = "installed"


class Artifact(Noun, frozen=True, kw_only=True):
    """One package in one build, as its name and metadata tell.

    `build` is conda's build string. `location` is the path or address (without credentials) that it was read from.
    `platforms` are `linux-x86_64` and the like; empty means any. `pythons` are `3.11` and the like; None means any.
    `glibc` is the oldest GNU C library that its tags promise to run with.
    """

    kind: ArtifactKind
    name: str
    version: str | None = None
    build: str | None = None
    filename: str | None = None
    location: str = ""
    sha256: str | None = None
    size_bytes: int | None = None
    platforms: tuple[str, ...] = ()
    pythons: tuple[str, ...] | None = None
    glibc: LibcVersion | None = None

    @property
    def subject(self) -> str:
        """The artifact as messages name it: `torch 2.15.0`."""
        return f"{self.name} {self.version}" if self.version else self.name


class NativeFile(Noun, frozen=True, kw_only=True):
    """What one native file of an artifact holds. `path` is its place in the artifact, with `/`.

    `kind` is one of `binaries.BinaryKind`; `machine` the processor. `needed` are the files it is linked with (None:
    not read), `opened` the CUDA libraries whose names stand in it. `jit` are run-time compilers that it is linked
    with, holds or names; `hands_over` is what they hand to the driver, where its symbols tell. `compiler` is the
    CUDA version of a compiler that the file itself is or holds (ptxas, NVRTC, NVVM). `static_runtime` says that the
    CUDA runtime is linked in. `glibc` is the newest version of a GNU C library symbol that it needs. `problem` says
    why it could not be read.
    """

    path: str
    kind: str | None = None
    size_bytes: int = 0
    machine: str | None = None
    code: LibraryCode | None = None
    entry_kinds: dict[str, int] = {}
    compressions: dict[str, int] = {}
    soname: str | None = None
    needed: tuple[str, ...] | None = ()
    opened: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    jit: tuple[str, ...] = ()
    hands_over: Jit | None = None
    compiler: CudaVersion | None = None
    static_runtime: bool = False
    static_runtime_version: CudaVersion | None = None
    other_vendors: tuple[str, ...] = ()
    glibc: LibcVersion | None = None
    problem: str | None = None


class Reading(Noun, frozen=True, kw_only=True):
    """What was read in one artifact: facts, no conclusions. This is what the cache keeps.

    `requires` are its requirements as it writes them (PEP 508; for conda packages MatchSpecs), `constrains` conda's
    bounds on packages that need not be there.
    `imports` are the GPU packages that its Python sources import, each with the first file that does. `members`
    counts all its files, `cuda_sources` those of an sdist that a CUDA compiler takes (`.cu`, `.cuh`): an sdist holds no
    built code. `problems` say what could not be read; `complete` is False when the reading broke off.
    """

    version: int = JSON_VERSION
    artifact: Artifact
    requires: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    imports: dict[str, str] = {}
    files: tuple[NativeFile, ...] = ()
    members: int = 0
    cuda_sources: int = 0
    problems: tuple[str, ...] = ()
    complete: bool = True


class LibrarySummary(Noun, frozen=True, kw_only=True):
    """One library's GPU code in numbers. `is_main` marks the one that decides for its package.

    `sass` and `ptx` are the images of all units together (`sm_90a`, `compute_90/ptx8.4`); `relocatable` are the images
    of the objects that they were linked from, where those are in the file. `breadth` is B and `general_units` the units
    with at least half of it (docs/coverage.md). `coverage` is the share of general units that run, by compute
    capability, for a driver that knows all of its PTX. `ways` says how the library as a whole runs on each: `sass`,
    `jit` (the driver compiles its PTX), `none` or `unknown`; `runs_on` and `perhaps_on` are the same as spans such as
    `7.5 to 9.0`.
    """

    path: str
    is_main: bool = False
    sass: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    relocatable: tuple[str, ...] = ()
    breadth: int = 0
    general_units: int = 0
    units: int = 0
    size_bytes: int = 0
    chooses_at_run_time: bool = False
    coverage: dict[str, float] = {}
    ways: dict[str, str] = {}
    runs_on: tuple[str, ...] = ()
    perhaps_on: tuple[str, ...] = ()


class Inspection(Noun, frozen=True, kw_only=True):
    """One artifact looked into: what it needs, its libraries, and what all that was read from.

    `fetched_bytes` is what was fetched over the network for it, 0 when it came from the cache.
    """

    target: str
    artifact: Artifact
    needs: Needs
    libraries: tuple[LibrarySummary, ...] = ()
    files: tuple[NativeFile, ...] = ()
    requires: tuple[str, ...] = ()
    imports: dict[str, str] = {}
    members: int = 0
    problems: tuple[str, ...] = ()
    complete: bool = True
    fetched_bytes: int = 0


class InspectionReport(Noun, frozen=True, kw_only=True):
    """What was looked into, remarks on what was chosen, and what could not be looked into."""

    version: int = JSON_VERSION
    artifacts: tuple[Inspection, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[ErrorBody, ...] = ()


class MachineAnswer(Noun, frozen=True, kw_only=True):
    """What the rules say of one artifact on one machine; `artifact` is the build that this machine would get.

    `uses_gpu` tells whether the package itself uses a GPU.
    """

    machine: str
    verdict: Verdict
    uses_gpu: bool = False
    artifact: Artifact | None = None
    findings: tuple[Finding, ...] = ()


class CheckedArtifact(Noun, frozen=True, kw_only=True):
    """One package and its answer for each machine, in the order of the machines.

    An answer is None where the package is no part of what that machine gets (NVIDIA's libraries on a Mac).
    """

    target: str
    subject: str
    answers: tuple[MachineAnswer | None, ...]


class CheckReport(Noun, frozen=True, kw_only=True):
    """Whether targets run on machines: a row for each package, an answer for each machine."""

    version: int = JSON_VERSION
    verdict: Verdict
    machines: tuple[str, ...]
    rows: tuple[CheckedArtifact, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[ErrorBody, ...] = ()
