"""Probe a computer: ask its host about the system, the driver and the GPUs, and put the answers together.

Order for driver and GPUs: NVML, `libcuda`, `nvidia-smi`, `/proc/driver/nvidia`, `/sys`, the PCI bus (on Windows the
registry, on macOS the system profiler). Every value tells in `Machine.sources` which of them it came from.
"""

from __future__ import annotations

from gpuenv.machines import linux, macos, windows
from gpuenv.machines.advisories import advise
from gpuenv.machines.asking import ask_driver
from gpuenv.machines.driver import assemble_driver
from gpuenv.machines.found import Surroundings
from gpuenv.machines.gpus import assemble_gpus
from gpuenv.machines.host import Host
from gpuenv.model import Machine

__all__ = ["probe"]

_NOT_SHOWN = frozenset({"PROCESSOR_IDENTIFIER", "ProgramFiles", "SystemRoot"})
"""Variables that only help to find things."""


def probe(host: Host) -> Machine:
    """The machine behind `host`. It never raises for what a computer answers, and waits no longer than the host."""
    around = _look_around(host)
    answers = ask_driver(host, around)
    sources = dict(around.sources)
    driver = assemble_driver(host, around, answers, sources)
    assembled = assemble_gpus(around, answers, driver.state)
    notes = (*around.notes, *advise(host, around, answers, driver, assembled.gpus or ()), *assembled.notes)
    return Machine(
        system=around.system,
        cpu=around.cpu,
        memory_bytes=around.memory_bytes,
        driver=driver,
        gpus=assembled.gpus,
        environ={name: value for name, value in host.environ.items() if name not in _NOT_SHOWN},
        sources=sources | assembled.sources,
        notes=notes,
    )


def _look_around(host: Host) -> Surroundings:
    system = host.platform().system
    if system == "Darwin":
        return macos.look_around(host)
    # Python of Cygwin and MSYS2 names its own layer first.
    if system == "Windows" or system.startswith(("CYGWIN", "MSYS", "MINGW")):
        return windows.look_around(host)
    return linux.look_around(host)
