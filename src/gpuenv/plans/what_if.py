"""What single change would alter a plan most: a newer driver, another Python, one package less. Found by planning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from gpuenv.channels.assumptions import with_assumptions
from gpuenv.channels.conda.view import Channels
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import driver_cuda, load_toolkits, toolkit_driver
from gpuenv.model import GpuPolicy, Machine, Request, WhatIf
from gpuenv.plans.candidates import Tier
from gpuenv.plans.knowledge import Knowledge
from gpuenv.plans.layer import Layer, choose_layer, gpu_spots
from gpuenv.plans.ordering import version_key
from gpuenv.plans.pythons import PythonChoice
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import spec_name
from gpuenv.plans.wanting import wanted_of, with_python
from gpuenv.rules.reading import cuda_gpus, driver_system, numbered_driver
from gpuenv.versions import DriverVersion

__all__ = ["what_would_change"]

_PYTHONS = tuple(f"3.{minor}" for minor in range(14, 8, -1))
_MOST_CHANGES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """One thing that could be otherwise, in words, and the question that it makes."""

    words: str
    request: Request
    machines: tuple[Machine, ...]
    python: str


def what_would_change(
    request: Request,
    machines: Sequence[Machine],
    *,
    python: str,
    pythons: Sequence[str] = (),
    best: int = 2,
    channels: Channels | None = None,
) -> tuple[WhatIf, ...]:
    """The single changes that would alter the answer most, the greatest gain first, at most `best` of them.

    Each is found by choosing the builds anew under that change, from what the catalog knows; `uv` is not asked.
    `python` is the one that is planned for (3.11), `pythons` are the others that could be: all by default. `channels`
    are the conda channels of the request, which are open. Works where there is no plan as well: then a change counts
    that makes one.
    """
    knowledge = Knowledge(channels=channels)
    now = _layer(_Change(words="", request=request, machines=tuple(machines), python=python), knowledge)
    found: list[tuple[tuple[int, ...], WhatIf]] = []
    drivers = _newer_drivers(request, tuple(machines), python) if request.gpu is not GpuPolicy.NEVER else ()
    driver = _oldest_as_good(drivers, now, knowledge)
    others = _other_requests(request, tuple(machines), python, pythons or _PYTHONS)
    for change in (*([driver] if driver else []), *others):
        then = _layer(change, knowledge)
        gain, words = _gain(now, then)
        if gain > _NOTHING:
            found.append((gain, WhatIf(change=change.words, gains=words)))
    found.sort(key=lambda one: one[0], reverse=True)
    return tuple(what_if for _, what_if in found[:best])


_NOTHING = (0, 0, 0, 0)


def _layer(change: _Change, knowledge: Knowledge) -> Layer | None:
    try:
        wanted = wanted_of(change.request, change.machines[0].platform, knowledge)
        if change.python and knowledge.channels and knowledge.channels.view(change.machines[0].platform).has("python"):
            wanted = with_python(wanted, PythonChoice(version=change.python, spec=f"python {change.python}.*"))
        here = (with_assumptions(machine, change.python) for machine in change.machines)
        return choose_layer(wanted.gpu, Setting.of(change.request, here, knowledge), wanted.bounds)
    except (NoPlanError, RequestError):
        return None


def _other_requests(
    request: Request, machines: tuple[Machine, ...], python: str, pythons: Sequence[str]
) -> Iterator[_Change]:
    if request.python is None and not any(spec_name(spec) == "python" for spec in request.specs):
        for other in pythons:
            if other != python:
                yield _Change(words=f"Python {other}", request=request, machines=machines, python=other)
    if len(request.specs) > 1:
        for spec in request.specs[:_MOST_CHANGES]:
            left = msgspec.structs.replace(request, specs=tuple(one for one in request.specs if one != spec))
            with suppress(RequestError):
                yield _Change(words=f"without `{spec}`", request=left, machines=machines, python=python)


def _newer_drivers(request: Request, machines: tuple[Machine, ...], python: str) -> tuple[_Change, ...]:
    """The same machines with newer drivers, the newest last: those of CUDA toolkits that still serve their GPUs."""
    newer = sorted({driver for machine in machines for driver in _drivers(machine)})
    return tuple(
        _Change(
            words=f"driver {driver} or later",
            request=request,
            machines=tuple(_with_driver(machine, driver) for machine in machines),
            python=python,
        )
        for driver in newer
    )


def _drivers(machine: Machine) -> list[DriverVersion]:
    """The drivers newer than the machine's own, of branches that still serve all of its GPUs."""
    now = numbered_driver(machine)
    rows = [find_capability(gpu.compute_capability) for gpu in cuda_gpus(machine) if gpu.compute_capability]
    last = min((row.last_driver_branch for row in rows if row and row.last_driver_branch), default=None)
    system = driver_system(machine)
    known = (toolkit_driver(toolkit.version, system) for toolkit in load_toolkits()) if now and rows else ()
    return [one for one in known if one and now and one > now and (last is None or one.branch <= last)]


def _with_driver(machine: Machine, version: DriverVersion) -> Machine:
    possible = [one for one in _drivers(machine) if one <= version]
    if not possible:
        return machine
    cuda = driver_cuda(max(possible), driver_system(machine))
    driver = msgspec.structs.replace(machine.driver, version=max(possible), kernel_version=None, cuda=cuda)
    return msgspec.structs.replace(machine, driver=driver)


def _oldest_as_good(changes: Sequence[_Change], now: Layer | None, knowledge: Knowledge) -> _Change | None:
    """Of drivers in order the first that gains as much as the last one."""
    if not changes:
        return None
    best, _ = _gain(now, _layer(changes[-1], knowledge))
    low, high = 0, len(changes) - 1
    while low < high:
        middle = (low + high) // 2
        if _gain(now, _layer(changes[middle], knowledge))[0] >= best:
            high = middle
        else:
            low = middle + 1
    return changes[high]


def _gain(now: Layer | None, then: Layer | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """How much better another layer is: a plan at all, packages on the GPU, builds that run whole, newer releases."""
    if then is None:
        return _NOTHING, ()
    if now is None:
        on_cpu = dict.fromkeys(gpu_spots(then), " on the CPU")
        return (1, -len(on_cpu), 0, 0), tuple(
            f"{name} {then.picks[name].build.version}{on_cpu.get(name, '')}" for name in _told(then)
        )
    on_gpu = whole = newer = 0
    words_of: list[str] = []
    for name in _told(then):
        before, after = now.picks.get(name), then.picks[name]
        if before is None:
            continue
        more_gpu = int(after.build.gpu) - int(before.build.gpu)
        # A lower tier is a better one.
        better = min(before.tier, Tier.BY_HAND) - min(after.tier, Tier.BY_HAND)
        releases = _releases_between(before.build.version, after.build.version, then, name)
        on_gpu, whole, newer = on_gpu + more_gpu, whole + better, newer + releases
        if more_gpu or releases or better:
            words_of.append(_words(name, before.build.version, after.build.version, more_gpu))
    return (0, on_gpu, whole, newer), tuple(words_of)


def _told(layer: Layer) -> list[str]:
    return [name for name, pick in layer.shown.items() if name in layer.named or pick.build.gpu]


def _releases_between(before: str, after: str, layer: Layer, name: str) -> int:
    """How many releases lie between two, counted down where the second is older."""
    low, high = sorted((version_key(before), version_key(after)))
    versions = {version_key(one.build.version) for one in layer.candidates[name]}
    count = sum(low < version <= high for version in versions)
    return count if version_key(after) >= version_key(before) else -count


def _words(name: str, before: str, after: str, more_gpu: int) -> str:
    where = {1: " on the GPU", -1: " on the CPU"}.get(more_gpu, "")
    return f"{name} {after}{where} rather than {before}" if before != after else f"{name} {after}{where}"
