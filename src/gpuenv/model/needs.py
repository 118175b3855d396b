"""What an artifact asks of a machine, and the GPU code that it carries."""

from __future__ import annotations

from enum import StrEnum

from gpuenv.model.nouns import Evidence, Noun
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion

__all__ = ["GpuSupport", "Jit", "LibraryCode", "Needs", "UnitGroup"]


class GpuSupport(StrEnum):
    """How a package uses a GPU."""

    NONE = "none"
    COMPILE_TIME = "compile-time"
    RUN_TIME = "run-time"
    THROUGH = "through"


class Jit(StrEnum):
    """What a run-time compiler in the package hands to the driver, which decides how new the driver must be."""

    SASS = "sass"
    PTX = "ptx"


class UnitGroup(Noun, frozen=True, kw_only=True):
    """`units` translation units (fatbin containers) of one library that carry the same set of images."""

    images: tuple[CodeImage, ...]
    units: int


class LibraryCode(Noun, frozen=True, kw_only=True):
    """The GPU code of one library, unit by unit. `size_bytes` counts the machine code, not the file.

    `selects_at_run_time` marks libraries that choose among their units by GPU (NVIDIA's own): any unit that runs
    counts for them. `loaded_for` is set on one of several that do the same for different CUDA versions: only the one
    for the CUDA in use is loaded (`libbitsandbytes_cuda128.so`). `relocatable` are the objects that its units were
    linked from: the driver links them again for a GPU that no unit has code for, if each of them has PTX.
    """

    name: str
    groups: tuple[UnitGroup, ...]
    relocatable: tuple[UnitGroup, ...] = ()
    size_bytes: int = 0
    selects_at_run_time: bool = False
    loaded_for: CudaVersion | None = None


class Needs(Noun, frozen=True, kw_only=True):
    """What an artifact asks of a machine. A build that never touches a GPU has `uses_gpu` False.

    `cuda` is the oldest CUDA runtime it can be used with and `cuda_newest` the newest (the same when it is pinned).
    `libraries` None means that nobody read its machine code; an empty tuple that it has none of its own.
    `system_cuda` is set when it expects CUDA libraries which no package brings along. `lowest_capability` is
    what its maker documents, where that says more than its code. `pythons` None means that any Python will do.
    `runs_without_gpu` says that the same build also runs where there is no GPU. `withdrawn` says why nobody should
    install it. `other_vendors` names code for GPUs that are not NVIDIA's (ROCm, SYCL, Metal, OpenCL), which no rule
    judges. `virtual_packages` is what a conda package asks of the machine by itself: bounds (PEP 440) on `__cuda` and
    `__cuda_arch`, empty for any version; `virtual_constraints` are bounds that hold only where the machine has them.
    """

    subject: str
    gpu_support: GpuSupport = GpuSupport.NONE
    uses_gpu: bool = False
    runs_without_gpu: bool = False
    cuda: CudaVersion | None = None
    cuda_newest: CudaVersion | None = None
    driver_floor: DriverVersion | None = None
    libraries: tuple[LibraryCode, ...] | None = None
    jit: Jit | None = None
    platforms: tuple[str, ...] = ()
    gpu_platforms: tuple[str, ...] = ()
    glibc: LibcVersion | None = None
    system_cuda: str | None = None
    lowest_capability: ComputeCapability | None = None
    pythons: tuple[str, ...] | None = None
    withdrawn: str | None = None
    other_vendors: tuple[str, ...] = ()
    virtual_packages: dict[str, str] = {}
    virtual_constraints: dict[str, str] = {}
    evidence: tuple[Evidence, ...] = ()
