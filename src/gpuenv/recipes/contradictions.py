"""Where a package that was built is not what its recipe and variant say, read off its binaries."""

from __future__ import annotations

from collections.abc import Iterator

from gpuenv.artifacts.conda_index import platforms_of
from gpuenv.artifacts.cuda_lines import conda_cuda_line, line_of_file
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.outside_libraries import out_of_words
from gpuenv.artifacts.required import parse_match_spec
from gpuenv.artifacts.sorted_reading import DRIVER, MANAGEMENT, known_library
from gpuenv.facts.architectures import find_capability
from gpuenv.facts.libraries import find_holder
from gpuenv.facts.toolkits import ptx_first_cuda
from gpuenv.model import NativeFile, Needs
from gpuenv.recipes.looking import Looked
from gpuenv.targets.cuda_constraints import CudaConstraints, images_of
from gpuenv.versions import CodeImage, CudaVersion

__all__ = ["contradictions", "newest_needed"]

_SYSTEM_OF_KIND = {"elf": "linux", "pe": "windows", "mach-o": "macos"}


def contradictions(looked: Looked, needs: Needs, constraints: CudaConstraints | None) -> Iterator[str]:
    """One sentence for each. `needs` are those of the package among its siblings, `constraints` where it runs."""
    wish = looked.rendered.wish
    yield from _of_platform(looked)
    if wish.is_gpu is False:
        yield from _of_cpu(looked)
        return
    yield from _of_architectures(looked)
    yield from _of_cuda(looked)
    yield from _of_libraries(looked, needs)
    if constraints and constraints.spans == ():
        yield f"its code runs on no GPU that there is for {looked.subdir}"


def _of_platform(looked: Looked) -> Iterator[str]:
    """Native files for another system or processor, and native files where none may be."""
    wanted = platforms_of(looked.subdir)
    for file in looked.reading.files:
        system = _SYSTEM_OF_KIND.get(file.kind or "")
        if system is None:
            continue
        if not wanted:
            yield f"`{file.path}` is machine code in a package for any platform (`noarch`)"
            return
        found = f"{system}-{file.machine}" if file.machine else system
        if found not in {wanted[0], wanted[0].partition("-")[0]}:
            yield f"`{file.path}` is for {found}, and the package for {wanted[0]} (`{looked.subdir}`)"


def _of_cpu(looked: Looked) -> Iterator[str]:
    """GPU code, and CUDA libraries that it is linked with, in what should do without."""
    for library in looked.needs.libraries or ():
        if library.groups:
            yield f"a build without CUDA has GPU code inside: `{library.name}` holds {_listed(images_of(library))}"
    for file in looked.reading.files:
        for needed in file.needed or ():
            if known_library(needed):
                yield f"a build without CUDA is linked with CUDA: `{file.path}` needs `{needed}`"


def _of_architectures(looked: Looked) -> Iterator[str]:
    """Architectures that were asked for and are not there."""
    wanted = looked.rendered.wish.images
    main = looked.main
    if not wanted or main is None:
        # Whether any package of the variant has code is asked of all of them together.
        return
    inside = {image.target for image in images_of(main)}
    missing = [image for image in wanted if image.target not in inside]
    for image in missing:
        kind = "PTX" if image.is_ptx else "code"
        others = [
            one.name
            for one in looked.needs.libraries or ()
            if image.target in (other.target for other in images_of(one))
        ]
        also = f"; only `{others[0]}` has it" if others else ""
        yield (
            f"asked for {image.target}, and `{main.name}` has no {kind} for it: "
            f"it holds {_listed(images_of(main))}{also}"
        )


def _of_cuda(looked: Looked) -> Iterator[str]:
    """Code that the CUDA of the variant cannot have made, and a CUDA runtime of another version."""
    cuda = looked.rendered.wish.cuda
    if cuda is None:
        return
    for library in looked.needs.libraries or ():
        newest = max(images_of(library), key=lambda image: newest_needed(image).numbers, default=None)
        if newest and newest_needed(newest) > cuda:
            why = f"PTX {newest.ptx_isa} came with CUDA" if newest.ptx_isa else "which no CUDA makes before"
            yield f"built for CUDA {cuda}, and `{library.name}` holds {newest.target}: {why} {newest_needed(newest)}"
    for file in looked.reading.files:
        static = file.static_runtime_version
        if static and (static.major != cuda.major or static > cuda):
            yield f"built for CUDA {cuda}, and `{file.path}` has the runtime of CUDA {static} linked in"
        yield from _of_links(file, cuda)
    told = conda_cuda_line(parse_match_spec(text) for text in looked.reading.requires)
    if told and not told[0].oldest.major <= cuda.major <= told[0].newest.major:
        yield f"built for CUDA {cuda}, and its requirement on `{told[1]}` is for CUDA {told[0]}"


def _of_links(file: NativeFile, cuda: CudaVersion) -> Iterator[str]:
    for needed in file.needed or ():
        line = line_of_file(file_name(needed))
        if line and not line.oldest.major <= cuda.major <= line.newest.major:
            yield f"built for CUDA {cuda}, and `{file.path}` is linked with `{needed}` of CUDA {line}"


def _of_libraries(looked: Looked, needs: Needs) -> Iterator[str]:
    """CUDA libraries that it is linked with, and neither holds nor requires."""
    for name in out_of_words(needs.system_cuda):
        library = known_library(name)
        if library is None or library.name.lower() in DRIVER | MANAGEMENT:
            continue
        user = next((file.path for file in looked.reading.files if name in map(file_name, file.needed or ())), None)
        who = f"`{user}` is linked with" if user else "it opens"
        row = find_holder(library.name)
        by = f"; the package `{row.conda[0]}` has it" if row and row.conda else ""
        yield f"{who} `{name}`, which is neither in the package nor in its requirements{by}"


def newest_needed(image: CodeImage) -> CudaVersion:
    """The oldest CUDA that can have made an image."""
    row = find_capability(image.capability)
    first = [row.first_cuda] if row else []
    if image.ptx_isa and (known := ptx_first_cuda(image.ptx_isa)):
        first.append(known)
    return max(first, default=CudaVersion("1.0"))


def _listed(images: tuple[CodeImage, ...]) -> str:
    return ", ".join(dict.fromkeys(image.target for image in images)) or "none"
