"""GPUs on the PCI bus of a Linux computer, from `/sys/bus/pci/devices`."""

from __future__ import annotations

from gpuenv.machines.found import FoundGpu, size
from gpuenv.machines.host import Host
from gpuenv.model import Vendor

__all__ = ["SOURCE", "list_gpus"]

SOURCE = "/sys/bus/pci/devices"

_VENDORS = {"10de": Vendor.NVIDIA, "1002": Vendor.AMD, "8086": Vendor.INTEL}
"""Who makes GPUs. Display adapters of others are virtual ones (Bochs 1234, virtio 1af4, VMware 15ad, Hyper-V 1414)
or belong to a server's remote console (ASPEED 1a03, Matrox 102b)."""

_MAKERS = {Vendor.NVIDIA: "NVIDIA", Vendor.AMD: "AMD", Vendor.INTEL: "Intel"}

_DISPLAY = "03"
_ACCELERATOR = "12"
"""PCI base classes (PCI Code and ID Assignment Specification): AMD's Instinct boards come as accelerators."""


def list_gpus(host: Host) -> tuple[FoundGpu, ...] | None:
    """The GPUs with their name where the system knows it, and their bound kernel driver; None without a PCI bus."""
    addresses = host.listdir(SOURCE)
    if addresses is None:
        return None
    found = (_read_device(host, address) for address in addresses)
    return tuple(gpu for gpu in found if gpu is not None)


def _read_device(host: Host, address: str) -> FoundGpu | None:
    directory = f"{SOURCE}/{address}"
    base_class = _hexadecimal(host.read_text(f"{directory}/class"))[:2]
    if base_class not in {_DISPLAY, _ACCELERATOR}:
        return None
    number = _hexadecimal(host.read_text(f"{directory}/vendor"))
    vendor = _VENDORS.get(number)
    if vendor is None or (base_class == _ACCELERATOR and vendor is not Vendor.AMD):
        return None
    device = _hexadecimal(host.read_text(f"{directory}/device"))
    return FoundGpu(
        vendor=vendor,
        name=_name(host, directory, vendor, number, device),
        bus=address,
        device_id=f"{number}:{device}",
        memory_bytes=_amd_memory(host, directory) if vendor is Vendor.AMD else None,
        module=_bound_driver(host, directory),
    )


def _hexadecimal(text: str | None) -> str:
    return text.strip().lower().removeprefix("0x") if text else ""


def _bound_driver(host: Host, directory: str) -> str | None:
    link = host.read_link(f"{directory}/driver")
    return (link.rpartition("/")[2] or None) if link else None


def _name(host: Host, directory: str, vendor: Vendor, number: str, device: str) -> str:
    """AMD's driver knows the product's name; the PCI list writes it in brackets after the chip's."""
    maker = _MAKERS[vendor]
    product = (host.read_text(f"{directory}/product_name") or "").strip() if vendor is Vendor.AMD else ""
    listed = product or host.pci_device_name(number, device) or ""
    chip, bracket, marketed = listed.partition("[")
    name = marketed.rstrip("] ") if bracket and marketed.rstrip("] ") else chip.strip()
    if not name:
        return f"{maker} GPU {number}:{device}"
    return name if name.lower().startswith(maker.lower()) else f"{maker} {name}"


def _amd_memory(host: Host, directory: str) -> int | None:
    text = (host.read_text(f"{directory}/mem_info_vram_total") or "").strip()
    return size(int(text)) if text.isascii() and text.isdigit() and len(text) < 20 else None
