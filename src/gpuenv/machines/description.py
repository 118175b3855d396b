"""A machine in words (system, driver, GPUs, sizes) to a `Machine`, with defaults for what was not said.

What nobody said stays unknown: no `gpu` means `gpus` None, no `driver` the state unknown. Three things are concluded:
an Arm processor from a GPU that only comes with one, the CUDA version from the driver's version, and on a Mac the
absence of NVIDIA's driver and GPUs. `sources` tells which values were written and which were concluded.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuenv.errors import RequestError
from gpuenv.facts.toolkits import driver_cuda, load_toolkits, toolkit_driver
from gpuenv.machines.architectures import normalise
from gpuenv.machines.described_gpus import FoundGpu, WrittenGpu, find_gpus, needs_aarch64
from gpuenv.machines.quantities import quoted, read_bytes, read_count, read_version
from gpuenv.model import Cpu, Driver, DriverState, Gpu, Machine, OperatingSystem, System, Vendor
from gpuenv.versions import CudaVersion, DriverVersion, LibcVersion

__all__ = ["EXAMPLE", "KEYS", "Description"]

KEYS: dict[str, str] = {
    "gpu": "`V100`, `2xA100-80GB`, `amd:RX 7900 XTX` or `none`; may be repeated",
    "driver": "the version of NVIDIA's driver, `none` or `nouveau`",
    "cuda": "the newest CUDA that the driver serves, as `nvidia-smi` prints it, or `none`",
    "os": "linux, windows, macos, or wsl for Linux under Windows",
    "arch": "x86_64, aarch64 or ppc64le",
    "glibc": "the version of the GNU C library",
    "memory": "the computer's memory, such as `64GiB`",
    "cores": "the number of processors",
    "gpu_memory": "the memory of the GPU named before it, such as `16GiB`",
    "capability": "the compute capability of the GPU named before it, such as `8.6`",
    "name": "what to call the machine",
}
"""What can be said of a machine."""

EXAMPLE = "gpuenv plan pytorch --machine 'gpu=2xV100,driver=535.129.03,os=linux,memory=64GiB'"

_SYSTEMS = {
    "linux": OperatingSystem.LINUX,
    "wsl": OperatingSystem.LINUX,
    "wsl2": OperatingSystem.LINUX,
    "windows": OperatingSystem.WINDOWS,
    "win": OperatingSystem.WINDOWS,
    "macos": OperatingSystem.MACOS,
    "mac": OperatingSystem.MACOS,
    "osx": OperatingSystem.MACOS,
    "darwin": OperatingSystem.MACOS,
}
_ARCHITECTURES = ("x86_64", "aarch64", "ppc64le")
_ASSUMED = "assumed"
_DRIVER_TABLE = "facts (driver table)"
_GPU_TABLE = "facts (GPU table)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What was said, key by key. `where` is `--machine` or a file; `gpus` None means that none was mentioned."""

    where: str
    name: str
    values: dict[str, str] = field(default_factory=dict)
    gpus: tuple[WrittenGpu, ...] | None = None

    def machine(self) -> Machine:
        """The machine that fits the description; RequestError where it contradicts itself or the facts."""
        sources: dict[str, str] = {}
        os_word = self._system_word()
        os = _SYSTEMS[os_word]
        found = None if self.gpus is None else find_gpus(self.gpus, os)
        system = self._system(os_word, found, sources)
        driver, notes = self._driver(system, found, sources)
        gpus = self._gpus(system, found, sources)
        if "memory" in self.values:
            sources["memory_bytes"] = self.where
        if "cores" in self.values:
            sources["cpu.cores"] = self.where
        return Machine(
            name=self.values.get("name", self.name),
            system=system,
            cpu=Cpu(cores=self._cores()),
            memory_bytes=read_bytes(self.values["memory"], self._at("memory")) if "memory" in self.values else None,
            driver=driver,
            gpus=gpus,
            sources=sources,
            notes=(*(entry.note for entry in found or () if entry.note), *notes),
        )

    def _at(self, key: str) -> str:
        return f"{self.where}, `{key}`"

    def _cores(self) -> int | None:
        cores = self.values.get("cores")
        return None if cores is None else read_count(cores, self._at("cores"), "processors")

    # ---- system ----------------------------------------------------------------------------------------------

    def _system_word(self) -> str:
        word = self.values.get("os", "linux").strip().lower()
        if word not in _SYSTEMS:
            raise RequestError(
                f"{self._at('os')}: {quoted(word)} is no operating system that GPU packages are built for",
                hints=("write `os=linux`, `os=windows`, `os=macos` or `os=wsl`",),
            )
        return word

    def _system(self, os_word: str, found: tuple[FoundGpu, ...] | None, sources: dict[str, str]) -> System:
        os = _SYSTEMS[os_word]
        sources["system.os"] = self.where if "os" in self.values else _ASSUMED
        arch = self._arch(os, found, sources)
        glibc = self.values.get("glibc")
        if glibc is not None:
            if os is not OperatingSystem.LINUX:
                raise self._contradiction("glibc", f"{os.value} has no GNU C library")
            sources["system.glibc"] = self.where
        jetson = next(
            (entry.model.name for entry in found or () if entry.model and entry.model.board == "jetson"), None
        )
        return System(
            os=os,
            arch=arch,
            glibc=read_version(LibcVersion, glibc, self._at("glibc")) if glibc is not None else None,
            wsl=os_word.startswith("wsl"),
            jetson=jetson,
        )

    def _arch(self, os: OperatingSystem, found: tuple[FoundGpu, ...] | None, sources: dict[str, str]) -> str:
        arm_gpu = next((entry.gpu.name for entry in found or () if needs_aarch64(entry)), None)
        has_nvidia = any(entry.gpu.vendor is Vendor.NVIDIA for entry in found or ())
        if "arch" not in self.values:
            sources["system.arch"] = f"{_GPU_TABLE}: {arm_gpu}" if arm_gpu else _ASSUMED
            return "aarch64" if arm_gpu or (os is OperatingSystem.MACOS and not has_nvidia) else "x86_64"
        arch = normalise(self.values["arch"])
        sources["system.arch"] = self.where
        if arch not in _ARCHITECTURES:
            raise RequestError(
                f"{self._at('arch')}: {quoted(self.values['arch'])} is no processor that GPU packages are built for",
                hints=tuple(f"write `arch={known}`" for known in _ARCHITECTURES),
            )
        if arm_gpu and arch != "aarch64":
            raise self._contradiction("arch", f"{arm_gpu} comes with an Arm processor only (aarch64)")
        if has_nvidia and os is OperatingSystem.MACOS and arch == "aarch64":
            raise self._contradiction("gpu", "no Mac with Apple's processor has an NVIDIA GPU")
        if arch == "ppc64le" and os is not OperatingSystem.LINUX:
            raise self._contradiction("arch", f"{os.value} does not run on POWER")
        return arch

    def _contradiction(self, key: str, reason: str) -> RequestError:
        return RequestError(f"{self._at(key)} contradicts the rest of the description", reasons=(reason,))

    # ---- driver ----------------------------------------------------------------------------------------------

    def _driver(
        self, system: System, found: tuple[FoundGpu, ...] | None, sources: dict[str, str]
    ) -> tuple[Driver, tuple[str, ...]]:
        """The driver, and notes on how it was read."""
        text, cuda = self.values.get("driver"), self._cuda()
        word = (text or "").strip().lower()
        if "cuda" in self.values:
            sources["driver.cuda"] = self.where
        if text is None:
            return self._driver_without_version(system, found, cuda, sources), ()
        sources["driver.state"] = sources["driver.version"] = self.where
        if word in {"none", "nouveau"}:
            return self._no_driver(word, system, cuda, sources), ()
        if cuda is None and "cuda" in self.values:
            raise self._contradiction("cuda", f"`driver={word}` is a driver, and a driver serves CUDA")
        numbering = OperatingSystem.WINDOWS if system.wsl else system.os
        version, note = self._driver_version(text, numbering)
        served = driver_cuda(version, numbering)
        if cuda is not None and served is not None and cuda < served:
            raise self._contradiction("cuda", f"driver {version} serves CUDA {served}")
        if cuda is None and served is not None:
            sources["driver.cuda"] = _DRIVER_TABLE
        module = None if system.jetson or system.wsl or system.os is not OperatingSystem.LINUX else "nvidia"
        return Driver(state=DriverState.LOADED, version=version, cuda=cuda or served, module=module), note

    def _cuda(self) -> CudaVersion | None:
        text = self.values.get("cuda", "none")
        return None if text.strip().lower() == "none" else read_version(CudaVersion, text, self._at("cuda"))

    def _driver_without_version(
        self, system: System, found: tuple[FoundGpu, ...] | None, cuda: CudaVersion | None, sources: dict[str, str]
    ) -> Driver:
        if cuda is not None:
            sources["driver.state"] = self.where
            return Driver(state=DriverState.LOADED, cuda=cuda)
        if "cuda" in self.values:
            sources["driver.state"] = self.where
            return Driver(state=DriverState.MISSING)
        no_nvidia = found is not None and not any(entry.gpu.vendor is Vendor.NVIDIA for entry in found)
        if no_nvidia or (found is None and system.os is OperatingSystem.MACOS):
            sources["driver.state"] = _ASSUMED
            return Driver(state=DriverState.MISSING)
        return Driver()

    def _no_driver(self, word: str, system: System, cuda: CudaVersion | None, sources: dict[str, str]) -> Driver:
        if cuda is not None:
            raise self._contradiction("cuda", f"without NVIDIA's driver (`driver={word}`) nothing serves CUDA")
        if word == "nouveau" and (system.os is not OperatingSystem.LINUX or system.wsl):
            raise self._contradiction("driver", "nouveau is a driver of Linux")
        if word == "nouveau":
            sources["driver.module"] = self.where
        return Driver(state=DriverState.MISSING, module="nouveau" if word == "nouveau" else None)

    def _driver_version(self, text: str, numbering: OperatingSystem) -> tuple[DriverVersion, tuple[str, ...]]:
        """The version; of a branch alone (`580`) the first release that came with a toolkit, and a note of that."""
        version = read_version(DriverVersion, text, self._at("driver"))
        if len(version.numbers) > 1:
            return version, ()
        drivers = (toolkit_driver(toolkit.version, numbering) for toolkit in load_toolkits())
        first = next((driver for driver in drivers if driver and driver.branch == version.branch), version)
        if first == version:
            return version, ()
        return first, (f"driver {quoted(text)} is taken as {first}, the first of its branch that came with a toolkit",)

    # ---- GPUs ------------------------------------------------------------------------------------------------

    def _gpus(
        self, system: System, found: tuple[FoundGpu, ...] | None, sources: dict[str, str]
    ) -> tuple[Gpu, ...] | None:
        if found is None and system.os is not OperatingSystem.MACOS:
            return None
        sources["gpus"] = self.where if found is not None else _ASSUMED
        if found is None:
            return (Gpu(vendor=Vendor.APPLE, name="Apple GPU"),) if system.arch == "aarch64" else ()
        if any(entry.model and entry.gpu.compute_capability == entry.model.capability for entry in found):
            sources["gpus.compute_capability"] = _GPU_TABLE
        if any(entry.model and entry.gpu.memory_bytes == entry.model.memory_bytes for entry in found):
            sources["gpus.memory_bytes"] = _GPU_TABLE
        return tuple(entry.gpu for entry in found for _ in range(entry.count))
