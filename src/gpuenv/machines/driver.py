"""Put together what is known of NVIDIA's driver, each value with its source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuenv.errors import FormatError
from gpuenv.facts.toolkits import driver_cuda
from gpuenv.machines.answers import DriverAnswer, FailureKind
from gpuenv.machines.asking import DriverAnswers, is_stand_in
from gpuenv.machines.found import Surroundings, read_driver_version
from gpuenv.machines.host import Host
from gpuenv.model import Driver, DriverState, OperatingSystem, Vendor
from gpuenv.versions import CudaVersion, DriverVersion

__all__ = ["assemble_driver", "driver_state"]

NO_DEVICE = 100
"""CUDA_ERROR_NO_DEVICE (CUDA Driver API, CUresult)."""

_FILE_VERSION = re.compile(r"lib(?:cuda|nvidia-ml)\.so\.(\d{2,4}(?:\.\d{1,4}){1,3})", re.ASCII)

_NVML_TEXTS = {9: "driver not loaded", 18: "driver/library version mismatch"}
"""Where pynvml's own text is not what people know the error by (nvmlReturn_t)."""

_LIVING = {FailureKind.HANG, FailureKind.CRASH}


def assemble_driver(host: Host, around: Surroundings, answers: DriverAnswers, sources: dict[str, str]) -> Driver:
    """The driver; adds where its values came from to `sources`."""
    state = driver_state(around, answers)
    version, version_source = _version(host, around, answers, state)
    cuda, cuda_source = _cuda(around, answers, version, state)
    kernel = around.kernel
    error = "; ".join(_errors(around, answers))
    kept = {
        "driver.state": (state, _state_source(around, answers)),
        "driver.version": (version, version_source),
        "driver.kernel_version": (kernel.version, kernel.version_source),
        "driver.cuda": (cuda, cuda_source),
        "driver.module": (kernel.name, kernel.name_source),
    }
    sources |= {field: source for field, (value, source) in kept.items() if value}
    return Driver(
        state=state,
        version=version,
        kernel_version=kernel.version,
        cuda=cuda,
        module=kernel.name,
        error=error or None,
    )


def driver_state(around: Surroundings, answers: DriverAnswers) -> DriverState:
    """Loaded when it answers or shows; libraries alone are `installed`; a module without libraries serves nobody.

    Where the system does not show modules (Windows, WSL), a library that hangs or crashes tells nothing.
    """
    if answers.is_any_good:
        return DriverState.LOADED
    # A library that the loader found elsewhere than in the listed places is one, too.
    has_files = bool(answers.own_files) or not (answers.nvml.is_missing and answers.cuda.is_missing)
    if around.kernel.is_loaded:
        return DriverState.LOADED if has_files else DriverState.MISSING
    if not answers.own_files:
        return DriverState.MISSING
    kinds = {answer.failure.kind for answer in (answers.nvml, answers.cuda) if answer.failure}
    if around.kernel.is_loaded is None and kinds & _LIVING:
        return DriverState.UNKNOWN
    return DriverState.INSTALLED


def _state_source(around: Surroundings, answers: DriverAnswers) -> str:
    named = (("NVML", answers.nvml), ("libcuda", answers.cuda), ("nvidia-smi", answers.smi))
    good = next((name for name, answer in named if answer.is_good), None)
    return good or around.kernel.name_source or (answers.own_files or ("no driver library was found",))[0]


def _version(
    host: Host, around: Surroundings, answers: DriverAnswers, state: DriverState
) -> tuple[DriverVersion | None, str]:
    """The user-mode part's version; the module's stands in for it only where both are there."""
    candidates = [
        (read_driver_version(answers.nvml.version), "NVML"),
        (read_driver_version(answers.smi.version), "nvidia-smi"),
        (around.driver_version, "registry"),
        *_versions_in_names(host, answers),
    ]
    if state is DriverState.LOADED:
        candidates.append((around.kernel.version, around.kernel.version_source))
    return next(((version, source) for version, source in candidates if version), (None, ""))


def _versions_in_names(host: Host, answers: DriverAnswers) -> Iterator[tuple[DriverVersion | None, str]]:
    """NVIDIA puts the version into the file name: `libcuda.so.1` leads to `libcuda.so.550.54.15`."""
    loaded = [path for path in (answers.cuda.library, answers.nvml.library) if path]
    for path in dict.fromkeys((*loaded, *answers.own_files)):
        target = path if path in loaded else host.read_link(path) or path
        found = _FILE_VERSION.fullmatch(target.rpartition("/")[2])
        if found and not is_stand_in(target):
            yield read_driver_version(found[1]), f"file name {target}"


def _cuda(
    around: Surroundings, answers: DriverAnswers, version: DriverVersion | None, state: DriverState
) -> tuple[CudaVersion | None, str]:
    """What libcuda serves, as programs will find it; else the other sources; else what the version's branch serves."""
    if state is DriverState.MISSING:
        return None, ""
    own, reported = _decode(answers.cuda), _decode(answers.nvml)
    # A library that could not start, and did not come with the driver, tells what it would serve elsewhere.
    if own and (answers.cuda.is_good or not is_stand_in(answers.cuda.library or "")):
        return own, "libcuda" if reported in {None, own} else f"libcuda (NVML: {reported})"
    others = ((None if own else reported, "NVML"), (_decode(answers.smi), "nvidia-smi"))
    found = next(((cuda, source) for cuda, source in others if cuda), None)
    if found:
        return found
    driver_os = OperatingSystem.WINDOWS if around.system.wsl else around.system.os
    table = driver_cuda(version, driver_os) if version else None
    return (table, "table of driver versions") if table else (None, "")


def _decode(answer: DriverAnswer) -> CudaVersion | None:
    try:
        return CudaVersion.from_driver_integer(answer.cuda) if answer.cuda else None
    except FormatError:
        return None


def _errors(around: Surroundings, answers: DriverAnswers) -> Iterator[str]:
    """What went wrong, each with the name of who said it and its code in brackets."""
    nvml, cuda, smi = answers.nvml, answers.cuda, answers.smi
    if nvml.failure and not nvml.is_missing:
        text = _NVML_TEXTS.get(nvml.failure.code or 0, nvml.failure.text.rstrip("."))
        yield f"NVML: {text}" + _code(nvml)
    listed = bool(nvml.gpus or smi.gpus)
    if cuda.failure and not cuda.is_missing and (cuda.failure.code != NO_DEVICE or listed or _on_bus(around)):
        yield f"libcuda: {cuda.failure.text}" + _code(cuda)
    if cuda.is_missing and nvml.is_good:
        yield "libcuda: the library is missing"
    if smi.failure and not smi.is_missing and nvml.is_missing and cuda.is_missing:
        yield f"nvidia-smi: {smi.failure.text}" + _code(smi)
    if around.kernel.is_loaded and driver_state(around, answers) is DriverState.MISSING:
        yield "the kernel module is loaded, but the driver's libraries are not here"
    if around.driver_version and not answers.own_files and not answers.is_any_good:
        yield f"Windows lists driver {around.driver_version}, but its CUDA library is not here"


def _code(answer: DriverAnswer) -> str:
    code = answer.failure.code if answer.failure else None
    return f" ({code})" if code is not None else ""


def _on_bus(around: Surroundings) -> bool:
    return any(gpu.vendor is Vendor.NVIDIA for gpu in (*(around.bus_gpus or ()), *around.kernel.gpus))
