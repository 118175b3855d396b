"""GPUs as people write them (`2xV100`, `amd:RX 7900 XTX`, a compute capability alone) to `Gpu`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gpuenv.errors import RequestError
from gpuenv.facts.gpus import AmbiguousGpu, GpuModel, find_gpu_by_words, nearest_gpus
from gpuenv.facts.spelling import BRANDS, words
from gpuenv.machines.quantities import quoted, read_bytes, read_version
from gpuenv.model import Gpu, OperatingSystem, Vendor
from gpuenv.versions import ComputeCapability

__all__ = ["FoundGpu", "WrittenGpu", "find_gpus", "needs_aarch64", "unnamed_gpu"]

_MIG = re.compile(r"(.+?)[ :-]MIG[ :-](\d+(?:c\.\d+)?g\.(\d+)gb)", re.IGNORECASE | re.ASCII)
_MAKER = re.compile(r"(nvidia|amd|intel|apple)\s*:\s*(.*)", re.IGNORECASE)
_AMD = re.compile(r"\b(?:amd|ati|radeon|instinct|firepro|vega|rx ?\d{3,4}\w*|mi\d{2,3}\w*)\b", re.IGNORECASE)
_INTEL = re.compile(r"\b(?:intel|iris|uhd graphics|arc [ab]\d{2,3}\w*)\b", re.IGNORECASE)
_APPLE = re.compile(r"\bapple\b", re.IGNORECASE)
_APPLE_ON_A_MAC = re.compile(r"m\d(?: (?:pro|max|ultra))?", re.IGNORECASE)
_SPELLING_OF_MAKER = {Vendor.AMD: "AMD", Vendor.INTEL: "Intel", Vendor.APPLE: "Apple", Vendor.NVIDIA: "NVIDIA"}
_ONLY_WITH_ARM = re.compile(r"\b(?:GB10|GH200|GB[23]00|RTX Spark)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenGpu:
    """One entry as it was written; `where` names the place for messages."""

    name: str | None
    where: str
    count: int = 1
    memory: str | None = None
    capability: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundGpu:
    """What an entry stands for: `gpu`, `count` times. `model` is None for a GPU that is not in NVIDIA's table."""

    gpu: Gpu
    count: int = 1
    model: GpuModel | None = None
    note: str = ""


def find_gpus(entries: Iterable[WrittenGpu], os: OperatingSystem) -> tuple[FoundGpu, ...]:
    """What the entries stand for on a computer with this system; RequestError for a name that nobody knows."""
    return tuple(_find(entry, os) for entry in entries)


def needs_aarch64(found: FoundGpu) -> bool:
    """Whether the GPU sits in one package with an Arm processor (Jetson, Grace, GB10)."""
    return found.model is not None and (found.model.board == "jetson" or bool(_ONLY_WITH_ARM.search(found.model.name)))


def unnamed_gpu(capability: ComputeCapability) -> str:
    """The name for a GPU of which only the compute capability is known."""
    return f"GPU of compute capability {capability}"


def _find(entry: WrittenGpu, os: OperatingSystem) -> FoundGpu:
    capability = read_version(ComputeCapability, entry.capability, entry.where) if entry.capability else None
    memory = read_bytes(entry.memory, entry.where) if entry.memory else None
    name, mig, mig_memory = _split_mig(entry.name or "")
    vendor, name = _vendor(name, os)
    if vendor is not Vendor.NVIDIA:
        if capability is not None:
            raise RequestError(
                f"{entry.where}: {quoted(name)} has no compute capability, which only NVIDIA's GPUs have"
            )
        return FoundGpu(gpu=Gpu(vendor=vendor, name=name, memory_bytes=memory), count=entry.count)
    model = _model(name, capability, entry.where)
    title = model.name if model else name
    if not title:
        assert capability is not None
        title = unnamed_gpu(capability)
    gpu = Gpu(
        name=f"{title} MIG {mig}" if mig else title,
        compute_capability=capability or (model.capability if model else None),
        memory_bytes=memory or mig_memory or (model.memory_bytes if model else None),
        board=model.board if model else None,
        mig=mig,
    )
    return FoundGpu(gpu=gpu, count=entry.count, model=model, note=_note(name, model, gpu))


def _split_mig(text: str) -> tuple[str, str | None, int | None]:
    found = _MIG.fullmatch(text.strip())
    if not found:
        return text.strip(), None, None
    return found[1], found[2].lower(), int(found[3]) << 30


def _vendor(name: str, os: OperatingSystem) -> tuple[Vendor, str]:
    """Who made the GPU of this name, and the name without a prefix such as `amd:`."""
    if prefixed := _MAKER.fullmatch(name):
        vendor, name = Vendor(prefixed[1].lower()), prefixed[2].strip()
        is_nvidia = vendor is Vendor.NVIDIA
        return vendor, name or ("" if is_nvidia else f"{_SPELLING_OF_MAKER[vendor]} GPU")
    if os is OperatingSystem.MACOS and _APPLE_ON_A_MAC.fullmatch(name):
        return Vendor.APPLE, f"Apple {name.title()}"
    if find_gpu_by_words(name) is not None:
        return Vendor.NVIDIA, name
    for vendor, pattern in ((Vendor.AMD, _AMD), (Vendor.INTEL, _INTEL), (Vendor.APPLE, _APPLE)):
        if pattern.search(name):
            maker = _SPELLING_OF_MAKER[vendor]
            return vendor, f"{maker} GPU" if name.lower() == maker.lower() else name
    return Vendor.NVIDIA, "" if name.lower() == "nvidia" else name


def _model(name: str, capability: ComputeCapability | None, where: str) -> GpuModel | None:
    """The row of this name. A compute capability decides between boards, and stands in for an unknown name."""
    found = find_gpu_by_words(name) if name else None
    if isinstance(found, GpuModel):
        return found
    if isinstance(found, AmbiguousGpu):
        fitting = next((model for model in found.candidates if model.capability == capability), None)
        if fitting is None and capability is None:
            raise _ambiguous(found, where)
        return fitting
    if capability is None:
        raise _unknown(name, where)
    return None


def _ambiguous(found: AmbiguousGpu, where: str) -> RequestError:
    return RequestError(
        f"{where}: {quoted(found.text)} may be GPUs of different compute capability",
        reasons=tuple(f"{model.name} has {model.capability}" for model in found.candidates),
        hints=tuple(f"write `gpu={model.name}`" for model in found.candidates),
    )


def _unknown(name: str, where: str) -> RequestError:
    near = tuple(f"write `gpu={known}`" for known in nearest_gpus(name[:80]))
    if not name:
        return RequestError(f"{where}: a GPU has neither a name nor a compute capability", hints=("write `gpu=V100`",))
    return RequestError(
        f"{where}: no GPU is known by the name {quoted(name)}",
        hints=(*near, "for a GPU that is not in the list add its compute capability, such as `capability=9.0`"),
    )


def _note(written: str, model: GpuModel | None, gpu: Gpu) -> str:
    """What was made of a short name, where it left out more than a brand."""
    if model is None:
        return ""
    said, meant = ([word for word in words(name) if word not in BRANDS] for name in (written, model.name))
    if said == meant:
        return ""
    size = f" with {(gpu.memory_bytes or 0) / (1 << 30):g} GiB"
    return f"{quoted(written)} is taken as {model.name}{size}"
