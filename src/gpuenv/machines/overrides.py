"""The variables with which conda users change what the solver believes of a machine (CEP 30, CEP 46).

A variable that is set to nothing says that the thing is absent; one that is not set says nothing. The point of an
override is to plan for another machine than this one, so what is known of this machine gives way where it disagrees.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from gpuenv.errors import RequestError
from gpuenv.facts.toolkits import driver_cuda
from gpuenv.machines.described_gpus import unnamed_gpu
from gpuenv.machines.quantities import quoted, read_version
from gpuenv.model import Driver, DriverState, Gpu, Machine, OperatingSystem, Vendor
from gpuenv.settings import variable
from gpuenv.versions import ComputeCapability, CudaVersion, LibcVersion

__all__ = ["apply_overrides"]

_CUDA, _CUDA_ARCH, _GLIBC = "CONDA_OVERRIDE_CUDA", "CONDA_OVERRIDE_CUDA_ARCH", "CONDA_OVERRIDE_GLIBC"
_ARCHSPEC = "CONDA_OVERRIDE_ARCHSPEC"
_RELEASES = {
    OperatingSystem.LINUX: "CONDA_OVERRIDE_LINUX",
    OperatingSystem.MACOS: "CONDA_OVERRIDE_OSX",
    OperatingSystem.WINDOWS: "CONDA_OVERRIDE_WIN",
}
_NVIDIA_MODULES = {"nvidia", "nvidia-open", "nvgpu"}


def apply_overrides(machine: Machine, environ: Mapping[str, str]) -> Machine:
    """`machine` as the variables of `environ` want it seen; RequestError for a value that is no version.

    The CUDA version comes first, because a compute capability only counts where there is a driver (CEP 46).
    """
    if (cuda := variable(_CUDA, environ)) is not None:
        machine = _with_cuda(machine, cuda.strip())
    if (capability := variable(_CUDA_ARCH, environ)) is not None:
        machine = _with_capability(machine, capability.strip())
    if (glibc := variable(_GLIBC, environ)) is not None:
        machine = _with_glibc(machine, glibc.strip())
    if release := (variable(_RELEASES[machine.system.os], environ) or "").strip():
        machine = _with_release(machine, release, _RELEASES[machine.system.os])
    if processor := (variable(_ARCHSPEC, environ) or "").strip():
        machine = _with_processor(machine, processor)
    return machine


def _changed(machine: Machine, *fields: str, source: str, **changes: object) -> Machine:
    """`machine` with changes, and `source` as where these fields come from."""
    return msgspec.structs.replace(machine, sources=machine.sources | dict.fromkeys(fields, source), **changes)


# ---- CUDA ----------------------------------------------------------------------------------------------------


def _with_cuda(machine: Machine, text: str) -> Machine:
    if not text:
        gpus = tuple(gpu for gpu in machine.gpus or () if gpu.vendor is not Vendor.NVIDIA)
        gone = Driver(state=DriverState.MISSING)
        return _changed(machine, "driver.state", "driver.cuda", "gpus", source=_CUDA, driver=gone, gpus=gpus)
    cuda = _cuda_version(text)
    driver = _driver_serving(cuda, machine)
    machine = _changed(machine, "driver.state", "driver.cuda", source=_CUDA, driver=driver)
    if machine.gpus is not None and not machine.nvidia_gpus:
        # The variable promises a GPU that is not here, as on a login node, and does not say which.
        return _changed(machine, "gpus", source=_CUDA, gpus=None)
    return machine


def _cuda_version(text: str) -> CudaVersion:
    """`12.4`; `12` and `12.4.1`, which conda takes too, by their first two numbers."""
    found = re.fullmatch(r"(\d{1,2})(?:\.(\d{1,2}))?(?:\.\d+)*", text, re.ASCII)
    if not found:
        raise RequestError(
            f"{_CUDA}: {quoted(text)} is not a CUDA version such as 12.4",
            hints=(f"set it to a version, to nothing for no driver, or `unset {_CUDA}`",),
        )
    return CudaVersion(f"{int(found[1])}.{int(found[2] or 0)}")


def _driver_serving(cuda: CudaVersion, machine: Machine) -> Driver:
    """The driver with this CUDA. Its own version stays only where it serves just that, or it would contradict it."""
    old = machine.driver
    numbering = OperatingSystem.WINDOWS if machine.system.wsl else machine.system.os
    keeps = old.version is not None and driver_cuda(old.version, numbering) == cuda
    return Driver(
        state=DriverState.LOADED,
        version=old.version if keeps else None,
        kernel_version=old.kernel_version if keeps else None,
        cuda=cuda,
        module=old.module if old.module in _NVIDIA_MODULES else None,
    )


# ---- compute capability --------------------------------------------------------------------------------------


def _with_capability(machine: Machine, text: str) -> Machine:
    # CEP 30 allows a build string behind the capability; CEP 46, which is newer, has none.
    value = read_version(ComputeCapability, text.partition("=")[0], _CUDA_ARCH) if text else None
    if machine.driver.cuda is None or machine.driver.state in {DriverState.MISSING, DriverState.INSTALLED}:
        ignored = f"{_CUDA_ARCH} is ignored, because no driver serves CUDA here"
        return machine if value is None else msgspec.structs.replace(machine, notes=(*machine.notes, ignored))
    fields = ("gpus", "gpus.compute_capability")
    if value is None:
        gpus = None if machine.gpus is None else tuple(_without_capability(gpu) for gpu in machine.gpus)
    else:
        gpus = _with_lowest(machine, value)
    return _changed(machine, *fields, source=_CUDA_ARCH, gpus=gpus)


def _without_capability(gpu: Gpu) -> Gpu:
    """Of a GPU whose capability nobody may know the name must not tell it either."""
    if gpu.vendor is not Vendor.NVIDIA:
        return gpu
    return msgspec.structs.replace(gpu, name="GPU of unknown compute capability", compute_capability=None, board=None)


def _with_lowest(machine: Machine, value: ComputeCapability) -> tuple[Gpu, ...]:
    """The GPUs, changed as little as makes `value` the lowest of all NVIDIA GPUs that can be used.

    The variable gives the lowest capability (CEP 46) and says nothing of better GPUs. So what lies below `value`, or
    is not known, becomes `value`; where all lie above it, the lowest of them do. Without a GPU one is added, since
    CEP 46 has the capability count also where no device was found.
    """
    usable = [gpu for gpu in machine.nvidia_gpus if gpu.usable]
    if not usable:
        return (*(machine.gpus or ()), _assumed(Gpu(name=""), value))
    lowest = min((gpu.compute_capability for gpu in usable if gpu.compute_capability), default=value)
    limit = max(lowest, value)
    if any(gpu.compute_capability in {None, value} for gpu in usable):
        limit = value
    return tuple(
        _assumed(gpu, value)
        if gpu in usable and (gpu.compute_capability is None or gpu.compute_capability <= limit)
        else gpu
        for gpu in machine.gpus or ()
    )


def _assumed(gpu: Gpu, value: ComputeCapability) -> Gpu:
    """`gpu` with this capability; a name that stands for another one gives way."""
    if gpu.compute_capability == value:
        return gpu
    return msgspec.structs.replace(gpu, name=unnamed_gpu(value), compute_capability=value, board=None)


# ---- C library -----------------------------------------------------------------------------------------------


def _with_glibc(machine: Machine, text: str) -> Machine:
    """`__glibc` exists for Linux only (CEP 30), so elsewhere the variable means nothing."""
    value = read_version(LibcVersion, text, _GLIBC) if text else None
    if machine.system.os is not OperatingSystem.LINUX:
        return machine
    system = msgspec.structs.replace(machine.system, glibc=value)
    return _changed(machine, "system.glibc", source=_GLIBC, system=system)


# ---- system and processor ------------------------------------------------------------------------------------


def _with_release(machine: Machine, text: str, name: str) -> Machine:
    """`__linux`, `__osx` and `__win` cannot be made absent (CEP 30): only a version changes them."""
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9}){0,3}", text, re.ASCII):
        raise RequestError(
            f"{name}: {quoted(text)} is not a version such as 5.15", hints=(f"set it to a version, or `unset {name}`",)
        )
    system = msgspec.structs.replace(machine.system, release=text)
    return _changed(machine, "system.release", source=name, system=system)


def _with_processor(machine: Machine, text: str) -> Machine:
    """The build string of `__archspec`, whose characters are those of build strings (CEP 26)."""
    if not re.fullmatch(r"[A-Za-z0-9_.+]{1,64}", text, re.ASCII):
        raise RequestError(
            f"{_ARCHSPEC}: {quoted(text)} is not a processor such as x86_64_v3",
            hints=(f"set it to a name of archspec's, or `unset {_ARCHSPEC}`",),
        )
    cpu = msgspec.structs.replace(machine.cpu, microarchitecture=text)
    return _changed(machine, "cpu.microarchitecture", source=_ARCHSPEC, cpu=cpu)
