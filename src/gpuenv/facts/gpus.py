"""NVIDIA's GPU models, from `gpus.json`, found by the name a driver prints or by what a person writes.

The file holds no PCI device ids: names are the only key.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from gpuenv.facts.spelling import BRANDS, distance, product_words, squash, words
from gpuenv.model import Noun, from_json
from gpuenv.versions import ComputeCapability

__all__ = ["AmbiguousGpu", "GpuModel", "find_gpu", "find_gpu_by_words", "gpu_sources", "load_gpus", "nearest_gpus"]

_GIB = 1 << 30
_MIG = re.compile(r" MIG (?:\d+c\.)?\d+g\.\d+gb\S*$", re.IGNORECASE)
_VGPU = re.compile(r"(?:NVIDIA |GRID )+(.+?)-(?:\d+-)?\d+(?:_\d+)?[ABCQ]", re.IGNORECASE)
_MAKER = re.compile(r"(?:(?:NVIDIA|Tesla) +)+", re.IGNORECASE)
_LITERAL = re.compile(r"\^(?:\(\?:[^()]*\)\?)?(?:[\w -]|\\[()])*\$")
_BRANDS_OF_BOARD = {
    "datacenter": ("tesla",),
    "workstation": ("quadro", "rtx"),
    "geforce": ("geforce", "gtx", "rtx"),
    "laptop": ("geforce", "quadro"),
    "jetson": ("jetson",),
}


class GpuModel(Noun, frozen=True, kw_only=True):
    """One model. `name` is what `nvidia-smi` prints (the product for Jetson), `match` a pattern for all of it.

    `aliases` are what people write when they mean this, the usual board of its family. `cuda_name` is what CUDA
    calls a Jetson's GPU. `memory_gib` is the nominal size; drivers report up to a tenth less. `source` holds keys
    of `gpu_sources`.
    """

    name: str
    match: str
    aliases: tuple[str, ...] = ()
    cuda_name: str | None = None
    capability: ComputeCapability
    architecture: str
    memory_gib: float
    memory_variants_gib: tuple[float, ...] = ()
    board: Literal["datacenter", "workstation", "geforce", "jetson", "laptop"]
    roles: tuple[Literal["training", "inference"], ...] = ()
    tensor_cores: bool
    year: int
    note: str = ""
    source: tuple[str, ...]

    @property
    def memory_bytes(self) -> int:
        """The nominal memory of one GPU in bytes."""
        return int(self.memory_gib * _GIB)

    @property
    def memory_variants_bytes(self) -> tuple[int, ...]:
        """The sizes sold under this name, in bytes; empty when there is only `memory_bytes`."""
        return tuple(int(size * _GIB) for size in self.memory_variants_gib)


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbiguousGpu:
    """What was written names boards of different compute capability; the nearest of each, lowest first."""

    text: str
    candidates: tuple[GpuModel, ...]


class _Table(Noun, frozen=True, kw_only=True):
    checked: str
    about: tuple[str, ...]
    sources: dict[str, str]
    gpus: tuple[GpuModel, ...]


@cache
def _table() -> _Table:
    return from_json((Path(__file__).parent / "gpus.json").read_bytes(), _Table)


def gpu_sources() -> dict[str, str]:
    """What the keys in `source` stand for."""
    return dict(_table().sources)


def load_gpus() -> tuple[GpuModel, ...]:
    """All models that are known, in order of compute capability and name."""
    return _table().gpus


# ---- by the name that a driver prints ------------------------------------------------------------------------


def find_gpu(device_name: str) -> GpuModel | None:
    """The model of a device that NVML, CUDA, `nvidia-smi`, `lspci` or a device tree names; None when not known.

    For a MIG device or a vGPU it is the board's, whose memory is more than the device has. Where one name stands
    for several boards (`Orin`) it is the usual one, provided that all have the same compute capability.
    """
    name = _MIG.sub("", device_name.strip())
    found = _by_device_name(name)
    if found is not None:
        return found
    if board := _VGPU.fullmatch(name):
        return _find_vgpu_board(board[1])
    if marketed := re.search(r"\[([^\[\]]+)\]\s*$", name):
        return find_gpu(marketed[1])
    guess = find_gpu_by_words(re.sub(r"\s*\((?:nvgpu|igpu)\)$", "", name, flags=re.IGNORECASE))
    return guess if isinstance(guess, GpuModel) else None


def _by_device_name(name: str) -> GpuModel | None:
    exact, folded = _index()
    key = _MAKER.sub("", name, count=1) if _MAKER.match(name) else name
    found = exact.get(key) or folded.get(key.casefold())
    if found is not None:
        return found
    return next((model for pattern, model in _patterns() if pattern.fullmatch(name)), None)


@cache
def _index() -> tuple[dict[str, GpuModel], dict[str, GpuModel]]:
    """Models by name without the maker, as printed and in lower case (where a desktop board goes before a laptop)."""
    exact = {_MAKER.sub("", model.name, count=1): model for model in load_gpus()}
    desktop_last = sorted(exact.items(), key=lambda item: item[1].board != "laptop")
    return exact, {key.casefold(): model for key, model in desktop_last}


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], GpuModel], ...]:
    """The patterns that are more than a name; the others need no regular expression."""
    return tuple((re.compile(model.match), model) for model in load_gpus() if not _LITERAL.fullmatch(model.match))


def _find_vgpu_board(board: str) -> GpuModel | None:
    """The board under a vGPU: `T4`, `RTX6000` (Quadro where Ada is not said), `V100DX` (letters mark its variant)."""
    found = find_gpu_by_words(board)
    if isinstance(found, AmbiguousGpu):
        found = next((model for model in found.candidates if model.name.startswith("Quadro")), None)
    shorter = re.sub(r"(?<=\d)[A-Za-z]+$", "", board)
    return _find_vgpu_board(shorter) if found is None and shorter != board else found


# ---- by what a person writes ---------------------------------------------------------------------------------


@cache
def find_gpu_by_words(text: str) -> GpuModel | AmbiguousGpu | None:
    """The model that somebody means by `v100`, `RTX4090` or `a100-80gb`; None when nothing fits.

    Boards that fit equally well and have one compute capability count as one: the row for which the words are an
    alias, else a desktop board, the newest, the one with least memory. A size that was written and is sold under
    the name becomes the size of the answer. Boards of different capability are an `AmbiguousGpu`.
    """
    written = squash(text.strip().removeprefix("gpu="))
    if (meant := _index_of_full_names().get(written)) is not None:
        return meant
    ranked = [(found, model) for model in load_gpus() if (found := _rank(written, model)) is not None]
    least = min((cost for (cost, _), _ in ranked), default=0)
    nearest = [(rank, model) for rank, model in ranked if rank[0] == least]
    if not nearest:
        return None
    nearest.sort(key=lambda item: (item[0], *_usual_first(item[1])))
    usual = {model.capability: model for _, model in reversed(nearest)}
    if len(usual) > 1:
        return AmbiguousGpu(text=text, candidates=tuple(usual[key] for key in sorted(usual)))
    return _with_written_memory(text, nearest[0][1])


@cache
def _index_of_full_names() -> dict[str, GpuModel]:
    """Models by alias and by name with brand, in which nothing is left out that could make it ambiguous."""
    desktop_last = sorted(load_gpus(), key=lambda model: model.board != "laptop")
    names = {squash(model.name): model for model in desktop_last if words(model.name)[0] in BRANDS}
    return names | {squash(alias): model for model in load_gpus() for alias in model.aliases}


def _rank(written: str, model: GpuModel) -> tuple[int, bool] | None:
    """Distance, then whether only its own name fits and no alias: smaller is nearer."""
    sizes = (f"{size:g}{unit}" for size in _sizes(model) for unit in ("gb", "gib", "g"))
    laptop = ("laptop", "mobile", "notebook") if "laptop" in model.note else ()
    extras = (*sizes, *laptop, model.architecture.split("-", maxsplit=1)[0])
    brands = _BRANDS_OF_BOARD[model.board]
    costs = [
        (cost, name not in model.aliases)
        for name in (model.name, model.cuda_name, *model.aliases)
        if name and (cost := distance(written, name, brands=brands, extras=extras)) is not None
    ]
    return min(costs, default=None)


def _usual_first(model: GpuModel) -> tuple[bool, int, float, str]:
    return model.board == "laptop", -model.year, model.memory_gib, model.name


def _sizes(model: GpuModel) -> tuple[float, ...]:
    return model.memory_variants_gib or (model.memory_gib,)


def _with_written_memory(text: str, model: GpuModel) -> GpuModel:
    said = re.search(r"(?<![\d.])(\d+(?:\.\d+)?) ?gi?b?\b", text, re.IGNORECASE)
    size = float(said[1]) if said else model.memory_gib
    return msgspec.structs.replace(model, memory_gib=size) if size in model.memory_variants_gib else model


def nearest_gpus(text: str, *, count: int = 3) -> tuple[str, ...]:
    """The names most like `text`, best first, for an error message; possibly none."""
    names = {product_words(model.name): model.name for model in reversed(load_gpus())}
    aliases = sorted((alias for model in load_gpus() for alias in model.aliases), key=len, reverse=True)
    names |= {product_words(alias): alias for alias in aliases}
    return tuple(names[key] for key in difflib.get_close_matches(product_words(text), names, count, 0.5))
