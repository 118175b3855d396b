"""What Linux tells without the driver's help: the system, its limits, its PCI bus and kernel modules."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gpuenv.errors import FormatError
from gpuenv.machines import pci
from gpuenv.machines.architectures import normalise
from gpuenv.machines.cgroups import cpu_limit, memory_limit
from gpuenv.machines.containers import find_container, find_jetson, is_wsl, is_wsl1
from gpuenv.machines.found import FoundGpu, Surroundings, core_count, size
from gpuenv.machines.host import Host, PlatformFacts
from gpuenv.machines.kernel_module import read_kernel_module
from gpuenv.model import Cpu, OperatingSystem, System
from gpuenv.versions import LibcVersion

__all__ = ["look_around"]

WSL1_NOTE = "WSL 1 gives no access to a GPU; `wsl --set-version DISTRIBUTION 2` turns it into WSL 2"
MUSL_NOTE = "the C library is musl, on which packages built for glibc (manylinux wheels, conda packages) do not run"


def look_around(host: Host) -> Surroundings:
    """The surroundings of a probe on Linux."""
    facts = host.platform()
    sources: dict[str, str] = {}
    system = _system(host, facts, sources)
    cpu = _cpu(host, facts, sources)
    memory = _memory(host, facts, sources)
    bus_gpus = pci.list_gpus(host)
    kernel = read_kernel_module(host, bus_gpus or (), is_hidden=system.wsl, jetson=system.jetson is not None)
    if system.jetson is not None:
        bus_gpus = bus_gpus or _board_gpu(system.jetson)
    elif system.wsl:
        # The GPUs of Windows are on no bus here; without a driver library there are none to be had.
        bus_gpus = bus_gpus or ()
    return Surroundings(
        system=system,
        cpu=cpu,
        memory_bytes=memory,
        kernel=kernel,
        bus_gpus=bus_gpus,
        bus_source=sources["system.jetson"] if system.jetson is not None else pci.SOURCE,
        sources=sources,
        notes=tuple(_notes(host, facts, system)),
    )


def _notes(host: Host, facts: PlatformFacts, system: System) -> Iterator[str]:
    if is_wsl1(facts.release):
        yield WSL1_NOTE
    if system.glibc is None and _musl(host, system.arch):
        yield MUSL_NOTE


def _system(host: Host, facts: PlatformFacts, sources: dict[str, str]) -> System:
    sources["system"] = "uname"
    container, jetson = find_container(host), find_jetson(host)
    distribution = _distribution(host)
    glibc = _glibc(facts.libc)
    kept = {
        "system.container": container,
        "system.jetson": jetson,
        "system.distribution": distribution,
        "system.glibc": (glibc, "confstr") if glibc else None,
    }
    sources |= {field: found[1] for field, found in kept.items() if found}
    # A source without a value says that the GNU C library is known to be absent.
    if glibc is None and (musl := _musl(host, normalise(facts.machine))):
        sources["system.glibc"] = musl
    return System(
        os=OperatingSystem.LINUX,
        arch=normalise(facts.machine),
        release=facts.release or None,
        distribution=distribution[0] if distribution else None,
        glibc=glibc,
        wsl=is_wsl(host, facts.release),
        container=container[0] if container else None,
        jetson=jetson[0] if jetson else None,
    )


def _distribution(host: Host) -> tuple[str, str] | None:
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        pairs = [line.partition("=") for line in (host.read_text(path) or "").splitlines()]
        values = {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}
        name = values.get("PRETTY_NAME") or " ".join(filter(None, (values.get("NAME"), values.get("VERSION_ID"))))
        if name:
            return name, path
    return None


def _musl(host: Host, arch: str) -> str | None:
    """The loader of musl, the C library of Alpine, where it is there."""
    loader = f"/lib/ld-musl-{arch}.so.1"
    return loader if host.exists(loader) else None


def _glibc(libc: str | None) -> LibcVersion | None:
    kind, _, version = (libc or "").partition(" ")
    try:
        return LibcVersion(version) if kind == "glibc" else None
    except FormatError:
        return None


def _cpu(host: Host, facts: PlatformFacts, sources: dict[str, str]) -> Cpu:
    pairs = [line.partition(":") for line in (host.read_text("/proc/cpuinfo") or "").splitlines()]
    values = {key.strip().lower(): value.strip() for key, _, value in reversed(pairs)}
    model = values.get("model name") or values.get("cpu") or None
    limit, cores = cpu_limit(host), core_count(facts.cores)
    cpu = Cpu(model=model, cores=cores)
    if model:
        sources["cpu.model"] = "/proc/cpuinfo"
    if cores:
        sources["cpu.cores"] = "affinity"
    if limit and limit[0] < (cores or limit[0] + 1):
        sources["cpu.cores"] = limit[1]
        cpu = msgspec.structs.replace(cpu, cores=limit[0])
    return cpu


def _memory(host: Host, facts: PlatformFacts, sources: dict[str, str]) -> int | None:
    total, limit = size(facts.memory_bytes), memory_limit(host)
    if total:
        sources["memory_bytes"] = "sysconf"
    if limit and limit[0] < (total or limit[0] + 1):
        sources["memory_bytes"] = limit[1]
        return limit[0]
    return total


def _board_gpu(jetson: str) -> tuple[FoundGpu, ...]:
    """The GPU of a Jetson board sits on no bus; the board names it."""
    return (FoundGpu(name=jetson.partition(" (L4T")[0]),)
