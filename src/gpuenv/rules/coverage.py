"""How much of a library's GPU code runs on one GPU, counted in units (one unit is one translation unit).

The union of architectures over a package misleads, and so does the share of all units: libraries carry units for
one GPU generation beside general ones. So the general units decide. The *breadth* of a unit is the number of
distinct major compute capabilities among its images; with B the largest breadth in the library, the general units
are those with breadth of at least half of B, rounded up. Coverage is the share of general units that run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from gpuenv.facts.architectures import family, find_capability
from gpuenv.facts.toolkits import load_toolkits, ptx_first_cuda
from gpuenv.model import Gpu, LibraryCode, UnitGroup
from gpuenv.rules.reading import is_tegra
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, PtxIsa

__all__ = ["COVERED", "LARGE", "NOT_COVERED", "TINY", "Coverage", "Way", "breadth", "measure_coverage", "way_to_run"]

COVERED = 0.5
"""From this share of the general units on a library counts as covered."""

NOT_COVERED = 0.1
"""Below this share it counts as not covered; between the two nobody can tell."""


LARGE = 0.1
"""From this share of the code of a package's largest library on a library counts as large."""

TINY = 0.0005
"""Below this share of the main library's GPU code a library holds nothing worth a word: a unit without kernels."""


class Way(IntEnum):
    """How a piece of code gets to run on a GPU, from not at all to best."""

    NONE = 0
    UNKNOWN = 1
    JIT = 2
    SASS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """General units of one library by the way they run on one GPU. `breadth` is B."""

    library: str
    general: int
    sass: int
    jit: int
    unknown: int
    breadth: int
    selects: bool

    @property
    def runs(self) -> int:
        """How many of the general units run, counting those that perhaps do."""
        return self.sass + self.jit + self.unknown

    @property
    def share(self) -> float:
        """Share of the general units that run, counting those that perhaps do."""
        return self.runs / self.general if self.general else 0.0

    @property
    def way(self) -> Way | None:
        """How the library as a whole runs; None where the share is between the two bounds.

        Units that perhaps run make a library `UNKNOWN` where the answer depends on them.
        """
        if self.selects:
            counts = {Way.SASS: self.sass, Way.JIT: self.jit, Way.UNKNOWN: self.unknown}
            return next((way for way, units in counts.items() if units), Way.NONE)
        if self.general and self.sass / self.general >= COVERED:
            return Way.SASS
        if self.general and (self.sass + self.jit) / self.general >= COVERED:
            return Way.JIT
        if self.share < NOT_COVERED:
            return Way.NONE
        return Way.UNKNOWN if self.unknown else None


def breadth(group: UnitGroup) -> int:
    """Number of distinct major compute capabilities that the units of a group have code for."""
    return len({image.capability.major for image in group.images})


def way_to_run(image: CodeImage, gpu: Gpu, *, driver_cuda: CudaVersion | None, built_with: CudaVersion | None) -> Way:
    """How `image` gets to run on `gpu` (CUDA C++ Programming Guide, Binary and PTX Compatibility).

    SASS runs on its own major and the same or a higher minor, but never moves to or from a Tegra chip. PTX runs on
    any later GPU if the driver knows its PTX ISA. `a` code runs on its own capability alone, `f` code in its family.
    Whether code for a capability runs on the same GPU under its later number (10.1 became 11.0) nobody has said.
    """
    if gpu.compute_capability is None:
        return Way.UNKNOWN
    return _way_to_run(image, gpu.compute_capability, is_tegra(gpu), driver_cuda, built_with)


@lru_cache(maxsize=1 << 14)
def _way_to_run(
    image: CodeImage,
    device: ComputeCapability,
    on_tegra: bool,
    driver_cuda: CudaVersion | None,
    built_with: CudaVersion | None,
) -> Way:
    target = image.capability
    portable = image.is_ptx and not image.suffix and device >= target
    if _is_renamed(device, target) and not portable:
        return Way.UNKNOWN
    if image.suffix == "a":
        fits = device == target
    elif image.suffix == "f":
        fits = device == target or (device in family(target) and device >= target)
    elif image.is_ptx:
        fits = device >= target
    else:
        fits = device.major == target.major and device >= target
        tegra_on_one_side = on_tegra or is_tegra(Gpu(name="target", compute_capability=target))
        fits = fits and (device == target or not tegra_on_one_side)
    if not fits:
        return Way.NONE
    if not image.is_ptx:
        return Way.SASS
    return _way_of_ptx(image.ptx_isa, driver_cuda=driver_cuda, built_with=built_with)


def _is_renamed(device: ComputeCapability, target: ComputeCapability) -> bool:
    row = find_capability(device)
    return device != target and row is not None and row is find_capability(target)


def _way_of_ptx(isa: PtxIsa | None, *, driver_cuda: CudaVersion | None, built_with: CudaVersion | None) -> Way:
    """Whether the driver knows the PTX ISA; where nobody read that, it is the one of the CUDA of the build."""
    first = ptx_first_cuda(isa) if isa else built_with
    if driver_cuda is None or (isa is None and first is None):
        return Way.UNKNOWN
    if first is not None:
        return Way.JIT if driver_cuda >= first else Way.NONE
    assert isa is not None
    known = load_toolkits()
    if any(toolkit.ptx_isa > isa and driver_cuda >= toolkit.version for toolkit in known):
        return Way.JIT
    return (
        Way.NONE if any(toolkit.ptx_isa < isa and driver_cuda < toolkit.version for toolkit in known) else Way.UNKNOWN
    )


def _way_relinked(
    library: LibraryCode, gpu: Gpu, *, driver_cuda: CudaVersion | None, built_with: CudaVersion | None
) -> Way:
    """How the unit that the device linker made gets to run when the driver links its objects again, for which each of
    them must have code.

    Source: NVIDIA, CUDA Compiler Driver NVCC, Potential Separate Compilation Issues, JIT Linking Support.
    """
    ways = [
        max(way_to_run(image, gpu, driver_cuda=driver_cuda, built_with=built_with) for image in group.images)
        for group in library.relocatable
        if group.images
    ]
    return min(Way.JIT, *ways) if ways else Way.NONE


def _linked_group(library: LibraryCode) -> UnitGroup | None:
    """The units among which is the one that the device linker made: its machine code is for the GPUs that its objects
    have machine code for. None where that cannot be told.
    """
    objects = {_machine_code(group) for group in library.relocatable}
    found = [group for group in library.groups if _machine_code(group) in objects]
    alone = library.groups if sum(group.units for group in library.groups) == 1 else ()
    return next(iter(alone or (found if len(found) == 1 else ())), None)


def _machine_code(group: UnitGroup) -> frozenset[CodeImage]:
    return frozenset(image for image in group.images if not image.is_ptx)


def measure_coverage(
    library: LibraryCode, gpu: Gpu, *, driver_cuda: CudaVersion | None, built_with: CudaVersion | None
) -> Coverage:
    """The coverage of `gpu` by `library`, for a driver that serves `driver_cuda` (None where that is not known)."""
    breadths = [breadth(group) for group in library.groups]
    widest = max(breadths, default=0)
    # A library whose units are for one GPU generation each, and not all for the same, chooses among them by GPU.
    targets = {frozenset(image.capability for image in group.images) for group in library.groups}
    selects = library.selects_at_run_time or (widest == 1 and len(targets) > 1)
    relinked = _way_relinked(library, gpu, driver_cuda=driver_cuda, built_with=built_with)
    linked = _linked_group(library) if relinked is not Way.NONE else None
    counted: dict[Way, int] = dict.fromkeys(Way, 0)
    # Thousands of groups are made of the same few dozen images.
    ways: dict[CodeImage, Way] = {}
    for group, group_breadth in zip(library.groups, breadths, strict=True):
        if selects or group_breadth >= (widest + 1) // 2:
            for image in group.images:
                if image not in ways:
                    ways[image] = way_to_run(image, gpu, driver_cuda=driver_cuda, built_with=built_with)
            best = max((ways[image] for image in group.images), default=Way.NONE)
            once = min(group.units, 1) if relinked > best and group is linked else 0
            counted[relinked] += once
            counted[best if linked or relinked <= best else Way.UNKNOWN] += group.units - once
    return Coverage(
        library=library.name,
        general=sum(counted.values()),
        sass=counted[Way.SASS],
        jit=counted[Way.JIT],
        unknown=counted[Way.UNKNOWN],
        breadth=widest,
        selects=selects,
    )
