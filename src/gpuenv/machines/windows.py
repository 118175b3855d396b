"""What Windows tells without the driver's help: the system and the display adapters of its registry."""

from __future__ import annotations

import re

from gpuenv.machines.architectures import normalise
from gpuenv.machines.found import FoundGpu, KernelModule, Surroundings, core_count, read_driver_version, size
from gpuenv.machines.host import Host
from gpuenv.model import Cpu, OperatingSystem, System, Vendor
from gpuenv.versions import DriverVersion

__all__ = ["DISPLAY_ADAPTERS", "PROCESSORS", "driver_version_from_windows", "look_around"]

REGISTRY = "registry"

DISPLAY_ADAPTERS = (
    "SYSTEM\\CurrentControlSet\\Control\\Class\\{4d36e968-e325-11ce-bfc1-08002be10318}",
    ("DriverDesc", "DriverVersion", "MatchingDeviceId", "HardwareInformation.qwMemorySize"),
)
"""The device class Display (Microsoft, System-Defined Device Setup Classes) and what is read of each adapter."""

PROCESSORS = ("HARDWARE\\DESCRIPTION\\System\\CentralProcessor", ("ProcessorNameString",))

_VENDORS = {"10de": Vendor.NVIDIA, "1002": Vendor.AMD, "8086": Vendor.INTEL}
_DEVICE = re.compile(r"ven_([0-9a-f]{4})&dev_([0-9a-f]{4})", re.IGNORECASE)


def look_around(host: Host) -> Surroundings:
    """The surroundings of a probe on Windows."""
    facts = host.platform()
    sources = {"system": "platform"}
    adapters = host.read_registry(*DISPLAY_ADAPTERS)
    listed = [(adapter, gpu) for adapter in adapters or () if (gpu := _read_adapter(adapter)) is not None]
    versions = [
        driver_version_from_windows(str(adapter.get("DriverVersion", "")))
        for adapter, gpu in listed
        if gpu.vendor is Vendor.NVIDIA
    ]
    processors = host.read_registry(*PROCESSORS) or ()
    model = str(processors[0].get("ProcessorNameString", "")).strip() if processors else ""
    kept = {"cpu.model": (model, REGISTRY), "cpu.cores": (core_count(facts.cores), "platform")}
    kept["memory_bytes"] = (size(facts.memory_bytes), "GlobalMemoryStatusEx")
    sources |= {field: source for field, (value, source) in kept.items() if value}
    return Surroundings(
        system=System(
            os=OperatingSystem.WINDOWS,
            arch=_arch(facts.machine, host.environ.get("PROCESSOR_IDENTIFIER", "")),
            release=facts.release or None,
        ),
        cpu=Cpu(model=model or None, cores=core_count(facts.cores)),
        memory_bytes=size(facts.memory_bytes),
        kernel=KernelModule(),
        bus_gpus=None if adapters is None else tuple(gpu for _, gpu in listed),
        bus_source=REGISTRY,
        driver_version=next((version for version in versions if version), None),
        sources=sources,
    )


def driver_version_from_windows(text: str) -> DriverVersion | None:
    """NVIDIA's version in the number that Windows shows: the last five digits of 32.0.15.6094 are 560.94."""
    parts = text.strip().split(".")
    # Microsoft's own display drivers carry the version of Windows, 10.0.22621.1.
    if len(parts) != 4 or len(parts[2]) > 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    digits = (parts[2] + parts[3].zfill(4))[-5:]
    return read_driver_version(f"{digits[:3]}.{digits[3:]}") if len(digits) == 5 else None


def _read_adapter(adapter: dict[str, str | int]) -> FoundGpu | None:
    found = _DEVICE.search(str(adapter.get("MatchingDeviceId", "")))
    vendor = _VENDORS.get(found[1].lower()) if found else None
    if not found or vendor is None:
        return None
    memory = adapter.get("HardwareInformation.qwMemorySize")
    name = str(adapter.get("DriverDesc", "")).strip()
    return FoundGpu(
        vendor=vendor,
        name=name or None,
        device_id=f"{found[1]}:{found[2]}".lower(),
        memory_bytes=size(memory) if isinstance(memory, int) else None,
    )


def _arch(machine: str, processor: str) -> str:
    """The hardware's architecture: an emulated x86_64 Python on an Arm processor still shows the Arm name."""
    return "aarch64" if processor.upper().startswith("ARM") else normalise(machine)
