"""What was read in a file of another tool: specs for a request, what the machine must offer, what is left behind."""

from __future__ import annotations

from dataclasses import dataclass

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.errors import FormatError
from gpuenv.model import DriverState, Machine, OperatingSystem
from gpuenv.versions import CudaVersion, LibcVersion

__all__ = ["CondaPart", "Imported", "MachineRequirements", "PinnedFile", "cuda_of", "glibc_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRequirements:
    """What a machine must offer at least; `platforms` are conda's names (`linux-64`), empty for any."""

    cuda: CudaVersion | None = None
    glibc: LibcVersion | None = None
    macos: str | None = None
    platforms: tuple[str, ...] = ()

    def unmet(self, machine: Machine) -> tuple[str, ...]:
        """One line for each requirement that `machine` is known not to meet, or that nobody knows of."""
        return tuple(filter(None, (self._platform(machine), self._cuda(machine), self._libc(machine))))

    def _platform(self, machine: Machine) -> str:
        here = subdir_of(machine.platform)
        if not self.platforms or here in self.platforms:
            return ""
        return f"it is for {', '.join(self.platforms)}, and `{machine.name}` is {here}"

    def _cuda(self, machine: Machine) -> str:
        if self.cuda is None:
            return ""
        driver = machine.driver
        wanted = f"it asks for a driver that serves CUDA {self.cuda}"
        if driver.cuda is not None:
            return "" if driver.cuda >= self.cuda else f"{wanted}; the driver of `{machine.name}` serves {driver.cuda}"
        if driver.state is DriverState.MISSING or machine.gpus == ():
            return f"{wanted}; `{machine.name}` has no NVIDIA driver"
        return f"{wanted}; what the driver of `{machine.name}` serves is not known"

    def _libc(self, machine: Machine) -> str:
        system = machine.system
        if self.glibc is None or system.os is not OperatingSystem.LINUX:
            return ""
        source = machine.sources.get("system.glibc", "")
        wanted = f"it asks for the GNU C library {self.glibc}"
        if system.glibc is None and source:
            return f"{wanted}; `{machine.name}` has another C library"
        if system.glibc is None or source == "assumed":
            return ""
        return "" if system.glibc >= self.glibc else f"{wanted}; `{machine.name}` has {system.glibc}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """One conda package of an explicit list: a file of a channel, with the hash that the list gives for it."""

    name: str
    channel: str
    filename: str
    sha256: str | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CondaPart:
    """What a file of conda or pixi asks for in conda's words, to be planned from channels.

    `specs` are for conda channels, `wheels` for a Python index, `pins` are specs that mean one file. `channels` are in
    order of priority, their paths start at the file. `only_own` leaves out the channels of the user's configuration.
    Where it `is_strict` each must be in a channel, or in the catalog under that name. `notes` tell what stays behind
    where the wheels of the same projects are taken instead.
    """

    specs: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    pins: tuple[PinnedFile, ...] = ()
    channels: tuple[str, ...] = ()
    only_own: bool = False
    is_strict: bool = True
    notes: tuple[str, ...] = ()

    @property
    def names_channels(self) -> bool:
        """Whether the file itself says where conda packages come from."""
        return bool(self.channels) or any("::" in spec for spec in self.specs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Specs as `Request` takes them, all of them for wheels where there is a `conda` part, which says the same for
    channels. `python` is a version; a range is a spec. `notes` tell what stays behind.
    """

    specs: tuple[str, ...] = ()
    python: str | None = None
    conda: CondaPart | None = None
    notes: tuple[str, ...] = ()
    requires: MachineRequirements = MachineRequirements()


def cuda_of(text: str, where: str) -> CudaVersion:
    """A CUDA version that a file names, `12` for 12.0; FormatError for what is none."""
    return CudaVersion(text if "." in text else _number(text, where))


def glibc_of(text: str, where: str) -> LibcVersion:
    """A version of the GNU C library that a file names; FormatError for what is none."""
    return LibcVersion(text if "." in text else _number(text, where))


def _number(text: str, where: str) -> str:
    if not (text.isascii() and text.isdigit()):
        raise FormatError(f"{where} is not a version: `{text[:40]}`")
    return f"{text}.0"
