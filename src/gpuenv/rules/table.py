"""The one table of rules. `info`, planning and everything else that judges runs this table and nothing beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gpuenv.model import Finding, Machine, Needs
from gpuenv.rules import advice, code, driver, floors, hardware, platform, toolkit, virtual

__all__ = ["RULES", "Rule", "check"]

Check = Callable[[Needs, Machine], Iterator[Finding]]

NVIDIA_COMPATIBILITY = "NVIDIA, CUDA Compatibility, Minor Version Compatibility"
NVIDIA_MATRIX = "NVIDIA, CUDA Toolkit, Driver, and Architecture Matrix"
NVIDIA_GUIDE = "NVIDIA, CUDA C++ Programming Guide, Binary Compatibility and PTX Compatibility"
NVIDIA_RELEASE_NOTES = "NVIDIA, CUDA Toolkit Release Notes, driver and platform tables"
ANACONDA_PAGE = "Anaconda, Working with GPU packages, hardware and software requirements"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: its id, the function that judges, and where the rule comes from.

    The function yields nothing when the rule has no word on this need, else one `Finding` per subject with this
    rule's id. Its docstring is the rule's entry in the documentation.
    """

    id: str
    check: Check
    source: str

    @property
    def documentation(self) -> str:
        """The rule in words."""
        return inspect.getdoc(self.check) or ""


RULES: tuple[Rule, ...] = (
    Rule(id="withdrawn", check=platform.withdrawn, source="the catalog, which names the report"),
    Rule(id="operating-system", check=platform.operating_system, source=NVIDIA_RELEASE_NOTES),
    Rule(id="cpu-architecture", check=platform.cpu_architecture, source=NVIDIA_RELEASE_NOTES),
    Rule(id="jetson-build", check=platform.jetson_build, source=NVIDIA_RELEASE_NOTES),
    Rule(id="python-build", check=platform.python_build, source="PEP 425, compatibility tags of wheels"),
    Rule(id="c-library", check=platform.c_library, source="PEP 600, manylinux tags name the oldest GNU C library"),
    Rule(id="gpu-present", check=hardware.gpu_present, source=ANACONDA_PAGE),
    Rule(id="gpu-visible", check=hardware.gpu_visible, source="NVIDIA, MIG User Guide, CUDA device enumeration"),
    Rule(id="driver-present", check=driver.driver_present, source=ANACONDA_PAGE),
    Rule(
        id="driver-match", check=driver.driver_match, source="NVIDIA, CUDA Runtime API, cudaErrorSystemDriverMismatch"
    ),
    Rule(id="driver-floor", check=floors.driver_floor, source=NVIDIA_COMPATIBILITY),
    Rule(id="virtual-package", check=virtual.virtual_package, source="CEP 30 and CEP 46, virtual packages of conda"),
    Rule(id="driver-generation", check=driver.driver_generation, source=NVIDIA_MATRIX),
    Rule(id="toolkit-dropped-gpu", check=toolkit.toolkit_dropped_gpu, source=NVIDIA_MATRIX),
    Rule(id="toolkit-older-than-gpu", check=toolkit.toolkit_older_than_gpu, source=NVIDIA_MATRIX),
    Rule(id="library-dropped-gpu", check=toolkit.library_dropped_gpu, source="NVIDIA, cuDNN support matrices"),
    Rule(id="driver-loads-ptx", check=toolkit.driver_loads_ptx, source=NVIDIA_GUIDE),
    Rule(id="kernel-image", check=code.kernel_image, source=NVIDIA_GUIDE),
    Rule(id="side-library", check=code.side_library, source=NVIDIA_GUIDE),
    Rule(id="system-cuda", check=platform.system_cuda, source="the package's own installation guide"),
    Rule(id="host-memory", check=advice.host_memory, source=ANACONDA_PAGE),
    Rule(id="cpu-cores", check=advice.cpu_cores, source=ANACONDA_PAGE),
    Rule(id="board-class", check=advice.board_class, source=ANACONDA_PAGE),
)


def check(needs: Needs, machine: Machine) -> tuple[Finding, ...]:
    """What every rule says of `needs` on `machine`, in the order of the table. Pure; the same input, the same word."""
    return tuple(finding for rule in RULES for finding in rule.check(needs, machine))
