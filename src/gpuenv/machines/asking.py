"""Ask the driver in every way there is, best first, and only where something hints at one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gpuenv.machines.answers import NOT_ASKED, DriverAnswer, read_answer
from gpuenv.machines.found import Surroundings
from gpuenv.machines.host import Host
from gpuenv.machines.smi import ask_smi
from gpuenv.model import OperatingSystem

__all__ = ["DriverAnswers", "ask_driver", "is_stand_in"]

_STAND_IN = re.compile(r"/(?:stubs|(?:cuda-)?compat(?:_\w+)?)/")


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverAnswers:
    """The three answers, and where the two libraries lie (`nvml_files`, `cuda_files`)."""

    nvml: DriverAnswer = NOT_ASKED
    cuda: DriverAnswer = NOT_ASKED
    smi: DriverAnswer = NOT_ASKED
    nvml_files: tuple[str, ...] = ()
    cuda_files: tuple[str, ...] = ()

    @property
    def is_any_good(self) -> bool:
        """Whether the driver answered at all, which it only does when it is loaded."""
        return self.nvml.is_good or self.cuda.is_good or self.smi.is_good

    @property
    def own_files(self) -> tuple[str, ...]:
        """The libraries that came with a driver, not with a toolkit."""
        return tuple(path for path in (*self.cuda_files, *self.nvml_files) if not is_stand_in(path))


def is_stand_in(path: str) -> bool:
    """Whether a libcuda is one of cuda-compat, or the empty one that toolkits bring to link against."""
    return _STAND_IN.search(path) is not None


def ask_driver(host: Host, around: Surroundings) -> DriverAnswers:
    """NVML, then libcuda, then `nvidia-smi` where NVML gave no GPU.

    The libraries are asked in child processes, which cost time, so they are left alone where neither a library nor a
    loaded module is to be seen.
    """
    os = around.system.os
    if os is OperatingSystem.MACOS:
        return DriverAnswers()
    on_windows = os is OperatingSystem.WINDOWS
    nvml_files = host.find_library("nvml.dll" if on_windows else "libnvidia-ml.so.1")
    cuda_files = host.find_library("nvcuda.dll" if on_windows else "libcuda.so.1")
    nvml = cuda = NOT_ASKED
    if nvml_files or cuda_files or around.kernel.is_loaded or host.exists("/dev/nvidiactl"):
        nvml = read_answer(host.driver("nvml"))
        cuda = read_answer(host.driver("libcuda"))
    smi = NOT_ASKED if nvml.is_good else ask_smi(host, os)
    return DriverAnswers(nvml=nvml, cuda=cuda, smi=smi, nvml_files=nvml_files, cuda_files=cuda_files)
