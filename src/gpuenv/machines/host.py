"""`Host`: every question that a probe may put to a computer.

A probe never touches the system by itself, so the same probe runs on this computer (`local.LocalHost`) and on a
recording of another one (`recording.RecordedHost`), be it a Windows recording under Linux. No question raises: what
is not there, or may not be read, is None or empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from gpuenv._process import Completed
from gpuenv.model import Noun

__all__ = ["ENVIRONMENT", "PRESENCE_ONLY", "Host", "PlatformFacts"]

ENVIRONMENT: tuple[str, ...] = (
    "CONDA_PREFIX",
    "CUDA_DEVICE_ORDER",
    "CUDA_HOME",
    "CUDA_MODULE_LOADING",
    "CUDA_PATH",
    "CUDA_VISIBLE_DEVICES",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NVIDIA_DISABLE_REQUIRE",
    "NVIDIA_DRIVER_CAPABILITIES",
    "NVIDIA_REQUIRE_CUDA",
    "NVIDIA_VISIBLE_DEVICES",
    "PROCESSOR_IDENTIFIER",
    "ProgramFiles",
    "SystemRoot",
    "VIRTUAL_ENV",
    "container",
)
"""The environment variables whose value a probe reads and a recording keeps."""

PRESENCE_ONLY: tuple[str, ...] = (
    "APPTAINER_CONTAINER",
    "KUBERNETES_SERVICE_HOST",
    "SINGULARITY_CONTAINER",
    "SLURM_JOB_ID",
    "WSL_DISTRO_NAME",
)
"""Variables of which only the fact that they are set is kept (as the text `set`). All others are never read."""


class PlatformFacts(Noun, frozen=True, kw_only=True):
    """What Python itself knows of a computer.

    `system` and `machine` are spelled as `uname` does (`Linux`, `Windows`, `Darwin`; `x86_64`, `AMD64`, `arm64`).
    `release` is the kernel's on Linux and the system's elsewhere; `libc` is such as `glibc 2.36`; `cores` are the
    logical processors that this process may use.
    """

    system: str
    machine: str
    release: str = ""
    libc: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None


class Host(Protocol):
    """One computer that answers. Paths are text in the spelling of its own system."""

    @property
    def environ(self) -> Mapping[str, str]:
        """Those variables of `ENVIRONMENT` and `PRESENCE_ONLY` that are set."""

    def platform(self) -> PlatformFacts:
        """System, machine, C library, cores and memory."""

    def read_text(self, path: str) -> str | None:
        """The first 64 KiB of a file; bytes that are not UTF-8 are replaced."""

    def listdir(self, path: str) -> tuple[str, ...] | None:
        """The names in a directory, sorted."""

    def read_link(self, path: str) -> str | None:
        """Where a symbolic link leads in the end; None when `path` is no link."""

    def exists(self, path: str) -> bool:
        """Whether something is at `path`."""

    def may_open(self, path: str) -> bool | None:
        """Whether this user may read and write what is at `path`; None when nothing is there."""

    def run(self, command: tuple[str, ...]) -> Completed | None:
        """What a program printed, in English; status None when it took too long, None when it is not there."""

    def driver(self, question: str) -> Any:
        """What NVML (`nvml`) or the CUDA driver (`libcuda`) answers, as JSON (see `answers.DriverAnswer`)."""

    def find_library(self, name: str) -> tuple[str, ...]:
        """Where a shared library of this name lies, in the order in which the loader would look."""

    def pci_device_name(self, vendor: str, device: str) -> str | None:
        """What the system's PCI list calls a device, by its four-digit hexadecimal numbers."""

    def read_registry(self, key: str, names: tuple[str, ...]) -> tuple[dict[str, str | int], ...] | None:
        """Windows: for each subkey of `key` under HKEY_LOCAL_MACHINE those of the named values that it has."""
