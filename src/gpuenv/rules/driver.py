"""Rules on NVIDIA's driver: that it is there, whole, new enough for the CUDA line, and made for the GPU."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import driver_floor as find_floor
from gpuenv.model import DriverState, Evidence, Finding, Gpu, Machine, Needs, OperatingSystem, Verdict
from gpuenv.rules.reading import cuda_gpus, driver_evidence, driver_system, gpu_evidence, gpu_label
from gpuenv.versions import CudaVersion, DriverVersion

_NOT_NVIDIA = {
    "nouveau": "Nouveau",
    "nova": "Nova",
    "nova_core": "Nova",
    "vfio-pci": "vfio-pci, for a virtual machine,",
}


def _asks_driver(needs: Needs, machine: Machine) -> bool:
    """Whether the driver matters: not where there is no NVIDIA GPU that could use it."""
    return needs.uses_gpu and machine.system.os is not OperatingSystem.MACOS and machine.gpus != ()


def driver_present(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """CUDA needs NVIDIA's own driver, loaded. Nouveau and Nova, which Linux distributions ship, give no CUDA and have
    to make way for it.
    """
    if not _asks_driver(needs, machine) or (machine.gpus and not machine.nvidia_gpus):
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

    if driver.module in _NOT_NVIDIA:
        yield finding(
            Verdict.FAILS,
            f"{_NOT_NVIDIA[driver.module]} drives the GPU, and CUDA needs NVIDIA's own driver in its place",
            "install the driver that your distribution packages as `nvidia-driver`, then restart",
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
            "install the driver that your distribution packages as `nvidia-driver`",
        )
    else:
        yield finding(Verdict.UNKNOWN, "the driver is not known", "name it: `--machine …,driver=535.129.03`")


def driver_match(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """The driver's kernel module and its libraries must be of one version; after an update without a restart they are
    not, and every CUDA call fails.
    """
    driver = machine.driver
    if not _asks_driver(needs, machine) or not (driver.version and driver.kernel_version):
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


def driver_floor(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """Each CUDA major has an oldest driver, from CUDA 11 on the same for all its minor versions; up to 10.2 each
    toolkit has its own. Newer drivers run older CUDA. A cuda-compat package lifts what the driver serves.
    """
    if not _asks_driver(needs, machine) or (needs.cuda is None and needs.driver_floor is None):
        return
    driver = machine.driver
    if driver.state in {DriverState.MISSING, DriverState.INSTALLED} or driver.module in _NOT_NVIDIA:
        return
    floor = find_floor(needs.cuda, driver_system(machine)) if needs.cuda else None
    floors = [version for version in (floor and floor.version, needs.driver_floor) if version]
    oldest = max(floors) if floors else None
    verdict = _judge_floor(needs, driver.version, driver.cuda, oldest)
    line = f"CUDA {_line(needs)}" if needs.cuda else "it"
    here = f"driver {driver.version}" if driver.version else f"the driver serves CUDA {driver.cuda}"
    if verdict is Verdict.UNKNOWN:
        message = f"{line} needs driver {oldest or 'of an unknown version'}; the driver here is not known"
    elif verdict is Verdict.WORKS:
        message = f"{line} runs from driver {oldest} on; here {here}" if oldest else f"{line} runs; here {here}"
    else:
        message = f"{line} needs driver {oldest or 'of a newer branch'} or later; here {here}"
    needed = Evidence(
        what="driver needed", value=str(oldest), source=", ".join(floor.source) if floor else needs.subject
    )
    yield Finding(
        rule="driver-floor",
        verdict=verdict,
        subject=needs.subject,
        message=message,
        evidence=(*driver_evidence(machine), *((needed,) if oldest else ())),
        hints=(f"update the driver to {oldest} or later",) if verdict is Verdict.FAILS and oldest else (),
    )


def _line(needs: Needs) -> str:
    assert needs.cuda
    pinned = needs.cuda_newest is None or needs.cuda_newest == needs.cuda
    return str(needs.cuda) if pinned else str(needs.cuda.major)


def _judge_floor(
    needs: Needs, version: DriverVersion | None, serves: CudaVersion | None, oldest: DriverVersion | None
) -> Verdict:
    # What cuDriverGetVersion says decides when it already covers the line: that is how cuda-compat shows.
    own_floor_met = needs.driver_floor is None or (version is not None and version >= needs.driver_floor)
    if needs.cuda and serves and serves >= needs.cuda and own_floor_met:
        return Verdict.WORKS
    if version is not None:
        if oldest is None:
            return Verdict.UNKNOWN
        return Verdict.WORKS if version >= oldest else Verdict.FAILS
    if needs.cuda is None or serves is None or needs.driver_floor is not None:
        return Verdict.UNKNOWN
    minor_versions_mix = needs.cuda.major >= 11 and serves.major == needs.cuda.major
    return Verdict.WORKS if minor_versions_mix else Verdict.FAILS


def driver_generation(needs: Needs, machine: Machine) -> Iterator[Finding]:
    """A driver serves a span of GPU generations: one older than the GPU does not know it, and NVIDIA drops old
    generations from newer branches (R590 no longer sees Maxwell, Pascal and Volta).
    """
    version = machine.driver.version
    if not _asks_driver(needs, machine) or version is None:
        return
    kinds = cuda_gpus(machine) or machine.nvidia_gpus
    judged = [(gpu, said) for gpu in kinds if (said := _judge_generation(gpu, version, machine))]
    all_fail = len(judged) == len(kinds)
    for gpu, (message, hint) in judged:
        yield Finding(
            rule="driver-generation",
            verdict=Verdict.FAILS if all_fail else Verdict.DEGRADED,
            subject=needs.subject,
            message=message,
            evidence=(*driver_evidence(machine), gpu_evidence(gpu, machine)),
            hints=(hint,),
        )
    if kinds and not judged and all(gpu.compute_capability for gpu in kinds):
        yield Finding(
            rule="driver-generation",
            verdict=Verdict.WORKS,
            subject=needs.subject,
            message=f"driver {version} serves {', '.join(gpu_label(gpu) for gpu in kinds)}",
            evidence=driver_evidence(machine),
        )


def _judge_generation(gpu: Gpu, version: DriverVersion, machine: Machine) -> tuple[str, str] | None:
    row = find_capability(gpu.compute_capability) if gpu.compute_capability else None
    if row is None:
        return None
    if row.last_driver_branch is not None and version.branch > row.last_driver_branch:
        last = row.last_driver_branch
        return (
            f"driver {version} no longer serves {gpu_label(gpu)}: branch R{last} was the last for its generation",
            f"install a driver of branch R{last}",
        )
    if machine.driver.module == "nvidia-open" and not row.open_kernel_modules:
        return (
            f"NVIDIA's open kernel modules do not serve {gpu_label(gpu)}: they begin with Turing (7.5)",
            "install the driver with its closed kernel modules",
        )
    if machine.system.wsl and row.capability.major < 6:
        return (f"CUDA under WSL begins with Pascal (6.0), and here is {gpu_label(gpu)}", "use the GPU from Windows")
    # The first branch is of Linux; Windows numbers a branch somewhat higher, so the comparison stays on the safe side.
    if driver_system(machine) is OperatingSystem.LINUX and version.branch < row.first_driver_branch:
        first = row.first_driver_branch
        return (
            f"driver {version} does not know {gpu_label(gpu)}: its generation came with branch R{first}",
            f"install a driver of branch R{first} or later",
        )
    return None
