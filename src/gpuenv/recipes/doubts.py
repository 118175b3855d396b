"""What a maintainer should know of a package that is what its recipe says, and serves fewer people than it could."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.artifacts.required import parse_match_spec
from gpuenv.facts.architectures import find_capability
from gpuenv.facts.toolkits import ptx_first_cuda
from gpuenv.model import Needs
from gpuenv.recipes.looking import Looked
from gpuenv.targets.cuda_constraints import CudaConstraints, images_of, runs_there
from gpuenv.versions import CodeImage, CudaVersion, LibcVersion

__all__ = ["doubts"]

# What packages may count on without a word (RHEL 8).
_USUAL_GLIBC = LibcVersion("2.28")


def doubts(looked: Looked, needs: Needs, constraints: CudaConstraints | None, platform: str) -> Iterator[str]:
    """One sentence for each. `needs` are those of the package among its siblings, `constraints` what it asks for."""
    yield from _of_glibc(looked, needs)
    if constraints is None:
        if needs.uses_gpu and looked.rendered.wish.is_gpu is False:
            yield "it opens CUDA libraries by name, though it is built without CUDA"
        return
    for doubt in constraints.doubts:
        yield f"{doubt.text}; {doubt.remedy}" if doubt.remedy else doubt.text
    if looked.main:
        images = images_of(looked.main)
        if any(not image.is_ptx for image in images):
            yield from _of_driver(needs, constraints, platform)
        yield from _of_labels(looked, images)
        yield from _of_requirements(looked)


def _of_driver(needs: Needs, constraints: CudaConstraints, platform: str) -> Iterator[str]:
    """Where PTX that the driver must compile asks for a newer one than the machine code beside it."""
    oldest = constraints.oldest
    if oldest is None or constraints.any_minor:
        return
    first = CudaVersion(f"{oldest.major}.0")
    rows = [row for row in map(find_capability, constraints.served) if row]
    late = [
        str(row.capability)
        for row in rows
        if not runs_there(needs, row.capability, max(row.first_cuda, first), platform)
    ]
    if late and len(late) < len(rows):
        yield (
            f"on {', '.join(late)} the driver must compile its PTX, so it asks for a driver of CUDA {oldest}; with "
            f"machine code for them it would run on drivers of CUDA {first} and later"
        )


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
