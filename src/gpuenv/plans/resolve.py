"""The GPU layer's pins and the plain requirements, resolved together by `uv`; and what to do when it finds no set."""

from __future__ import annotations

from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from gpuenv.channels.catalog.projects import nearest_names
from gpuenv.errors import GpuenvError, NoPlanError, RequestError
from gpuenv.model import Machine, Plan, Reporter
from gpuenv.plans.candidates import Tier
from gpuenv.plans.layer import Layer, bound_to
from gpuenv.plans.pythons import PythonChoice
from gpuenv.plans.specs import Wanted
from gpuenv.plans.wheels import lock_wheels, locked_wheels

__all__ = ["resolve"]

_NVIDIA = ("nvidia-", "cuda-")


def resolve(
    layer: Layer,
    wanted: Wanted,
    machine: Machine,
    interpreter: PythonChoice,
    report: Reporter,
    *,
    keep: Plan | None = None,
    renew: frozenset[str] = frozenset(),
) -> tuple[Layer, str]:
    """The text of the lock, and the layer that it holds: `layer` itself where uv can keep its pins.

    Where it cannot, uv is given the allowed versions of each GPU package in place of the pins, and what it chooses
    among them is taken. What `keep` had locked stays where it can, except for `renew`. NoPlanError with uv's own
    words when there is no set at all.
    """
    extras = [
        f"{canonicalize_name(_wheel(layer, spec.project.name))}[{','.join(spec.extras)}]"
        for spec in wanted.gpu
        if spec.extras
    ]
    plain = [*wanted.plain, *extras]

    def lock(requirements: list[str], constraints: list[str]) -> str:
        return lock_wheels(
            requirements,
            constraints,
            machine=machine,
            python=interpreter.version,
            interpreter=interpreter.path,
            source_packages=tuple(pick.build.wheel for pick in layer.picks.values() if pick.build.from_source),
            build_constraints=tuple(
                dict.fromkeys(one for pick in layer.picks.values() for one in pick.build.build_requires)
            ),
            preferred=keep.pylock if keep else "",
            renew=renew,
            report=report,
        )

    try:
        return layer, lock([*_pins(layer), *plain], _library_pins(layer))
    except NoPlanError as conflict:
        unknown = _not_on_index(conflict, wanted)
        if unknown:
            raise unknown from conflict
        try:
            pylock = lock([*_ranges(layer, wanted), *plain], _forbidden_libraries(layer))
            return _as_decided(layer, wanted, pylock), pylock
        except NoPlanError:
            raise conflict from None


def _wheel(layer: Layer, name: str) -> str:
    pick = layer.picks.get(name)
    return pick.build.wheel if pick else name


def _pins(layer: Layer) -> list[str]:
    return [requirement for pick in layer.shown.values() for requirement in pick.build.requirements]


def _library_pins(layer: Layer) -> list[str]:
    return [
        f"{pick.build.wheel}=={pick.build.version}"
        for pick in layer.picks.values()
        if pick.build.library and pick.build.wheel.startswith(_NVIDIA)
    ]


def _forbidden_libraries(layer: Layer) -> list[str]:
    """NVIDIA libraries that a rule refuses on this machine, such as a cuDNN that dropped its GPU."""
    return [
        f"{one.build.wheel}!={one.build.version}"
        for name in layer.picks
        for one in layer.candidates[name]
        if one.build.library and one.tier is Tier.REFUSED and one.build.wheel.startswith(_NVIDIA)
    ]


def _ranges(layer: Layer, wanted: Wanted) -> list[str]:
    """Each pin replaced by what else the package may be: up to the picked version, without what was refused."""
    lines: list[str] = []
    for pick in layer.shown.values():
        if not pick.build.requirements:
            continue
        allowed = {one.build.version for one in bound_to(layer, wanted.gpu, pick.build.project)}
        every = {one.build.version for one in layer.candidates[pick.build.project]}
        first = Requirement(pick.build.requirements[0])
        extras = f"[{','.join(sorted(first.extras))}]" if first.extras else ""
        oldest = min(allowed, key=Version)
        without = ",".join(
            f"!={one}"
            for one in sorted(every - allowed, key=Version)
            if Version(oldest) < Version(one) < Version(pick.build.version)
        )
        bounds = f">={oldest},<={pick.build.version}" + (f",{without}" if without else "")
        lines += [f"{first.name}{extras}{bounds}", *pick.build.requirements[1:]]
    return lines


def _as_decided(layer: Layer, wanted: Wanted, pylock: str) -> Layer:
    """The layer with the versions that uv chose; NoPlanError when one of them was never judged."""
    chosen = {canonicalize_name(wheel.name): wheel.version for wheel in locked_wheels(pylock)}
    picks = dict(layer.picks)
    for pick in layer.shown.values():
        if not pick.build.requirements:
            continue
        version = chosen.get(canonicalize_name(pick.build.wheel), pick.build.version)
        same = [
            one
            for one in bound_to(layer, wanted.gpu, pick.build.project)
            if Version(one.build.version) == Version(version)
        ]
        if not same:
            raise NoPlanError(f"`uv` chose {pick.build.wheel} {version}, which nobody has judged")
        picks[pick.build.project] = max(same, key=lambda one: one.build.number)
    return replace(layer, picks=picks)


def _not_on_index(conflict: GpuenvError, wanted: Wanted) -> RequestError | None:
    said = " ".join(conflict.reasons)
    for text in wanted.plain:
        name = Requirement(text).name
        if f"{canonicalize_name(name)} was not found in the package registry" in said or (
            f"{canonicalize_name(name)} was not found in the provided package locations" in said
        ):
            near = nearest_names(name.lower())
            hints = (f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()
            return RequestError(
                f"there is no package `{name}`",
                reasons=("neither the catalog nor the package index knows it",),
                hints=(*hints, "check the spelling, or name the index that has it in `UV_INDEX`"),
            )
    return None
