"""The GPU layer's pins and the plain requirements, resolved together by `uv`; and what to do when it finds no set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from gpuenv.artifacts.cuda_lines import NVIDIA_PREFIXES, is_runtime
from gpuenv.channels.catalog import Build, nearest_names
from gpuenv.errors import GpuenvError, NoPlanError, RequestError, UnavailableError
from gpuenv.model import Plan, Reporter
from gpuenv.plans.candidates import Candidate, Tier
from gpuenv.plans.conflicts import is_of_uv, naming_what_conda_brings
from gpuenv.plans.layer import Layer, bound_to, choose_layer, gpu_spots
from gpuenv.plans.provided import provided_distributions
from gpuenv.plans.pythons import PythonChoice
from gpuenv.plans.setting import Setting
from gpuenv.plans.specs import Wanted
from gpuenv.plans.wheels import lock_wheels, locked_wheels
from gpuenv.plans.wording import listed

__all__ = ["resolve"]

_LONGEST_QUOTE = 600
_MOST_SWAPS = 4


def resolve(
    layer: Layer,
    wanted: Wanted,
    setting: Setting,
    interpreter: PythonChoice,
    report: Reporter,
    *,
    keep: Plan | None = None,
    renew: frozenset[str] = frozenset(),
    without: tuple[str, ...] = (),
    offline: bool = False,
) -> tuple[Layer, str]:
    """The text of the lock, and the layer that it holds: `layer` itself where uv can keep its pins. Empty where
    everything comes from conda channels.

    Where it cannot, builds of the same versions that ask for their libraries in another way are tried; then uv is given
    the allowed versions of each GPU package in place of the pins, and the layer is chosen anew with the versions that
    it took. What `keep` had locked stays where it can, except for `renew`. `without` are constraints that shut out
    what was found not to run (`plain!=2.0`). NoPlanError when there is no set at all.
    """
    plain = [*wanted.plain, *_extras(layer, wanted)]

    def lock(layer: Layer, requirements: list[str], constraints: list[str]) -> str:
        if not requirements:
            # All of it comes from conda channels.
            return ""
        provided = provided_distributions(layer.records)
        with naming_what_conda_brings(provided):
            return lock_wheels(
                requirements,
                [*constraints, *without],
                machine=setting.oldest,
                python=interpreter.version,
                interpreter=interpreter.path,
                source_packages=layer.source_packages,
                build_constraints=layer.build_constraints,
                preferred=keep.pylock if keep else "",
                renew=renew,
                offline=offline,
                report=report,
                provided=provided,
            )

    try:
        return layer, lock(layer, [*_pins(layer), *plain], _library_pins(layer))
    except NoPlanError as conflict:
        unknown = _not_on_index(conflict, wanted) or _no_such_extra(conflict, wanted)
        if unknown:
            raise unknown from conflict
        for other in _in_other_builds(layer, wanted, setting):
            with suppress(NoPlanError):
                return other, lock(other, [*_pins(other), *plain], _library_pins(other))
        try:
            decided = _over_ranges(layer, wanted, setting, plain, lock, _why(conflict, without))
            return decided, lock(decided, [*_pins(decided), *plain], _library_pins(decided))
        except NoPlanError as still:
            # What excludes all allowed versions says more than what excludes the pins.
            raise _not_all_on_index(conflict, layer) or (still if is_of_uv(still) else conflict) from None


def _over_ranges(
    layer: Layer,
    wanted: Wanted,
    setting: Setting,
    plain: list[str],
    lock: Callable[[Layer, list[str], list[str]], str],
    why: str,
) -> Layer:
    """The layer with the versions that uv takes from those that are allowed."""
    wide, follow = _ranges(layer, wanted)
    pylock = lock(layer, [*wide, *plain], [*follow, *_forbidden_libraries(layer)])
    return _as_decided(layer, wanted, setting, pylock, why)


def _extras(layer: Layer, wanted: Wanted) -> list[str]:
    return [
        f"{canonicalize_name(_wheel(layer, spec.project.name))}[{','.join(spec.extras)}]"
        for spec in wanted.gpu
        if spec.extras
    ]


def _in_other_builds(layer: Layer, wanted: Wanted, setting: Setting) -> Iterator[Layer]:
    """Layers with the same versions, in which one package, or each that can, asks for its libraries in another way."""
    held = {name: f"{name} =={pick.build.version}" for name, pick in layer.shown.items() if pick.build.requirements}
    swaps = {
        name: f"{name} =={one.build.version} {one.build.build}"
        for name, pick in layer.shown.items()
        for one in layer.candidates[name]
        if _asks_otherwise(one.build, pick.build) and one.tier <= layer.worst
    }
    each = [{name: spec} for name, spec in swaps.items()]
    for some in [*each, swaps][:_MOST_SWAPS] if len(each) > 1 else each:
        with suppress(NoPlanError):
            other = choose_layer(wanted.gpu, setting, (*wanted.bounds, *(held | some).values()))
            if set(gpu_spots(other)) <= set(gpu_spots(layer)):
                yield other


def _asks_otherwise(build: Build, pick: Build) -> bool:
    same = all(getattr(build, field) == getattr(pick, field) for field in ("wheel", "version", "gpu"))
    return same and build.needs.cuda == pick.needs.cuda and build.requirements != pick.requirements


def _wheel(layer: Layer, name: str) -> str:
    pick = layer.picks.get(name)
    return pick.build.wheel if pick else name


def _pins(layer: Layer) -> list[str]:
    return [requirement for pick in layer.shown.values() for requirement in pick.build.requirements]


def _library_pins(layer: Layer) -> list[str]:
    """NVIDIA's libraries in the versions of the layer; of a whole set of them any patch release of its CUDA line, since
    what asks for parts of the set may go with another one. CUDA's Python packages may be older within their major,
    since each pins the others of its own release.
    """
    picks = [
        pick.build
        for pick in layer.picks.values()
        if pick.build.library and pick.build.wheel.startswith(NVIDIA_PREFIXES)
    ]
    lines = {one.wheel: f"=={'.'.join(one.version.split('.')[:2])}.*" for one in picks if is_runtime(one.wheel)}
    return [f"{one.wheel}{lines.get(one.wheel) or _library_bounds(one)}" for one in picks]


def _library_bounds(build: Build) -> str:
    follows = build.wheel.startswith("cuda-")
    return f">={Version(build.version).major},<={build.version}" if follows else f"=={build.version}"


def _forbidden_libraries(layer: Layer) -> list[str]:
    """NVIDIA libraries that a rule refuses on this machine, such as a cuDNN that dropped its GPU."""
    return [
        f"{one.build.wheel}!={one.build.version}"
        for name in layer.picks
        for one in layer.candidates[name]
        if one.build.library and one.tier is Tier.REFUSED and one.build.wheel.startswith(NVIDIA_PREFIXES)
    ]


def _ranges(layer: Layer, wanted: Wanted) -> tuple[list[str], list[str]]:
    """What the packages may be in place of their pins: requirements for those asked for, constraints for the others.

    What only comes along is bounded and not asked for: else uv would hold it at its newest, and take an age-old release
    of what brings it.
    """
    asked = {spec.project.name for spec in wanted.gpu}
    ranges = {name: [*_range(layer, pick, wanted)] for name, pick in layer.shown.items()}
    wide = [line for name, lines in ranges.items() if name in asked for line in lines]
    follow = [_without_extras(line) for name, lines in ranges.items() if name not in asked for line in lines]
    return wide, follow


def _range(layer: Layer, pick: Candidate, wanted: Wanted) -> Iterator[str]:
    """What a package may be in place of its pin: up to the picked version, without what was refused."""
    if pick.build.index or not pick.build.requirements:
        # A project's own index is not among those that uv asks: its file stands in the requirement.
        yield from pick.build.requirements
        return
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
    yield f"{first.name}{extras}>={oldest},<={pick.build.version}" + (f",{without}" if without else "")
    yield from pick.build.requirements[1:]


def _without_extras(line: str) -> str:
    requirement = Requirement(line)
    requirement.extras = set()
    return str(requirement)


def _as_decided(layer: Layer, wanted: Wanted, setting: Setting, pylock: str, why: str) -> Layer:
    """The best layer with the versions that uv chose, with `why`; NoPlanError where there is none."""
    chosen = {canonicalize_name(wheel.name): wheel.version for wheel in locked_wheels(pylock)}
    versions = {
        name: chosen.get(canonicalize_name(pick.build.wheel), pick.build.version)
        for name, pick in layer.shown.items()
        if pick.build.requirements
    }
    bounds = (*wanted.bounds, *(f"{name} =={version}" for name, version in versions.items()))
    decided = choose_layer(wanted.gpu, setting, bounds)
    asked = [name for name in dict.fromkeys(spec.project.name for spec in wanted.gpu) if name in layer.picks]
    others = [change for name in asked if (change := _change(layer.picks[name].build, decided.picks[name].build))]
    note = f"{listed(others)}, {why}" if others else ""
    return replace(decided, notes=(note,) if note else ())


def _change(before: Build, after: Build) -> str:
    if Version(before.version) != Version(after.version):
        return f"{after.project} {after.version} rather than {before.version}"
    return f"{after.project} on the CPU rather than the GPU" if before.gpu and not after.gpu else ""


def _why(conflict: NoPlanError, without: tuple[str, ...]) -> str:
    """Why the pins cannot be had: without what was shut out, or in uv's words."""
    said = " ".join(conflict.reasons)
    cause = said.partition("cause: ")[2].partition("hint: ")[0].strip()
    left_out = [text.replace("!=", " ") for text in without if canonicalize_name(Requirement(text).name) in cause]
    if left_out:
        return f"which needs what was looked into and left out: {listed(left_out)}"
    quoted = f": {cause}" if 0 < len(cause) < _LONGEST_QUOTE else ""
    return f"for which `uv` finds no set{quoted}"


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


def _not_all_on_index(conflict: NoPlanError, layer: Layer) -> UnavailableError | None:
    """The error for an index that lacks what the catalog read elsewhere: a mirror with gaps, or no index at all."""
    said = " ".join(conflict.reasons)
    for pick in layer.shown.values():
        wheel = pick.build.wheel
        if wheel and (f"there is no version of {wheel}==" in said or f"{wheel} was not found in the package" in said):
            return UnavailableError(
                f"the package index has no `{wheel}` {pick.build.version}",
                reasons=("the catalog knows that release, so this index is incomplete or no index at all",),
                hints=("check `UV_DEFAULT_INDEX`, and that no login page stands between you and it",),
                details="\n".join(conflict.reasons),
            )
    return None


def _no_such_extra(conflict: GpuenvError, wanted: Wanted) -> RequestError | None:
    if not conflict.message.endswith(tuple(f" has no extra `{extra}`" for extra in _typed_extras(wanted))):
        return None
    return RequestError(conflict.message, reasons=conflict.reasons, hints=("leave the extra out, or check its name",))


def _typed_extras(wanted: Wanted) -> set[str]:
    plain = {extra for text in wanted.plain for extra in Requirement(text).extras}
    return plain | {extra for spec in wanted.gpu for extra in spec.extras}
