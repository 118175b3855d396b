"""NVIDIA's kernel module on Linux: loaded or not, open or not, which version, which GPUs it lists.

Sources: NVIDIA driver README, chapter "The NVIDIA /proc Interface"; NVIDIA, open-gpu-kernel-modules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gpuenv.machines.found import FoundGpu, KernelModule, normal_bus, read_driver_version
from gpuenv.machines.host import Host
from gpuenv.model import Vendor

__all__ = ["GPUS", "SYS_VERSION", "VERSION", "read_kernel_module"]

VERSION = "/proc/driver/nvidia/version"
GPUS = "/proc/driver/nvidia/gpus"
SYS_VERSION = "/sys/module/nvidia/version"
_VERSION = re.compile(r"Kernel Module.*?\s(\d{2,4}(?:\.\d{1,4}){1,3})\b", re.ASCII)


def read_kernel_module(host: Host, bus_gpus: Iterable[FoundGpu], *, is_hidden: bool, jetson: bool) -> KernelModule:
    """What the kernel shows. `is_hidden` says that its driver lives outside (WSL), so that nothing shows."""
    text = host.read_text(VERSION) or ""
    found = _VERSION.search(text)
    version, source = (found[1], VERSION) if found else ((host.read_text(SYS_VERSION) or "").strip(), SYS_VERSION)
    parsed = read_driver_version(version)
    is_loaded = bool(text) or bool(version) or host.exists("/sys/module/nvidia")
    on_tegra = jetson and host.exists("/sys/module/nvgpu")
    bound = _bound(bus_gpus)
    name, name_source = (bound, "/sys/bus/pci/devices") if bound else (None, "")
    if on_tegra:
        name, name_source = "nvgpu", "/sys/module/nvgpu"
    elif is_loaded and bound in {None, "nvidia"}:
        name = "nvidia-open" if "Open Kernel Module" in text else "nvidia"
        name_source = VERSION if text else SYS_VERSION
    return KernelModule(
        is_loaded=None if is_hidden and not is_loaded else is_loaded or on_tegra,
        name=name,
        name_source=name_source,
        version=parsed,
        version_source=source if parsed else "",
        gpus=_listed(host),
    )


def _bound(bus_gpus: Iterable[FoundGpu]) -> str | None:
    """The kernel driver of the NVIDIA GPUs: NVIDIA's own when any has it, else that of the first bound one."""
    bound = [gpu.module for gpu in bus_gpus if gpu.vendor is Vendor.NVIDIA and gpu.module]
    if "nvidia" in bound:
        return "nvidia"
    # The Rust driver of Linux 6.15 and later calls itself NovaCore or nova_core.
    return ("nova" if "nova" in bound[0].lower() else bound[0]) if bound else None


def _listed(host: Host) -> tuple[FoundGpu, ...]:
    gpus = []
    for address in host.listdir(GPUS) or ():
        lines = (host.read_text(f"{GPUS}/{address}/information") or "").splitlines()
        values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
        name = values.get("Model", "")
        uuid = values.get("GPU UUID", "")
        gpus.append(
            FoundGpu(
                name=name if name and not name.startswith("Unknown") else None,
                bus=normal_bus(values.get("Bus Location") or address),
                uuid=uuid if uuid.startswith("GPU-") and "?" not in uuid else None,
            )
        )
    return tuple(gpus)
