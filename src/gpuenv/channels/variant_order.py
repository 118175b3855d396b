"""Which variants of a wheel a machine can use, the best first, and why not the others.

Sources: PEP 825, variant ordering; `nvidia-variant-provider` 0.0.2 for what the namespace `nvidia` means, which `uv`
follows as well. Its features are `cuda_version_lower_bound` (the driver serves at least this CUDA),
`cuda_version_upper_bound` (less than this one) and `sm_arch` (the GPU; `90_real` is machine code for 9.0 and up to 9.9,
`90_virtual` is PTX, which it counts for GPUs of the same generation only).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpuenv.channels.variants import NULL_LABEL, Features, Variants, variant_name
from gpuenv.model import Gpu, Machine, Verdict
from gpuenv.versions import CudaVersion

__all__ = ["VariantFit", "rank_variants"]

NVIDIA = "nvidia"
LOWER, UPPER, ARCH = "cuda_version_lower_bound", "cuda_version_upper_bound", "sm_arch"
_PROVIDED = (LOWER, UPPER, ARCH)
_CUDA = re.compile(r"(\d{1,2})(?:\.(\d{1,2}))?", re.ASCII)
_ARCH = re.compile(r"(\d{1,2})(\d)_(real|virtual)", re.ASCII)

_Key = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantFit:
    """One wheel and whether its variant can be used. `reasons` say why not, or what is not known (`unknown`)."""

    filename: str
    label: str
    verdict: Verdict
    reasons: tuple[str, ...] = ()


def rank_variants(variants: Variants, filenames: Iterable[str], machine: Machine) -> tuple[VariantFit, ...]:
    """The wheels among `filenames`: first those that the machine can use, in the order of PEP 825 with wheels that are
    no variants last; then those of which nobody here can tell; then those that it cannot use.

    A mixed machine can use what all of its NVIDIA GPUs can.
    """
    usable: list[tuple[_Key, VariantFit]] = []
    others: list[VariantFit] = []
    orders = _orders(variants)
    for filename in dict.fromkeys(filenames):
        name = variant_name(filename)
        if name is None:
            if filename.endswith(".whl"):
                usable.append(((2,), VariantFit(filename=filename, label="", verdict=Verdict.WORKS)))
            continue
        properties = {} if name.label == NULL_LABEL else variants.labels.get(name.label)
        if properties is None:
            reason = f"the list of variants does not name `{name.label}`"
            others.append(VariantFit(filename=filename, label=name.label, verdict=Verdict.FAILS, reasons=(reason,)))
            continue
        verdict, reasons = _judge(properties, machine)
        fit = VariantFit(filename=filename, label=name.label, verdict=verdict, reasons=reasons)
        if verdict is Verdict.WORKS:
            usable.append((_sort_key(properties, machine, variants, orders), fit))
        else:
            others.append(fit)
    usable.sort(key=lambda pair: (pair[0], pair[1].label))
    others.sort(key=lambda fit: (fit.verdict.badness, fit.label))
    return (*(fit for _, fit in usable), *others)


# ---- whether it can be used ------------------------------------------------------------------------------------------


def _judge(properties: Features, machine: Machine) -> tuple[Verdict, tuple[str, ...]]:
    """Each feature must have one value that fits (PEP 825, variant properties)."""
    verdicts = [Verdict.WORKS]
    reasons: list[str] = []
    for namespace, features in properties.items():
        for feature, values in features.items():
            verdict, reason = _judge_feature(namespace, feature, values, machine)
            verdicts.append(verdict)
            reasons += [reason] if reason else []
    return Verdict.worst(verdicts), tuple(reasons)


def _judge_feature(namespace: str, feature: str, values: tuple[str, ...], machine: Machine) -> tuple[Verdict, str]:
    if namespace != NVIDIA or feature not in _PROVIDED:
        return Verdict.UNKNOWN, f"gpuenv cannot tell whether `{namespace} :: {feature}` fits"
    if machine.gpus is not None and not machine.nvidia_gpus:
        return Verdict.FAILS, "it needs an NVIDIA GPU, and there is none"
    return _judge_arch(values, machine) if feature == ARCH else _judge_cuda(feature, values, machine)


def _judge_cuda(feature: str, values: tuple[str, ...], machine: Machine) -> tuple[Verdict, str]:
    serves = machine.driver.cuda
    if serves is None:
        return Verdict.UNKNOWN, "it is not known which CUDA the driver serves"
    if any(_cuda_fits(feature, value, serves) for value in values):
        return Verdict.WORKS, ""
    wanted = " or ".join(values[:4])
    asked = f"CUDA {wanted} or newer" if feature == LOWER else f"a CUDA older than {wanted}"
    return Verdict.FAILS, f"it needs a driver for {asked}; this one serves {serves}"


def _cuda_fits(feature: str, value: str, serves: CudaVersion) -> bool:
    found = _CUDA.fullmatch(value)
    if found is None:
        return False
    bound = int(found[1]), int(found[2] or 0)
    here = serves.major, serves.minor
    return here >= bound if feature == LOWER else here < bound


def _judge_arch(values: tuple[str, ...], machine: Machine) -> tuple[Verdict, str]:
    if machine.gpus is None or any(gpu.compute_capability is None for gpu in machine.nvidia_gpus):
        return Verdict.UNKNOWN, "the compute capability of the GPU is not known"
    for gpu in machine.nvidia_gpus:
        if not any(_arch_fits(value, gpu) for value in values):
            return Verdict.FAILS, f"it has no code for {gpu.name} ({gpu.compute_capability})"
    return Verdict.WORKS, ""


def _arch_fits(value: str, gpu: Gpu) -> bool:
    found = _ARCH.fullmatch(value)
    here = gpu.compute_capability
    if found is None or here is None or int(found[1]) != here.major:
        return False
    return int(found[2]) <= here.minor if found[3] == "real" else int(found[2]) == 0


# ---- which one goes first --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Orders:
    namespaces: Mapping[str, int]
    features: Mapping[str, tuple[str, ...]]


def _orders(variants: Variants) -> _Orders:
    # What the maker put first, then NVIDIA's own order. Features of other namespaces never make a usable variant.
    named = dict(variants.features)
    named[NVIDIA] = tuple(dict.fromkeys((*named.get(NVIDIA, ()), *_PROVIDED)))
    places = {namespace: place for place, namespace in enumerate(variants.namespaces)}
    return _Orders(namespaces=places, features=named)


def _sort_key(properties: Features, machine: Machine, variants: Variants, orders: _Orders) -> _Key:
    """A variant's properties, the weightiest first, as numbers; of one that has the others of another and more it is
    the lower. The null variant comes after all that ask for something.
    """
    keys: list[_Key] = []
    for namespace, features in properties.items():
        for feature, values in features.items():
            named = variants.values.get(namespace, {}).get(feature, ())
            best = min(_value_key(feature, value, named) for value in values if _fits(feature, value, machine))
            keys.append((orders.namespaces[namespace], orders.features[namespace].index(feature), *best))
    flat = tuple(number for key in sorted(keys) for number in key)
    # Longer lists win over their own beginnings, so the end is a number that no key begins with.
    return (0, *flat, len(orders.namespaces)) if flat else (1,)


def _fits(feature: str, value: str, machine: Machine) -> bool:
    if feature == ARCH:
        return any(_arch_fits(value, gpu) for gpu in machine.nvidia_gpus)
    return machine.driver.cuda is not None and _cuda_fits(feature, value, machine.driver.cuda)


def _value_key(feature: str, value: str, named: tuple[str, ...]) -> _Key:
    """Four numbers: those that the maker put in order come first, then newer CUDA and nearer machine code."""
    if value in named:
        return (0, named.index(value), 0, 0)
    if feature == ARCH:
        found = _ARCH.fullmatch(value)
        assert found is not None
        return (1, 0 if found[3] == "real" else 1, -int(found[1]), -int(found[2]))
    cuda = _CUDA.fullmatch(value)
    assert cuda is not None
    # `12` comes after `12.0`, as the provider lists them.
    return (1, -int(cuda[1]), -int(cuda[2]) if cuda[2] else 1, 0)
