"""What a user should know about a probed machine beyond its values: one sentence each, only when it matters."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.machines.asking import DriverAnswers, is_stand_in
from gpuenv.machines.found import Surroundings
from gpuenv.machines.host import Host
from gpuenv.machines.visible import visible_note
from gpuenv.model import Driver, DriverState, Gpu, OperatingSystem, Vendor

__all__ = ["advise"]

SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
"""The EFI variable: four bytes of attributes, then one byte, 1 when on (UEFI Specification, Globally Defined
Variables; Linux kernel, efivarfs)."""

_WITHOUT_UVM = {100, 304, 999}
"""What cuInit returns where it cannot open a device file: NO_DEVICE, OPERATING_SYSTEM, UNKNOWN (CUresult)."""

WSL_LIBRARIES = "/usr/lib/wsl/"


def advise(
    host: Host, around: Surroundings, answers: DriverAnswers, driver: Driver, gpus: tuple[Gpu, ...]
) -> Iterator[str]:
    """The notes, most important first."""
    nvidia = tuple(gpu for gpu in gpus if gpu.vendor is Vendor.NVIDIA)
    yield from _about_libraries(around, answers)
    if around.system.os is OperatingSystem.LINUX:
        yield from _about_container(host, around, answers, driver)
        yield from _about_modules(host, around, answers, driver)
    hidden = visible_note(host.environ.get("CUDA_VISIBLE_DEVICES"), nvidia)
    if hidden:
        yield hidden


def _about_libraries(around: Surroundings, answers: DriverAnswers) -> Iterator[str]:
    library = answers.cuda.library
    if library and is_stand_in(library):
        kind = "the toolkit's stub of libcuda" if "/stubs/" in library else "a cuda-compat libcuda"
        yield f"{kind} is in use in place of the driver's own: {library}"
    if library and answers.cuda.outside_loader_path:
        directory = library.rpartition("/")[0]
        yield f"CUDA programs do not find libcuda.so.1 by themselves; add `{directory}` to LD_LIBRARY_PATH"
    in_wsl = around.system.wsl and around.system.container is None
    if library and in_wsl and not library.startswith(WSL_LIBRARIES):
        yield f"in WSL only Windows's driver works, and a Linux driver library hides it: {library}"
    if answers.smi.is_good and answers.nvml.is_missing and answers.cuda.is_missing:
        yield "`nvidia-smi` answers, but Python finds none of the driver's libraries: CUDA may not work"


def _about_container(host: Host, around: Surroundings, answers: DriverAnswers, driver: Driver) -> Iterator[str]:
    if around.system.container is None:
        return
    if around.kernel.is_loaded and driver.state is DriverState.MISSING:
        yield "this container has no access to its host's GPUs; start it with them (docker: `--gpus all`)"
    elif answers.nvml.is_good and answers.cuda.is_missing:
        has = host.environ.get("NVIDIA_DRIVER_CAPABILITIES", "")
        yield f"this container was started without CUDA (NVIDIA_DRIVER_CAPABILITIES={has!r} lacks `compute`)"


def _about_modules(host: Host, around: Surroundings, answers: DriverAnswers, driver: Driver) -> Iterator[str]:
    if driver.state is DriverState.INSTALLED and (host.read_text(SECURE_BOOT) or "").endswith("\x01"):
        yield "Secure Boot is on, which keeps kernel modules out that are not signed with a known key"
    # Jetson's and Windows's drivers have no such files.
    if not around.kernel.version or around.system.jetson or answers.cuda.is_good:
        return
    if driver.state is not DriverState.LOADED:
        return
    code = answers.cuda.failure.code if answers.cuda.failure else None
    lists_gpus = bool(answers.nvml.gpus or around.kernel.gpus)
    if lists_gpus and code in _WITHOUT_UVM and not host.exists("/dev/nvidia-uvm"):
        yield "/dev/nvidia-uvm is missing, without which CUDA does not start: load it with `sudo modprobe nvidia-uvm`"
    closed = [path for path in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm") if host.may_open(path) is False]
    if closed:
        yield f"this user may not open {', '.join(closed)}, so CUDA works for others only"
