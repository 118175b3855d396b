"""What each package of a build is for, where it runs, and what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from gpuenv.artifacts.conda_index import platforms_of
from gpuenv.model import BuiltKind, GpuSupport, Needs
from gpuenv.recipes.contradictions import contradictions
from gpuenv.recipes.doubts import doubts
from gpuenv.recipes.looking import Looked, needs_among
from gpuenv.recipes.naming import Judged
from gpuenv.targets.cuda_constraints import constraints_of

__all__ = ["Checked", "check_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A package, and what is to be said of it."""

    judged: Judged
    wrong: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def check_all(built: Sequence[Looked]) -> tuple[Checked, ...]:
    """The packages of one recipe, in their order. `wrong` are contradictions between a package and its recipe."""
    return tuple(_check(one, [other for other in built if _is_sibling(one, other)]) for one in built)


def _is_sibling(one: Looked, other: Looked) -> bool:
    """Whether two outputs belong to one variant: what both were rendered with is the same."""
    mine, theirs = one.rendered.variant, other.rendered.variant
    both = (mine.keys() & theirs.keys()) - {"target_platform"}
    return one.rendered.name != other.rendered.name and all(mine[key] == theirs[key] for key in both)


def _check(looked: Looked, siblings: Sequence[Looked]) -> Checked:
    needs = needs_among(looked, siblings)
    platform = (platforms_of(looked.subdir) or ("linux-x86_64",))[0]
    judged = _judge(looked, needs, platform)
    label = looked.rendered.wish.label
    wrong = (*contradictions(looked, needs, judged.constraints), *_without_code(looked, siblings))
    return Checked(
        judged=judged,
        wrong=tuple(f"{label}: {text}" for text in wrong),
        warnings=tuple(doubts(looked, needs, judged.constraints, platform)),
    )


def _judge(looked: Looked, needs: Needs, platform: str) -> Judged:
    wish = looked.rendered.wish
    # What a sibling brings is the sibling's to ask for.
    uses = looked.needs.uses_gpu and looked.needs.gpu_support is not GpuSupport.THROUGH
    if wish.is_gpu is False:
        return Judged(looked=looked, kind=BuiltKind.CPU)
    if not uses:
        return Judged(looked=looked, kind=BuiltKind.GPU if wish.is_gpu else BuiltKind.PLAIN)
    known = msgspec.structs.replace(needs, uses_gpu=True, gpu_support=looked.needs.gpu_support)
    if wish.cuda and not needs.cuda:
        known = msgspec.structs.replace(known, cuda=wish.cuda, cuda_newest=wish.cuda)
    return Judged(looked=looked, kind=BuiltKind.GPU, constraints=constraints_of(known, platform))


def _without_code(looked: Looked, siblings: Sequence[Looked]) -> Sequence[str]:
    """Where architectures were asked for and no output of the variant has code at all."""
    wanted = looked.rendered.wish.images
    if not wanted or any(one.has_code or one.needs.jit for one in (looked, *siblings)):
        return ()
    named = ", ".join(image.target for image in wanted)
    return (f"asked for {named}, and there is no GPU code in `{looked.path.name}`",)
