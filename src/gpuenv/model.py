"""The nouns of gpuenv: frozen values, to and from one JSON. `docs/glossary.md` says what each word means.

Nothing here reads a file, asks a driver or decides anything. Sizes are bytes. A value that nobody could find out
is None (or the state `unknown`), which is never the same as knowing that it is absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from gpuenv.errors import FormatError
from gpuenv.versions import CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion, PtxIsa

JSON_VERSION = 1

_SCALARS = (CodeImage, ComputeCapability, CudaVersion, DriverVersion, LibcVersion, PtxIsa)
T = TypeVar("T")


class Noun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all nouns have in common: frozen, named fields only, unknown fields refused when read."""


class Verdict(StrEnum):
    """Whether something runs on a machine. Taken together the worst wins, and `unknown` never becomes `works`."""

    WORKS = "works"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"
    FAILS = "fails"

    @property
    def badness(self) -> int:
        """0 for works up to 3 for fails."""
        return list(Verdict).index(self)

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The worst of them; `works` for none at all, since nothing was objected."""
        return max(verdicts, key=lambda verdict: verdict.badness, default=cls.WORKS)


class Evidence(Noun, frozen=True, kw_only=True):
    """One value that a statement rests on, and where it was read."""

    what: str
    value: str
    source: str = ""


class Finding(Noun, frozen=True, kw_only=True):
    """One rule's word on one need of one subject."""

    rule: str
    verdict: Verdict
    subject: str
    message: str
    evidence: tuple[Evidence, ...] = ()
    hints: tuple[str, ...] = ()


# ---- Machine -------------------------------------------------------------------------------------------------


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
    """The processor; `cores` are logical processors that this process may use."""

    model: str | None = None
    cores: int | None = None


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


# ---- Needs ---------------------------------------------------------------------------------------------------


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
    counts for them.
    """

    name: str
    groups: tuple[UnitGroup, ...]
    size_bytes: int = 0
    selects_at_run_time: bool = False


class Needs(Noun, frozen=True, kw_only=True):
    """What an artifact asks of a machine. A build that never touches a GPU has `uses_gpu` False.

    `cuda` is the oldest CUDA runtime it can be used with and `cuda_newest` the newest (the same when it is pinned).
    `libraries` None means that nobody read its machine code; an empty tuple that it has none of its own.
    `system_cuda` is set when it expects CUDA libraries which no package of the plan brings. `lowest_capability` is
    what its maker documents, where that says more than its code. `pythons` None means that any Python will do.
    `withdrawn` says why nobody should install it.
    """

    subject: str
    gpu_support: GpuSupport = GpuSupport.NONE
    uses_gpu: bool = False
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
    evidence: tuple[Evidence, ...] = ()


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


# ---- Request, Plan, Explanation ------------------------------------------------------------------------------


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


class ErrorBody(Noun, frozen=True, kw_only=True):
    """What went wrong, in the shape that every error has in JSON."""

    code: str
    message: str
    reasons: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    details: str = ""


class ErrorDocument(Noun, frozen=True, kw_only=True):
    """What `--json` prints in place of an answer."""

    version: int = JSON_VERSION
    error: ErrorBody


class Reporter(Protocol):
    """Who listens while a verb works. The library calls it; a front end shows it."""

    def step(self, text: str) -> None:
        """A new phase began, such as `resolving with uv`."""

    def detail(self, text: str) -> None:
        """The newest thing that happened within the phase."""


class Silence:
    """A `Reporter` that shows nothing."""

    def step(self, text: str) -> None:
        """Nothing."""

    def detail(self, text: str) -> None:
        """Nothing."""


# ---- JSON ----------------------------------------------------------------------------------------------------


def _encode_scalar(value: Any) -> Any:
    if isinstance(value, _SCALARS):
        return str(value)
    raise NotImplementedError(f"no JSON form for {type(value).__name__}")


def _decode_scalar(kind: type, value: Any) -> Any:
    if kind not in _SCALARS or not isinstance(value, str):
        raise ValueError(f"expected {kind.__name__}")
    try:
        return kind.parse(value)
    except FormatError as error:
        # Only a ValueError gets the place in the document added.
        raise ValueError(error.message) from error


def _scalar_schema(kind: type) -> dict[str, Any]:
    if kind in _SCALARS:
        return {"type": "string", "description": (kind.__doc__ or "").splitlines()[0]}
    raise NotImplementedError(kind.__name__)


def to_json(value: object, *, indent: int = 2) -> str:
    """`value` as the JSON that gpuenv prints and writes; `indent` 0 puts it on one line."""
    compact = msgspec.json.encode(value, enc_hook=_encode_scalar)
    return (msgspec.json.format(compact, indent=indent) if indent else compact).decode()


def from_json(text: str | bytes, kind: type[T]) -> T:
    """The value of type `kind` written in `text`; FormatError names the place where it breaks."""
    try:
        return msgspec.json.decode(text, type=kind, dec_hook=_decode_scalar)
    except (msgspec.MsgspecError, UnicodeDecodeError, FormatError, RecursionError) as error:
        raise FormatError(f"not a {kind.__name__} in JSON: {error}") from error


def from_builtins(value: object, kind: type[T]) -> T:
    """The value of type `kind` held in dicts and lists, as TOML gives them; FormatError names the broken place."""
    try:
        return msgspec.convert(value, kind, dec_hook=_decode_scalar)
    except (msgspec.MsgspecError, FormatError) as error:
        raise FormatError(str(error)) from error


def json_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema (2020-12) of `kind`."""
    return msgspec.json.schema(kind, schema_hook=_scalar_schema)
