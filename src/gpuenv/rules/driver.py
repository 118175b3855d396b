"""Rules on NVIDIA's driver itself: that it is there, whole, and made for the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.facts.architectures import Capability, find_capability
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import DriverState, Evidence, Finding, Gpu, Machine, Needs, OperatingSystem, Verdict
from gpuenv.rules.reading import cuda_gpus, driver_evidence, driver_system, gpu_evidence, gpu_label, numbered_driver

__all__ = ["asks_driver", "driver_generation", "driver_match", "driver_present", "is_foreign"]

_NOT_NVIDIA = {"nouveau": "Nouveau", "nova": "Nova", "nova_core": "Nova", "vfio-pci": "vfio-pci"}


def asks_driver(needs: Needs, machine: Machine) -> bool:
    """Whether the driver matters: not where it is known that no NVIDIA GPU could use it."""
    no_nvidia = machine.gpus is not None and not machine.nvidia_gpus
    return needs.uses_gpu and machine.system.os is not OperatingSystem.MACOS and not no_nvidia


def is_foreign(machine: Machine) -> bool:
    """Whether a kernel driver that gives no CUDA holds the GPUs."""
    return machine.driver.module in _NOT_NVIDIA


def driver_present(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """CUDA needs NVIDIA's own driver, loaded. Nouveau and Nova, which Linux distributions ship, give no CUDA and have
    to make way for it.
    """
    if not asks_driver(needs, machine):
        return
    driver = machine.driver

    def finding(verdict: Verdict, message: str, *hints: str) -> Finding:
        source = machine.sources.get("driver.module") or machine.sources.get("driver.state", "")
        found = Evidence(what="kernel driver", value=driver.module or driver.state.value, source=source)
        return Finding(
            rule="driver-present",
            verdict=verdict,
            subject=needs.subject,
            message=message,
            evidence=(found, *driver_evidence(machine)),
            hints=hints,
        )

    if driver.module == "vfio-pci":
        yield finding(
            Verdict.FAILS,
            "vfio-pci holds the GPU for a virtual machine, and CUDA needs NVIDIA's own driver in its place",
            "use the GPU inside of the virtual machine, or take its PCI id out of the options of vfio-pci and restart",
        )
    elif driver.module in _NOT_NVIDIA:
        yield finding(
            Verdict.FAILS,
            f"{_NOT_NVIDIA[driver.module]} drives the GPU, and CUDA needs NVIDIA's own driver in its place",
            f"{_how_to_install(machine)}, then restart",
        )
    elif driver.state is DriverState.LOADED:
        yield finding(Verdict.WORKS, f"NVIDIA's driver {driver.version or ''} is loaded".replace("  ", " "))
    elif driver.state is DriverState.INSTALLED:
        yield finding(
            Verdict.FAILS,
            "NVIDIA's driver is installed, but its kernel module is not loaded",
            "restart after an update of the driver or kernel; with Secure Boot, enrol the module's key",
        )
    elif driver.state is DriverState.MISSING:
        yield finding(
            Verdict.FAILS,
            "NVIDIA's driver is not installed",
            _how_to_install(machine),
        )
    else:
        yield finding(Verdict.UNKNOWN, "the driver is not known", "name it: `--machine …,driver=535.129.03`")


def _how_to_install(machine: Machine) -> str:
    """Where the driver comes from. Under WSL and in a container it is the one outside, and none belongs inside."""
    if machine.system.wsl:
        return "install NVIDIA's driver for Windows, outside of WSL, and none inside"
    if machine.system.os is OperatingSystem.WINDOWS:
        return "install NVIDIA's driver for Windows, from its download page"
    if machine.system.jetson:
        return "install JetPack, which brings the driver"
    if machine.system.container:
        return "start the container with the host's driver: `--gpus all` and the NVIDIA Container Toolkit"
    return "install the driver that your distribution packages as `nvidia-driver`"


def driver_match(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """The driver's kernel module and its libraries must be of one version; after an update without a restart they are
    not, and every CUDA call fails.
    """
    driver = machine.driver
    if not asks_driver(needs, machine) or not (driver.version and driver.kernel_version):
        return
    same = driver.version == driver.kernel_version
    kernel = Evidence(
        what="kernel module", value=str(driver.kernel_version), source=machine.sources.get("driver.kernel_version", "")
    )
    yield Finding(
        rule="driver-match",
        verdict=Verdict.WORKS if same else Verdict.FAILS,
        subject=needs.subject,
        message="the driver's kernel module and libraries are of one version"
        if same
        else f"the driver's libraries are {driver.version}, its kernel module is {driver.kernel_version}",
        evidence=(*driver_evidence(machine), kernel),
        hints=() if same else ("restart, so that the new kernel module is loaded",),
    )


def driver_generation(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A driver serves a span of GPU generations: one older than the GPU does not know it, and NVIDIA drops old
    generations from newer branches (R590 no longer sees Maxwell, Pascal and Volta).
    """
    driver = machine.driver
    if not asks_driver(needs, machine) or (driver.version is None and driver.cuda is None):
        return
    here = f"driver {driver.version}" if driver.version else f"the driver (CUDA {driver.cuda})"
    kinds = cuda_gpus(machine) or machine.nvidia_gpus
    rows = [(gpu, find_capability(gpu.compute_capability) if gpu.compute_capability else None) for gpu in kinds]
    judged = [(gpu, _judge_generation(gpu, row, here, machine) if row else None) for gpu, row in rows]

    def finding(verdict: Verdict, message: str, *gpus: Gpu, hints: tuple[str, ...] = ()) -> Finding:
        return Finding(
            rule="driver-generation",
            verdict=verdict,
            subject=needs.subject,
            message=message,
            evidence=(*driver_evidence(machine), *(gpu_evidence(gpu, machine) for gpu in gpus)),
            hints=hints,
        )

    all_fail = all(objection for _, objection in judged)
    for gpu, objection in judged:
        if objection:
            message, hint = objection
            yield finding(Verdict.FAILS if all_fail else Verdict.DEGRADED, message, gpu, hints=(hint,))
    for gpu, row in rows:
        if row is None:
            message = f"whether {here} serves {gpu_label(gpu)} is not known, since its generation is not"
            yield finding(Verdict.UNKNOWN, message, gpu)
    served = [gpu for gpu, row in rows if row]
    if served and not any(objection for _, objection in judged):
        yield finding(Verdict.WORKS, f"{here} serves {', '.join(gpu_label(gpu) for gpu in served)}")


def _judge_generation(gpu: Gpu, row: Capability, here: str, machine: Machine) -> tuple[str, str] | None:
    """What the driver has against the GPU, and what to do; None where it serves it."""
    last, first = row.last_driver_branch, row.first_driver_branch
    if last is not None and _is_past(last, machine):
        return (
            f"{here} no longer serves {gpu_label(gpu)}: branch R{last} was the last for its generation",
            f"install a driver of branch R{last}",
        )
    if machine.driver.module == "nvidia-open" and not row.open_kernel_modules:
        return (
            f"NVIDIA's open kernel modules do not serve {gpu_label(gpu)}: they begin with Turing (7.5)",
            "install the driver with its closed kernel modules",
        )
    if machine.system.wsl and row.capability.major < 6:
        return (f"CUDA under WSL begins with Pascal (6.0), and here is {gpu_label(gpu)}", "use the GPU from Windows")
    if _is_before(row, machine):
        return (
            f"{here} does not know {gpu_label(gpu)}: its generation came with branch R{first}",
            f"install a driver of branch R{first} or later",
        )
    return None


def _is_past(branch: int, machine: Machine) -> bool:
    """Whether the driver is of a later branch. Windows numbers the drivers of R580 from 580 to 582, so there it is
    later from the number of the next branch on; a driver known by its CUDA alone is, from the next one's CUDA on.
    """
    version, cuda = numbered_driver(machine), machine.driver.cuda
    following = next((toolkit for toolkit in load_toolkits() if toolkit.driver_branch > branch), None)
    if version is None:
        return bool(cuda and following and cuda >= following.version)
    if driver_system(machine) is OperatingSystem.LINUX:
        return version.branch > branch
    return following is not None and version.branch >= following.driver_branch


def _is_before(row: Capability, machine: Machine) -> bool:
    """Whether the driver is older than the GPU. Windows numbers a branch no lower than Linux does, so a lower number
    is an older driver there too. CUDA alone tells it as well: a driver serves the toolkit of its own time.
    """
    version, cuda = numbered_driver(machine), machine.driver.cuda
    if version is None:
        return cuda is not None and cuda < row.first_cuda
    return version.branch < row.first_driver_branch
