"""What one computer offers."""

from __future__ import annotations

from enum import StrEnum

from gpuenv.model.nouns import JSON_VERSION, Finding, Noun, Verdict
from gpuenv.versions import ComputeCapability, CudaVersion, DriverVersion, LibcVersion

__all__ = [
    "Cpu",
    "CudaLineReport",
    "Driver",
    "DriverState",
    "Gpu",
    "Machine",
    "MachineReport",
    "OperatingSystem",
    "System",
    "Vendor",
]


class OperatingSystem(StrEnum):
    """The systems that GPU packages are built for."""

    LINUX = "linux"
    WINDOWS = "windows"
    MACOS = "macos"


class System(Noun, frozen=True, kw_only=True):
    """The operating system; `arch` is x86_64, aarch64 or ppc64le on every system (never arm64 or AMD64).

    `glibc` None with a source (`system.glibc` in `Machine.sources`) means that there is another C library.
    """

    os: OperatingSystem
    arch: str
    release: str | None = None
    distribution: str | None = None
    glibc: LibcVersion | None = None
    wsl: bool = False
    container: str | None = None
    jetson: str | None = None


class Cpu(Noun, frozen=True, kw_only=True):
    """The processor; `cores` are logical processors that this process may use. `microarchitecture` is a name of
    archspec's (`x86_64_v3`), set where somebody gave one.
    """

    model: str | None = None
    cores: int | None = None
    microarchitecture: str | None = None


class DriverState(StrEnum):
    """What is known of NVIDIA's driver: `installed` means its libraries are there but the kernel module is not."""

    LOADED = "loaded"
    INSTALLED = "installed"
    MISSING = "missing"
    UNKNOWN = "unknown"


class Driver(Noun, frozen=True, kw_only=True):
    """NVIDIA's driver. `version` is the user-mode part's, `kernel_version` the module's where both could be read.

    `cuda` is the newest CUDA that the driver serves (`cuDriverGetVersion`), which a cuda-compat package can lift.
    `module` names the kernel driver bound to the GPUs: nvidia, nvidia-open, nouveau, nova, vfio-pci, nvgpu.
    """

    state: DriverState = DriverState.UNKNOWN
    version: DriverVersion | None = None
    kernel_version: DriverVersion | None = None
    cuda: CudaVersion | None = None
    module: str | None = None
    error: str | None = None


class Vendor(StrEnum):
    """Who made a GPU."""

    NVIDIA = "nvidia"
    AMD = "amd"
    INTEL = "intel"
    APPLE = "apple"
    OTHER = "other"


class Gpu(Noun, frozen=True, kw_only=True):
    """One GPU, or one MIG device of one. `name` is what `nvidia-smi` prints where it is known.

    `memory_bytes` is what the driver reports, or the nominal size when the GPU was written by hand. `mig` is the
    profile (`1g.10gb`) of a MIG device, or `enabled` for a board in MIG mode on which no device was made.
    `usable` is False when the driver lists the GPU but CUDA cannot open it.
    """

    vendor: Vendor = Vendor.NVIDIA
    name: str
    compute_capability: ComputeCapability | None = None
    memory_bytes: int | None = None
    board: str | None = None
    pci_id: str | None = None
    uuid: str | None = None
    mig: str | None = None
    usable: bool = True


class Machine(Noun, frozen=True, kw_only=True):
    """What one computer offers. `gpus` None means that nobody looked, an empty tuple that there are none.

    `sources` tells for a field (`driver.version`) where its value came from (`NVML`, `--machine`). `python` is the
    version (3.11) that a plan is made for, where one is.
    """

    version: int = JSON_VERSION
    name: str = "this machine"
    system: System
    cpu: Cpu = Cpu()
    memory_bytes: int | None = None
    driver: Driver = Driver()
    gpus: tuple[Gpu, ...] | None = None
    environ: dict[str, str] = {}
    sources: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    python: str | None = None

    @property
    def platform(self) -> str:
        """System and architecture as catalog rows name them: `linux-x86_64`."""
        return f"{self.system.os.value}-{self.system.arch}"

    @property
    def nvidia_gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that NVIDIA made."""
        return tuple(gpu for gpu in self.gpus or () if gpu.vendor is Vendor.NVIDIA)


class CudaLineReport(Noun, frozen=True, kw_only=True):
    """Whether packages of one CUDA version run on a machine, and what decided it."""

    cuda: CudaVersion
    verdict: Verdict
    findings: tuple[Finding, ...] = ()


class MachineReport(Noun, frozen=True, kw_only=True):
    """A machine, what the rules say of it, and of packages of each CUDA version on it."""

    version: int = JSON_VERSION
    machine: Machine
    verdict: Verdict
    findings: tuple[Finding, ...]
    cuda_lines: tuple[CudaLineReport, ...]
