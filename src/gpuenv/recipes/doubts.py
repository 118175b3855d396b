"""What a maintainer should know of a package that is what its recipe says, and serves fewer people than it could."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.artifacts.required import parse_match_spec
from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import ptx_first_cuda
from gpuenv.model import Needs
from gpuenv.recipes.bounds import Bounds, known_capabilities, runs_there
from gpuenv.recipes.contradictions import images_of
from gpuenv.recipes.looking import Looked
from gpuenv.versions import CodeImage, CudaVersion, LibcVersion

__all__ = ["doubts"]

# What packages may count on without a word (RHEL 8).
_USUAL_GLIBC = LibcVersion("2.28")
_CEP = "CEP 46, notes on usage"


def doubts(looked: Looked, needs: Needs, bounds: Bounds | None, platform: str) -> Iterator[str]:
    """One sentence for each."""
    yield from _of_glibc(looked, needs)
    if looked.main is None or bounds is None:
        if needs.uses_gpu and looked.rendered.wish.is_gpu is False:
            yield "it opens CUDA libraries by name, though it is built without CUDA"
        return
    images = images_of(looked.main)
    yield from _of_ptx(images)
    yield from _of_gaps(bounds, platform)
    if bounds.cuda and not bounds.any_minor and any(not image.is_ptx for image in images):
        named = ", ".join(_compiled_for(needs, bounds, platform))
        yield (
            f"on {named} the driver must compile its PTX, so it asks for a driver of CUDA {bounds.cuda}; with machine "
            f"code for them it would run on drivers of CUDA {bounds.cuda.major}.0 and later"
        )
    yield from _of_labels(looked, images)
    if bounds.unsure:
        named = ", ".join(map(str, bounds.unsure))
        yield f"whether it runs on {named} cannot be told, so its constraint leaves them out"
    yield from _of_requirements(looked)


def _of_ptx(images: tuple[CodeImage, ...]) -> Iterator[str]:
    machine_code = [image for image in images if not image.is_ptx]
    portable = [image for image in images if image.is_ptx and not image.suffix]
    if machine_code and all(image.suffix for image in images):
        yield (
            f"its code is for {machine_code[-1].target} and its like alone, which no later GPU runs: "
            f"such code must not be the only one ({_CEP})"
        )
        return
    newest = max((image.capability for image in machine_code), default=None)
    if newest and not any(image.capability >= newest for image in portable):
        yield (
            f"it has no PTX for {newest}, the newest architecture that it is built for, so GPUs of the next "
            f"generation cannot run it; add `{newest.sm}-virtual` ({_CEP})"
        )


def _compiled_for(needs: Needs, bounds: Bounds, platform: str) -> list[str]:
    """The known capabilities on which it runs, and not with every driver of its CUDA major that knows them."""
    assert bounds.cuda
    first = CudaVersion(f"{bounds.cuda.major}.0")
    rows = [row for row in map(find_capability, bounds.served) if row]
    return [
        str(row.capability)
        for row in rows
        if not runs_there(needs, row.capability, max(row.first_cuda, first), platform)
    ]


def _of_gaps(bounds: Bounds, platform: str) -> Iterator[str]:
    rows = [row.capability for row in known_capabilities(platform) if not row.tegra]
    inside = [one for one in rows if bounds.served and min(bounds.served) < one < max(bounds.served)]
    missing = [str(one) for one in inside if one not in bounds.served and one not in bounds.unsure]
    if missing:
        yield f"between its lowest and highest architecture it has nothing for {', '.join(missing)} ({_CEP})"


def _of_labels(looked: Looked, images: tuple[CodeImage, ...]) -> Iterator[str]:
    """Code that is older than the CUDA of the variant, or that nobody asked for."""
    wish = looked.rendered.wish
    languages = [cuda for image in images if image.ptx_isa and (cuda := ptx_first_cuda(image.ptx_isa))]
    if wish.cuda and languages and max(languages) < wish.cuda:
        yield f"built for CUDA {wish.cuda}, and its newest PTX is of CUDA {max(languages)}: was an older compiler used?"
    if wish.images:
        wanted = {image.target for image in wish.images}
        more = [image.target for image in images if image.target not in wanted]
        if more:
            yield f"it also holds {', '.join(dict.fromkeys(more))}, for which nobody asked"


def _of_glibc(looked: Looked, needs: Needs) -> Iterator[str]:
    promised = looked.reading.artifact.glibc
    if needs.glibc and needs.glibc > (promised or _USUAL_GLIBC):
        yield (
            f"its files need glibc {needs.glibc}, and it asks for {promised or 'none'}: build with an older C library, "
            f"or require `__glibc >={needs.glibc}`"
        )


def _of_requirements(looked: Looked) -> Iterator[str]:
    names = {parse_match_spec(text).name for text in looked.reading.requires}
    linked = any(needed.startswith("libcudart") for file in looked.reading.files for needed in file.needed or ())
    if linked and "cuda-version" not in names:
        yield "it is linked with CUDA and does not require `cuda-version`, which keeps one CUDA in an environment"
