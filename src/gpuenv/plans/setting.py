"""Where a plan is to run, and by which policies builds are preferred."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuenv.machines.virtual_packages import virtual_packages
from gpuenv.model import GpuPolicy, LockedConda, Machine, Request
from gpuenv.plans.knowledge import Knowledge, alike

if TYPE_CHECKING:
    from gpuenv.channels.conda.view import ChannelView

__all__ = ["Setting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One or more machines of one platform, each with the Python that is meant; and what was asked of the plan.

    `kept` are conda packages that stay where they can.
    """

    machines: tuple[Machine, ...]
    gpu: GpuPolicy = GpuPolicy.PREFER
    allow_degraded: bool = False
    knowledge: Knowledge = field(default_factory=Knowledge)
    kept: tuple[LockedConda, ...] = ()

    @classmethod
    def of(
        cls,
        request: Request,
        machines: Iterable[Machine],
        knowledge: Knowledge,
        *,
        kept: tuple[LockedConda, ...] = (),
    ) -> Setting:
        """The setting of a request on machines, of which those count once that are alike."""
        distinct = {alike(machine): machine for machine in reversed([*machines])}
        return cls(
            machines=tuple(distinct.values())[::-1],
            gpu=request.gpu,
            allow_degraded=request.allow_degraded,
            knowledge=knowledge,
            kept=kept,
        )

    @property
    def first(self) -> Machine:
        """The machine that stands for all where they agree: platform and Python."""
        return self.machines[0]

    @property
    def platform(self) -> str:
        """The platform of the machines."""
        return self.first.platform

    @property
    def prefers_gpu(self) -> bool:
        """Whether GPU builds go first: somewhere there is a GPU of NVIDIA's, or perhaps is."""
        return self.gpu is not GpuPolicy.NEVER and any(one.nvidia_gpus or one.gpus is None for one in self.machines)

    @property
    def view(self) -> ChannelView | None:
        """The conda channels of the request for this platform; None where it has none."""
        channels = self.knowledge.channels
        return channels.view(self.platform) if channels else None

    @property
    def virtual_packages(self) -> tuple[tuple[str, str, str], ...]:
        """What all machines offer (CEP 30): name, version and build of each package that every one of them has, in the
        lowest version.
        """
        first, *others = [{one[0]: one for one in virtual_packages(machine)} for machine in self.machines]
        shared = [name for name in first if all(name in other for other in others)]
        return tuple(
            min((found[name] for found in (first, *others)), key=lambda one: _numbers(one[1])) for name in shared
        )

    @property
    def oldest(self) -> Machine:
        """The machine with the oldest C library, for which wheels have to be chosen."""

        def age(machine: Machine) -> tuple[bool, tuple[int, ...]]:
            glibc = machine.system.glibc
            return glibc is not None, glibc.numbers if glibc else ()

        return min(self.machines, key=age)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
