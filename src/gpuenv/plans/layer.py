"""The GPU layer of a plan: the best set of builds for one machine and one Python."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import combinations, islice
from typing import TYPE_CHECKING

import msgspec

from gpuenv.facts.toolkits import newest_toolkit
from gpuenv.model import Driver, DriverState, Gpu
from gpuenv.plans.candidates import TIERS_TAKEN, Candidate, Candidates, Tier, find_candidates
from gpuenv.plans.refusals import explain_refusal
from gpuenv.plans.setting import Setting
from gpuenv.plans.solver import MadeRecords, Unsolvable, matches, solve_layer
from gpuenv.plans.specs import GpuSpec
from gpuenv.versions import ComputeCapability

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["Layer", "choose_layer", "gpu_spots", "on_a_gpu_machine"]

_MOST_ATTEMPTS = 24
"""How many parts of the packages are tried on the GPU when not all of them can be there together."""
_MOST_WITH_CHANNELS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The builds that were picked, by package name, and all that could have been; `named` are those asked for.

    `others` are conda packages that have nothing to do with GPUs. `notes` say what else decided, where it was not the
    machine.
    """

    picks: dict[str, Candidate]
    candidates: Candidates
    worst: Tier
    named: frozenset[str]
    others: tuple[RepoDataRecord, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def records(self) -> tuple[RepoDataRecord, ...]:
        """All that comes from conda channels, as the channels have it."""
        judged = (pick.build.record for pick in self.picks.values())
        return (*(record for record in judged if record is not None), *self.others)

    @property
    def source_packages(self) -> tuple[str, ...]:
        """The wheels' names of the projects that are published as source only."""
        return tuple(pick.build.wheel for pick in self.picks.values() if pick.build.from_source)

    @property
    def build_constraints(self) -> tuple[str, ...]:
        """What those projects' builds need beyond their own metadata."""
        return tuple(dict.fromkeys(one for pick in self.picks.values() for one in pick.build.build_requires))

    @property
    def shown(self) -> dict[str, Candidate]:
        """The picks that are packages in their own right: libraries come along by the requirements of the others,
        unless they were asked for.
        """
        return {name: pick for name, pick in self.picks.items() if self._is_shown(name, pick)}

    def _is_shown(self, name: str, pick: Candidate) -> bool:
        if pick.build.library or pick.build.record is None:
            return not pick.build.library or name in self.named
        # Of conda packages those that have to do with a GPU; Python is named by the plan itself.
        return (name in self.named and name != "python") or any(one.build.gpu for one in self.candidates[name])


def choose_layer(specs: tuple[GpuSpec, ...], setting: Setting, bounds: tuple[str, ...] = ()) -> Layer:
    """The newest set of builds that runs whole on the machines, GPU builds first where one of them can use them.

    `bounds` are further specs (`pytorch ==2.10.0`, `numpy <2`) on packages that take part, but are not asked for.

    When a package would fall to the CPU for that, builds that are degraded and then those nobody can judge are let
    in, as long as they bring one more package to the GPU. Builds that need CUDA libraries installed by hand are taken
    only where there is no plan without them. Where degraded builds are allowed, they count like those that run whole.
    NoPlanError when nothing fits.
    """
    candidates = find_candidates(specs, setting)
    tiers = _Tiers(specs=specs, candidates=candidates, setting=setting, bounds=bounds)
    best = tiers.best() if all(candidates.knows(spec.name) for spec in specs) else None
    if best is None:
        raise explain_refusal(specs, candidates, setting.first, tiers.failure, bounds)
    return best


@dataclass(slots=True, kw_only=True)
class _Tiers:
    """The layers that can be had with builds of each tier; each is solved once, and only when it could matter."""

    specs: tuple[GpuSpec, ...]
    candidates: Candidates
    setting: Setting
    bounds: tuple[str, ...]
    failure: Unsolvable = field(default_factory=lambda: Unsolvable("no candidates"))
    made: MadeRecords = field(default_factory=dict)
    _found: dict[Tier, Layer | None] = field(default_factory=dict)

    def best(self) -> Layer | None:
        """The layer of the first tier with the fewest packages on the CPU that could be on the GPU."""
        tiers: list[Tier] = [tier for tier in TIERS_TAKEN if tier is not Tier.WHOLE or not self.setting.allow_degraded]
        best: Layer | None = None
        for tier in tiers:
            if best is not None and tier is Tier.BY_HAND:
                break
            found = self._without_spots_later(tier, tiers) or self._layer(tier)
            if found and (best is None or len(gpu_spots(found)) < len(gpu_spots(best))):
                best = found
            if best and not (gpu_spots(best) and self.setting.prefers_gpu):
                break
        return best

    def _without_spots_later(self, tier: Tier, tiers: list[Tier]) -> Layer | None:
        """The layer of a later tier in which nothing is on the CPU that could be on the GPU, where in this one some
        package that was asked for is sure to be: to solve this one first would be in vain.
        """
        later = [one for one in tiers if tier < one < Tier.BY_HAND]
        if not (self.setting.prefers_gpu and later) or not self._is_wanting(tier, later[-1]):
            return None
        first = next(one for one in later if not self._is_wanting(one, later[-1]))
        found = self._layer(first)
        return found if found and not gpu_spots(found) else None

    def _is_wanting(self, tier: Tier, later: Tier) -> bool:
        names = {spec.project.name for spec in self.specs}
        return any(
            _gpu_builds(self.candidates, name, later) and not _gpu_builds(self.candidates, name, tier) for name in names
        )

    def _admits(self, tier: Tier) -> int:
        """How many of the builds met so far may be taken: where that is the same, so is the answer."""
        return sum(one.tier <= tier for builds in self.candidates.values() for one in builds)

    def _layer(self, tier: Tier) -> Layer | None:
        same = next((one for one in self._found if self._admits(one) == self._admits(tier)), None)
        if same is not None:
            found = self._found[same]
            return replace(found, worst=tier) if found and same is not tier else found
        if tier not in self._found:
            try:
                self._found[tier] = _solve_tier(
                    self.specs,
                    self.candidates,
                    tier,
                    bounds=self.bounds,
                    prefer_gpu=self.setting.prefers_gpu,
                    made=self.made,
                )
            except Unsolvable as unsolvable:
                self.failure = unsolvable
                self._found[tier] = None
        return self._found[tier]


def _solve_tier(
    specs: tuple[GpuSpec, ...],
    candidates: Candidates,
    worst: Tier,
    *,
    bounds: tuple[str, ...],
    prefer_gpu: bool,
    made: MadeRecords,
) -> Layer:
    wanted = [spec.conda for spec in specs]

    def solve(gpu_only: Collection[str], *, thorough: bool = True) -> Layer:
        found = solve_layer(
            candidates,
            wanted,
            bounds=bounds,
            worst=worst,
            prefer_gpu=prefer_gpu,
            gpu_only=gpu_only,
            made=made,
            thorough=thorough,
        )
        picks = found.picks
        # rattler gives the same set in any order; what was asked for comes first, as it was typed.
        order = dict.fromkeys([*(spec.project.name for spec in specs), *sorted(picks)])
        in_order = {name: picks[name] for name in order if name in picks}
        return Layer(
            picks=in_order,
            candidates=candidates,
            worst=worst,
            named=frozenset(spec.name for spec in specs),
            others=found.others,
        )

    # First with every package on the GPU that can be there: an older release on the GPU is worth more than a newer
    # one beside which another package falls to the CPU.
    on_gpu = _could_be_on_gpu(specs, candidates, worst) if prefer_gpu else []
    if not on_gpu:
        return solve(())
    with suppress(Unsolvable):
        return solve(on_gpu)
    any_set = solve(())
    # A solve of the catalog's builds takes some milliseconds, one over a large channel half a second.
    for left in _fewer_at_a_time(on_gpu, _MOST_ATTEMPTS if candidates.view is None else _MOST_WITH_CHANNELS):
        with suppress(Unsolvable):
            return solve(left, thorough=False)
    return any_set


def _could_be_on_gpu(specs: tuple[GpuSpec, ...], candidates: Mapping[str, list[Candidate]], worst: Tier) -> list[str]:
    """The packages with a GPU build that is good enough; those that carry GPU code of their own first, since they lose
    most on the CPU, and otherwise as they were typed.
    """
    builds = {name: _gpu_builds(candidates, name, worst) for name in dict.fromkeys(spec.project.name for spec in specs)}
    return sorted(
        (name for name, found in builds.items() if found),
        key=lambda name: all(one.build.needs.libraries == () for one in builds[name]),
    )


def _gpu_builds(candidates: Mapping[str, list[Candidate]], name: str, worst: Tier) -> list[Candidate]:
    return [one for one in candidates.get(name, ()) if one.build.gpu and one.tier <= worst]


def _fewer_at_a_time(names: list[str], most: int) -> Iterator[Collection[str]]:
    """Parts of `names`, the largest first, in which the last names are missing before the first ones."""
    parts = (part for size in range(len(names) - 1, 0, -1) for part in combinations(names, size))
    return islice(parts, most)


def gpu_spots(layer: Layer) -> list[str]:
    """The packages that got a CPU build although GPU builds of them exist on this platform."""
    return [
        name
        for name, pick in layer.picks.items()
        if not pick.build.gpu and any(one.build.gpu for one in layer.candidates[name])
    ]


def on_a_gpu_machine(specs: tuple[GpuSpec, ...], setting: Setting) -> dict[str, Candidate]:
    """What the same request would get on a machine with a current GPU and driver; empty when nothing differs."""
    gpu = Gpu(name="a current NVIDIA GPU", compute_capability=ComputeCapability("8.0"))
    driver = Driver(state=DriverState.LOADED, cuda=newest_toolkit(), module="nvidia")
    there = msgspec.structs.replace(setting.first, gpus=(gpu,), driver=driver)
    candidates = find_candidates(specs, replace(setting, machines=(there,)))
    try:
        found = solve_layer(candidates, [spec.conda for spec in specs], worst=Tier.UNKNOWN, prefer_gpu=True)
    except Unsolvable:
        return {}
    return {name: pick for name, pick in found.picks.items() if pick.build.gpu}


def bound_to(layer: Layer, specs: tuple[GpuSpec, ...], name: str) -> list[Candidate]:
    """The builds of one package that may stand in for the picked one: of the same wheel, asked for, no worse."""
    pick = layer.picks[name]
    texts = [spec.conda for spec in specs if spec.name == name]
    return [
        one
        for one in layer.candidates[name]
        if (one.build.wheel, one.build.index) == (pick.build.wheel, pick.build.index)
        and one.build.extras == pick.build.extras
        and one.tier <= layer.worst
        and all(matches(text, one) for text in texts)
    ]
