"""Build strings and build numbers: what a build is for can be read in its name, and a GPU build goes first.

Solvers prefer the higher build number; where two builds have the same one, it is the order of the records that
decides, which nobody controls. So the builds for the CPU keep the recipe's number, and those for GPUs have a hundred
more for each step: first by CUDA version, then by the lowest GPU.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gpuenv.artifacts.cuda_lines import CudaLine
from gpuenv.model import BuiltKind, Needs
from gpuenv.recipes.looking import Looked
from gpuenv.targets.cuda_constraints import CudaConstraints
from gpuenv.versions import CudaVersion

__all__ = ["STEP", "Judged", "Named", "cuda_label", "name_builds"]

STEP = 100
"""By how much the build number of a GPU build is above that of the one before it."""

Order = tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A package that was looked into, what it is for, and where it runs (None where it uses no GPU itself)."""

    looked: Looked
    kind: BuiltKind
    constraints: CudaConstraints | None = None

    @property
    def cuda(self) -> CudaVersion | None:
        """The CUDA that it was built with: what its variant says, else what its binaries tell."""
        if self.kind is not BuiltKind.GPU:
            return None
        return self.looked.rendered.wish.cuda or self.looked.needs.cuda

    @property
    def label(self) -> str:
        """What its build string begins with: `cuda126`, `cuda`, `cpu`; empty where it is for neither."""
        if self.kind is not BuiltKind.GPU:
            return "cpu" if self.kind is BuiltKind.CPU else ""
        said = self.looked.rendered.wish.cuda
        return f"cuda{said.major}{said.minor}" if said else cuda_label(self.looked.needs)

    @property
    def order(self) -> Order:
        """What is lower gives way, where both run."""
        lowest = min(self.constraints.served).numbers if self.constraints and self.constraints.served else ()
        return (self.cuda.numbers if self.cuda else (), lowest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The build string and number that a package gets."""

    build: str
    build_number: int


def cuda_label(needs: Needs) -> str:
    """The CUDA that binaries are for, as build strings have it: `cuda126`; `cuda` where they do not tell."""
    if needs.cuda is None:
        return "cuda"
    return f"cuda{CudaLine(oldest=needs.cuda, newest=needs.cuda_newest or needs.cuda).label}"


def name_builds(judged: Sequence[Judged]) -> tuple[Named, ...]:
    """The names of all packages of a recipe, in their order."""
    steps = _steps(judged)
    return tuple(_name(one, STEP * steps.get(_place(one), 0)) for one in judged)


def _place(one: Judged) -> tuple[str, str, Order]:
    rendered = one.looked.rendered
    return rendered.name, rendered.version, one.order


def _steps(judged: Sequence[Judged]) -> Mapping[tuple[str, str, Order], int]:
    """How many steps each GPU build is above the CPU builds of its name; none where the recipe itself orders them."""
    found: dict[tuple[str, str, Order], int] = {}
    for name in {(one.looked.rendered.name, one.looked.rendered.version) for one in judged}:
        same = [one for one in judged if _place(one)[:2] == name]
        orders = sorted({one.order for one in same if one.kind is BuiltKind.GPU})
        if not _is_in_order(same, orders):
            found |= {(*name, order): step for step, order in enumerate(orders, start=1)}
    return found


def _is_in_order(same: Sequence[Judged], orders: Sequence[Order]) -> bool:
    """Whether the recipe's own numbers rise from the CPU builds through the GPU builds."""
    gpu = [one for one in same if one.kind is BuiltKind.GPU]
    levels = [{one.looked.rendered.build_number for one in same if one.kind is not BuiltKind.GPU}]
    levels += [{one.looked.rendered.build_number for one in gpu if one.order == order} for order in orders]
    levels = [numbers for numbers in levels if numbers]
    return len(levels) > 1 and all(max(lower) < min(higher) for lower, higher in pairwise(levels))


def _name(one: Judged, more: int) -> Named:
    rendered = one.looked.rendered
    number = rendered.build_number + (more if one.kind is BuiltKind.GPU else 0)
    if one.kind is BuiltKind.PLAIN:
        return Named(build=rendered.build, build_number=number)
    ending = f"_{rendered.build_number}"
    stem = rendered.build.removesuffix(ending)
    ends_so = stem != rendered.build
    if not rendered.own_string:
        return Named(build=f"{one.label}_{stem}_{number}", build_number=number)
    return Named(build=f"{stem}_{number}" if ends_so else rendered.build, build_number=number)
