"""What is known of builds beyond the catalog: code that was read on the way to a plan, and builds of other indexes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from gpuenv.channels.catalog import Build, Project, builds_of
from gpuenv.channels.conda.places import local_path
from gpuenv.model import Finding, LibraryCode, Machine, Needs, to_json
from gpuenv.rules import check

if TYPE_CHECKING:
    from gpuenv.channels.conda.view import Channels

__all__ = ["Knowledge", "WheelRelease", "alike", "is_there"]

WheelRelease = tuple[str, str, str]
"""The name of a wheel, its version, and the project index that it is on (empty for the user's own indexes); or the
file name of a conda package, its version and its channel.
"""


@dataclass(slots=True, kw_only=True)
class Knowledge:
    """What one command has found out so far; it grows while a plan is made.

    `code` holds the GPU code of wheels that were read, `unreadable` those that could not be, with the reason.
    `further` are builds that the catalog does not hold, by project. `can_learn` says whether unread wheels may be
    looked into at all: then they count as good until they are read. `channels` are the conda channels of the request;
    of their packages all that was read counts (`needs`), since metadata may say little. `closed` are channels from
    which no package could be had, `refused_files` packages that are not what their channel lists.
    """

    can_learn: bool = False
    code: dict[WheelRelease, tuple[LibraryCode, ...]] = field(default_factory=dict)
    unreadable: dict[WheelRelease, str] = field(default_factory=dict)
    further: dict[str, tuple[Build, ...]] = field(default_factory=dict)
    channels: Channels | None = None
    needs: dict[WheelRelease, Needs] = field(default_factory=dict)
    closed: dict[str, str] = field(default_factory=dict)
    refused_files: dict[WheelRelease, str] = field(default_factory=dict)
    _judged: dict[tuple[int, str, bool], tuple[Needs, tuple[Finding, ...]]] = field(default_factory=dict)
    _machines: dict[int, tuple[Machine, str]] = field(default_factory=dict)
    _with_code: dict[int, tuple[Build, Build]] = field(default_factory=dict)

    def builds(self, project: Project, machine: Machine) -> tuple[Build, ...]:
        """All builds of a project for the platform and Python of `machine`, with what was learned of them."""
        known = (*builds_of(project, machine.platform, machine.python or ""), *self.further.get(project.name, ()))
        return tuple(map(self._as_read, known)) if self.code else known

    def is_learnable(self, build: Build) -> bool:
        """Whether reading its wheels may still tell what nobody has read."""
        unread = self._unread(build)
        if unread and build.record is not None and not is_there(build):
            return False
        is_closed = build.channel in self.closed
        if any(one in self.refused_files for one in unread):
            return False
        return self.can_learn and bool(unread) and not is_closed and not any(one in self.unreadable for one in unread)

    def refused(self, build: Build) -> str | None:
        """Why the file of a conda package is not the one that its channel lists; None where nothing says so."""
        return next((self.refused_files[one] for one in _holders(build) if one in self.refused_files), None)

    def unread(self, builds: Iterable[Build]) -> dict[WheelRelease, Build]:
        """The wheels to look into so that the code of `builds` is known."""
        return {wheel: build for build in builds for wheel in self._unread(build)}

    def judge(self, build: Build, machine: Machine, *, without_gpu_too: bool) -> tuple[Finding, ...]:
        """What the rules say of a build on a machine. The same question is answered once.

        With `without_gpu_too` a GPU build that computes on the CPU as well may run where there is no GPU.
        """
        key = id(build.needs), self._key(machine), without_gpu_too
        known = self._judged.get(key)
        if known is None:
            needs = build.needs
            if build.library and not machine.nvidia_gpus:
                # What other packages stand on asks no GPU of a machine without one; its Python and system count.
                needs = msgspec.structs.replace(needs, uses_gpu=False, lowest_capability=None)
            elif needs.runs_without_gpu and not without_gpu_too:
                needs = msgspec.structs.replace(needs, runs_without_gpu=False)
            # The needs are kept, so that their identity stays theirs.
            known = self._judged[key] = build.needs, check(needs, machine)
        return known[1]

    def _key(self, machine: Machine) -> str:
        if id(machine) not in self._machines:
            self._machines[id(machine)] = machine, alike(machine)
        return self._machines[id(machine)][1]

    def _unread(self, build: Build) -> tuple[WheelRelease, ...]:
        if build.record is not None:
            is_open = build.needs.libraries is None or build.look_inside
            return tuple(one for one in _holders(build) if is_open and one not in self.needs)
        if build.needs.libraries is not None:
            return ()
        return tuple(one for one in _holders(build) if one not in self.code)

    def as_read(self, build: Build) -> Build:
        """A conda package with what was read in it, where that was."""
        release, *_ = _holders(build)
        needs = self.needs.get(release)
        if needs is None:
            return build
        known = self._with_code.get(id(build))
        if known is None:
            told = build.needs
            needs = msgspec.structs.replace(
                needs,
                # What its metadata asks for counts as well. A mere name (`gpu_…`) says which build of another package
                # it brings, and that one is judged.
                uses_gpu=needs.uses_gpu or (told.uses_gpu and bool(told.cuda or told.virtual_packages)),
                cuda=needs.cuda or told.cuda,
                cuda_newest=needs.cuda_newest or told.cuda_newest,
                virtual_packages=told.virtual_packages,
                pythons=None,
                glibc=told.glibc,
                system_cuda=None,
            )
            gpu = (build.gpu or needs.uses_gpu) and not build.library
            read = dataclasses.replace(build, needs=needs, gpu=gpu, look_inside=False)
            known = self._with_code[id(build)] = build, read
        return known[1]

    def _as_read(self, build: Build) -> Build:
        if build.needs.libraries is not None:
            return build
        known = self._with_code.get(id(build))
        if known is None:
            found = _found(_holders(build), self.code)
            if found is None:
                return build
            needs = msgspec.structs.replace(build.needs, libraries=found)
            known = self._with_code[id(build)] = build, dataclasses.replace(build, needs=needs)
        return known[1]


def is_there(build: Build) -> bool:
    """Whether a conda package on disk is there; of one on a server that shows when it is asked for."""
    path = local_path(build.record.url) if build.record is not None else None
    return path is None or path.is_file()


def _holders(build: Build) -> tuple[WheelRelease, ...]:
    """The files that hold a build's GPU code: wheels by their name, conda packages by that of the file."""
    if build.record is not None:
        return ((build.record.file_name, build.version, build.channel or ""),)
    return tuple((wheel, build.version, build.index or "") for wheel in build.code_from or (build.wheel,) if wheel)


def _found(
    wheels: tuple[WheelRelease, ...], code: Mapping[WheelRelease, tuple[LibraryCode, ...]]
) -> tuple[LibraryCode, ...] | None:
    if not wheels or not all(one in code for one in wheels):
        return None
    return tuple(library for one in wheels for library in code[one])


def alike(machine: Machine) -> str:
    """What tells machines apart for a plan: equal for machines that get the same answer to every request."""
    gpus = machine.gpus and tuple(msgspec.structs.replace(one, pci_id=None, uuid=None) for one in machine.gpus)
    said = {field: source for field, source in machine.sources.items() if field == "system.glibc"}
    return to_json(msgspec.structs.replace(machine, name="", gpus=gpus, notes=(), sources=said, environ={}), indent=0)
