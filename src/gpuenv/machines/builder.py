"""Collect what is said of a machine, key by key, in the order in which it is said."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field, replace

from gpuenv.errors import RequestError
from gpuenv.machines.described_gpus import WrittenGpu
from gpuenv.machines.description import KEYS, Description
from gpuenv.machines.quantities import quoted, read_count

__all__ = ["DescriptionBuilder"]

_OTHER_KEYS = {"gpus": "gpu", "compute_capability": "capability", "sm": "capability"}
_COUNT = re.compile(r"(\d{1,6})\s*[x*\u00d7]\s*(?=\S)(.+)", re.ASCII | re.IGNORECASE)


@dataclass(slots=True, kw_only=True)
class DescriptionBuilder:
    """Takes keys and values one by one and gives the `Description`. `where` is `--machine` or a file."""

    where: str
    _values: dict[str, str] = field(default_factory=dict)
    _gpus: list[WrittenGpu] = field(default_factory=list)
    _waiting: WrittenGpu | None = None
    _has_no_gpu: bool = False

    def add(self, key: str, value: str) -> None:
        """One `key=value` of the short form, or one plain value of a file."""
        name = self.known_key(key, KEYS)
        if name == "gpu":
            self._add_gpu(value)
        elif name in {"gpu_memory", "capability"}:
            self._add_detail(name, value.strip())
        else:
            self._set(name, value.strip())

    def add_gpu(self, gpu: WrittenGpu) -> None:
        """One GPU with all that belongs to it."""
        self._gpus.append(gpu)

    def known_key(self, key: str, known: dict[str, str], *, place: str = "") -> str:
        """The key as `known` spells it; RequestError with the nearest when there is none."""
        name = key.strip().lower().replace("-", "_")
        name = name if name in known else _OTHER_KEYS.get(name, name)
        if name in known:
            return name
        near = difflib.get_close_matches(name[:80], known, 1) or list(known)
        raise RequestError(
            f"{self.where}: unknown key {quoted(place + key.strip())}",
            reasons=(f"known keys are {', '.join(known)}",),
            hints=tuple(f"write `{place}{name}`: {known[name]}" if known[name] else f"write `{name}`" for name in near),
        )

    def description(self, *, name: str) -> Description:
        """What was said so far; `name` is for a machine that was given none."""
        gpus = self._gpus + ([self._waiting] if self._waiting else [])
        if self._has_no_gpu and gpus:
            raise RequestError(
                f"{self.where}: `gpu=none` contradicts the rest of the description",
                reasons=("a GPU is described beside it",),
            )
        mentioned = bool(gpus) or self._has_no_gpu
        return Description(
            where=self.where, name=name, values=dict(self._values), gpus=tuple(gpus) if mentioned else None
        )

    def _set(self, key: str, value: str) -> None:
        if not value:
            raise RequestError(f"{self.where}: `{key}` has no value", hints=(f"`{key}` is {KEYS[key]}",))
        if self._values.setdefault(key, value) != value:
            raise RequestError(
                f"{self.where}: `{key}` is given twice", reasons=(f"{quoted(self._values[key])} and {quoted(value)}",)
            )

    def _add_gpu(self, value: str) -> None:
        text = value.strip()
        if text.lower() in {"none", "no", "0"}:
            self._has_no_gpu = True
            return
        where = f"{self.where}, `gpu`"
        counted = _COUNT.fullmatch(text)
        gpu = self._waiting or WrittenGpu(name=None, where=where)
        count = read_count(counted[1], where, "GPUs") if counted else 1
        self._gpus.append(replace(gpu, name=counted[2] if counted else text, count=count))
        self._waiting = None

    def _add_detail(self, key: str, value: str) -> None:
        """A detail goes to the last GPU, or waits for the first one. A second one of a kind is a contradiction."""
        if not value:
            raise RequestError(f"{self.where}: `{key}` has no value", hints=(f"`{key}` is {KEYS[key]}",))
        gpu = self._gpus[-1] if self._gpus else self._waiting or WrittenGpu(name=None, where=f"{self.where}, `gpu`")
        said = gpu.memory if key == "gpu_memory" else gpu.capability
        if said not in {None, value}:
            raise RequestError(
                f"{self.where}: `{key}` is given twice for one GPU",
                reasons=(f"{quoted(str(said))} and {quoted(value)}",),
            )
        gpu = replace(gpu, memory=value) if key == "gpu_memory" else replace(gpu, capability=value)
        if self._gpus:
            self._gpus[-1] = gpu
        else:
            self._waiting = gpu
