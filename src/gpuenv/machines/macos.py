"""What macOS tells. There is no CUDA driver to ask: the last toolkit for macOS was 10.2."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gpuenv.machines.architectures import normalise
from gpuenv.machines.found import FoundGpu, KernelModule, Surroundings, core_count, size
from gpuenv.machines.host import Host
from gpuenv.model import Cpu, OperatingSystem, System, Vendor

__all__ = ["DISPLAYS", "SYSCTL", "look_around"]

SYSCTL = ("/usr/sbin/sysctl", "hw.optional.arm64", "hw.memsize", "machdep.cpu.brand_string")
DISPLAYS = ("/usr/sbin/system_profiler", "SPDisplaysDataType", "-json")

_VENDORS = {"nvidia": Vendor.NVIDIA, "amd": Vendor.AMD, "ati": Vendor.AMD, "intel": Vendor.INTEL, "apple": Vendor.APPLE}
_UNITS = {"MB": 1 << 20, "GB": 1 << 30}


def look_around(host: Host) -> Surroundings:
    """The surroundings of a probe on macOS. Python under Rosetta says x86_64; `sysctl` names the hardware."""
    facts = host.platform()
    values = _sysctl(host)
    is_arm = values.get("hw.optional.arm64") == "1" or normalise(facts.machine) == "aarch64"
    model = values.get("machdep.cpu.brand_string") or None
    memory = _whole(values.get("hw.memsize")) or size(facts.memory_bytes)
    kept = {
        "cpu.model": (model, "sysctl"),
        "cpu.cores": (core_count(facts.cores), "platform"),
        "memory_bytes": (memory, "sysctl"),
    }
    return Surroundings(
        system=System(
            os=OperatingSystem.MACOS,
            arch="aarch64" if is_arm else normalise(facts.machine),
            release=facts.release or None,
        ),
        cpu=Cpu(model=model, cores=core_count(facts.cores)),
        memory_bytes=memory,
        kernel=KernelModule(is_loaded=False),
        bus_gpus=_displays(host),
        bus_source="system_profiler",
        sources={"system": "sysctl" if values else "platform"}
        | {field: source for field, (value, source) in kept.items() if value},
    )


def _sysctl(host: Host) -> dict[str, str]:
    done = host.run(SYSCTL)
    pairs = [line.partition(":") for line in done.stdout.splitlines()] if done else []
    return {key.strip(): value.strip() for key, _, value in pairs}


def _displays(host: Host) -> tuple[FoundGpu, ...] | None:
    done = host.run(DISPLAYS)
    try:
        report = msgspec.json.decode(done.stdout) if done else None
    except (msgspec.DecodeError, RecursionError):
        return None
    cards = report.get("SPDisplaysDataType") if isinstance(report, dict) else None
    if not isinstance(cards, list):
        return None
    found = (_read_card(card) for card in cards if isinstance(card, dict))
    return tuple(gpu for gpu in found if gpu is not None)


def _read_card(card: dict[str, Any]) -> FoundGpu | None:
    maker = str(card.get("spdisplays_vendor", "")).lower()
    vendor = next((known for word, known in _VENDORS.items() if re.search(rf"(?:^|_|\b){word}", maker)), None)
    if vendor is None:
        return None
    name = str(card.get("sppci_model", "")).strip()
    device = str(card.get("spdisplays_device-id", "")).lower().removeprefix("0x")
    memory = re.fullmatch(r"(\d{1,9}) (MB|GB)", str(card.get("spdisplays_vram", "")))
    number = re.search(r"\(0x([0-9a-f]{4})\)", maker)
    return FoundGpu(
        vendor=vendor,
        name=name or None,
        device_id=f"{number[1]}:{device}" if number and device else None,
        memory_bytes=size(int(memory[1]) * _UNITS[memory[2]]) if memory else None,
    )


def _whole(text: str | None) -> int | None:
    return size(int(text)) if text and text.isascii() and text.isdigit() and len(text) < 20 else None
