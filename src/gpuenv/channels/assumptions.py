"""What is assumed of a machine where nobody said it, so that an answer is possible at all."""

from __future__ import annotations

import msgspec

from gpuenv.channels.destinations import ASSUMED_GLIBC
from gpuenv.model import Machine, OperatingSystem
from gpuenv.versions import LibcVersion

__all__ = ["LATER_GLIBC", "with_assumptions"]

LATER_GLIBC = "2.34"
"""The C library to assume where there is no plan for the usual one: Red Hat Enterprise Linux 9's; Ubuntu has had it or
a later one since 22.04.
"""


def with_assumptions(machine: Machine, python: str | None, *, glibc: str = ASSUMED_GLIBC) -> Machine:
    """The machine with the Python that is meant, and with a C library to assume where its own is not known.

    The default is what to plan for. `sources` calls it `assumed`; a source without a value (Alpine) means that there
    is known to be no GNU C library.
    """
    machine = msgspec.structs.replace(machine, python=python)
    if machine.system.os is not OperatingSystem.LINUX or "system.glibc" in machine.sources or machine.system.glibc:
        return machine
    system = msgspec.structs.replace(machine.system, glibc=LibcVersion(glibc))
    return msgspec.structs.replace(machine, system=system, sources={**machine.sources, "system.glibc": "assumed"})
