"""What is known of one package when it is judged: its record, what is inside, and what its binary asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec

from gpuenv.artifacts.conda_index import platforms_of
from gpuenv.artifacts.needs import needs_of
from gpuenv.artifacts.sorted_reading import DRIVER, MANAGEMENT, SortedReading, known_library, sort_reading
from gpuenv.audits.gathering import Entry, Subdir
from gpuenv.audits.reading import Contents
from gpuenv.audits.repodata import Record
from gpuenv.facts.libraries import find_library
from gpuenv.model import Needs, Reading
from gpuenv.targets.cuda_constraints import CudaConstraints, constraints_of

__all__ = ["Facts"]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """One package. `record` is what solvers go by: that of the channel, else its own `index.json`."""

    entry: Entry
    contents: Contents

    @property
    def file(self) -> str:
        """Its file name."""
        return self.entry.name

    @property
    def subdir(self) -> Subdir | None:
        """The directory of the channel that it is in."""
        return self.entry.subdir

    @property
    def record(self) -> Record:
        """What solvers go by."""
        return self.entry.record or self.contents.index

    @property
    def index(self) -> Record:
        """What it says of itself."""
        return self.contents.index

    @property
    def has_record(self) -> bool:
        """Whether a channel has a record of it."""
        return self.entry.record is not None

    @property
    def said_in(self) -> str:
        """Where what solvers go by stands, as evidence names it."""
        return "repodata.json" if self.has_record else "its info/index.json"

    @property
    def mendable(self) -> bool:
        """Whether a repodata patch reaches it."""
        repodata = self.subdir.repodata if self.subdir else None
        return self.has_record and repodata is not None and self.file not in repodata.v3

    @property
    def is_library(self) -> bool:
        """Whether it is one of NVIDIA's own libraries."""
        return find_library(self.record.name) is not None

    @cached_property
    def platform(self) -> str:
        """As `linux-x86_64`; a package for any platform is looked at as one for Linux."""
        subdir = self.subdir.name if self.subdir else self.record.subdir or "noarch"
        return (*platforms_of(subdir), "linux-x86_64")[0]

    @cached_property
    def sorted(self) -> SortedReading:
        """Its native files by what they are for."""
        return sort_reading(self.contents.reading)

    @cached_property
    def binary(self) -> Needs:
        """What its binary asks for, whatever its requirements and its build string say."""
        reading = self.contents.reading
        artifact = msgspec.structs.replace(reading.artifact, build=None)
        return needs_of(msgspec.structs.replace(reading, artifact=artifact, requires=(), constrains=()))

    @cached_property
    def told(self) -> Needs:
        """The same with what its record says."""
        return needs_of(self.reading_with(self.record.depends))

    def reading_with(self, depends: tuple[str, ...]) -> Reading:
        """The reading as if it had these requirements."""
        return msgspec.structs.replace(self.contents.reading, requires=depends, constrains=self.record.constrains)

    @cached_property
    def code_libraries(self) -> tuple[str, ...]:
        """Its libraries with GPU code."""
        return tuple(library.name for library in self.binary.libraries or () if library.groups)

    @cached_property
    def linked(self) -> tuple[tuple[str, str], ...]:
        """Its files that are linked with CUDA, each with what: its libraries, the driver, a static runtime."""
        found = [
            (file.path, library.file)
            for file, library in self.sorted.linked()
            if library.name.lower() not in MANAGEMENT
        ]
        found += [(file.path, "the CUDA runtime, linked in") for file in self.sorted.loaded if file.static_runtime]
        return tuple(found)

    @property
    def needs_toolkit(self) -> bool:
        """Whether it is linked with more than the driver."""
        libraries = (known_library(library) for _, library in self.linked)
        return any(one is None or one.name.lower() not in DRIVER for one in libraries)

    @property
    def has_gpu_code(self) -> bool:
        """Whether it carries GPU code or is linked with CUDA."""
        return bool(self.code_libraries or self.linked)

    @cached_property
    def constraints(self) -> CudaConstraints:
        """The bounds that follow from its binary; where that does not tell its CUDA, its record does."""
        needs = self.binary
        if needs.cuda is None and self.told.cuda is not None:
            needs = msgspec.structs.replace(needs, cuda=self.told.cuda, cuda_newest=self.told.cuda_newest)
        return constraints_of(needs, self.platform) if self.has_gpu_code else CudaConstraints()
