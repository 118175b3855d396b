"""CUDA libraries that a package loads and that neither itself nor its requirements bring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.sorted_reading import (
    DRIVER,
    MANAGEMENT,
    Asked,
    SortedReading,
    is_from_conda,
    known_library,
    plain_name,
)
from gpuenv.binaries.cuda_names import CudaLibrary
from gpuenv.facts.frameworks import find_framework, framework_of_file
from gpuenv.facts.libraries import find_library, holds, load_libraries
from gpuenv.model import NativeFile, Needs

__all__ = ["brought_files", "find_outside", "in_words", "out_of_words", "without_brought", "without_system_cuda"]

_AND = re.compile(r", | and ")
# What the extras of `cuda-toolkit` are called where it is not how the library is.
_EXTRA_NAMES = {"nvtx": ("nvtoolsext", "nvtx3interop"), "nvcc": ("nvvm", "nvptxcompiler"), "nvrtc": ("nvrtc",)}


def find_outside(seen: SortedReading) -> dict[str, str]:
    """The file names of those libraries (`libcublas.so.12`), sorted, each with who wants it. The driver's own are not
    among them, nor is anything for NVIDIA's own libraries, which others bring together.
    """
    if seen.library or any(_is_of_bringer(needed, seen) for file in seen.loaded for needed in file.needed or ()):
        return {}
    own = set(brought_files(seen.loaded)) | set(brought_files(seen.aside))
    asked = seen.always_asked
    is_conda = is_from_conda(seen.artifact)
    return {
        name: user
        for name, (library, user) in sorted(_wanted(seen).items())
        if name not in own and not any(_brings(one, library, is_conda=is_conda) for one in asked)
    }


def _wanted(seen: SortedReading) -> dict[str, tuple[CudaLibrary, str]]:
    """The libraries that it is linked with, or else opens by name, each with one file that wants it."""
    wanted: dict[str, tuple[CudaLibrary, str]] = {}
    some_code = any(file.code for file in seen.loaded)
    for file, library in seen.linked():
        is_extra = some_code and not file.code and not _is_of_toolkit(library)
        if library.name.lower() not in DRIVER | MANAGEMENT and not is_extra:
            wanted.setdefault(plain_name(library.file), (library, file.path))
    linked = {library.name for library, _ in wanted.values()}
    for file in seen.loaded:
        for library in _opened_for_sure(file):
            if library.name not in linked:
                wanted.setdefault(plain_name(library.file), (library, file.path))
    if seen.framework and not wanted:
        for name in seen.framework.opens:
            if opened := known_library(_unversioned(name, seen)):
                wanted[opened.file] = (opened, seen.artifact.name)
    return wanted


def _is_of_toolkit(library: CudaLibrary) -> bool:
    """Whether it is part of the CUDA toolkit. Of the others (NCCL, cuTENSOR, TensorRT) a package with GPU code has
    bindings that carry none, for those who have them.
    """
    return any(row.toolkit and "*" not in row.holds and holds(row, library.name) for row in load_libraries())


def _opened_for_sure(file: NativeFile) -> Iterator[CudaLibrary]:
    """Libraries of the toolkit that a file with GPU code opens by a name with one version: it was made for that one.
    Of names without a version, or with several, it may do without. A compiler inside names its own parts.
    """
    if not file.code or file.compiler or known_library(file.path):
        return
    by_name: dict[str, list[CudaLibrary]] = {}
    for one in file.opened:
        if library := known_library(one):
            by_name.setdefault(library.name, []).append(library)
    for name, libraries in by_name.items():
        only = libraries[0] if len(libraries) == 1 and name.lower() not in DRIVER | MANAGEMENT else None
        if only and only.version and _is_of_toolkit(only):
            yield only


def _unversioned(name: str, seen: SortedReading) -> str:
    is_windows = any(platform.startswith("windows") for platform in seen.artifact.platforms)
    return f"{name}64.dll" if is_windows else f"lib{name}.so"


def _is_of_bringer(file: str, seen: SortedReading) -> bool:
    """Whether a file belongs to another GPU package that brings all CUDA libraries (`libtorch_cuda.so`): who is linked
    with it runs beside that package only.
    """
    row = framework_of_file(file_name(file))
    return row is not None and row.brings_cuda and row is not seen.framework


def brought_files(files: Iterable[NativeFile]) -> Iterator[str]:
    """The names under which others find these libraries: those of the files and those they give themselves."""
    for file in files:
        yield plain_name(file.path)
        if file.soname:
            yield plain_name(file.soname)


def _brings(asked: Asked, library: CudaLibrary, *, is_conda: bool) -> bool:
    extras = {extra.lower() for extra in asked.required.extras}
    framework = find_framework(asked.name)
    if framework and (framework.brings_cuda or extras & set(framework.extras_bring_cuda)):
        return True
    row = find_library(asked.name)
    if row is None:
        return False
    if "*" not in row.holds:
        return holds(row, library.name)
    if not any(other.toolkit and holds(other, library.name) for other in load_libraries() if other is not row):
        return False
    return is_conda or "all" in extras or any(_is_of_extra(library.name.lower(), extra) for extra in extras)


def _is_of_extra(library: str, extra: str) -> bool:
    return library.startswith(_EXTRA_NAMES.get(extra, (extra,)))


def in_words(files: Iterable[str]) -> str | None:
    """`libcublas.so.12 and libcudart.so.12`; None for none."""
    *others, last = list(files) or [""]
    return (f"{', '.join(others)} and {last}" if others else last) or None


def out_of_words(words: str | None) -> tuple[str, ...]:
    """The files of `in_words`."""
    return tuple(_AND.split(words)) if words else ()


def without_system_cuda(needs: Needs, provided: frozenset[str]) -> Needs:
    """The needs without the CUDA libraries that other installed packages bring, by the names of their files."""
    if not needs.system_cuda:
        return needs
    known = {plain_name(file).lower() for file in provided}
    left = [file for file in out_of_words(needs.system_cuda) if not _is_brought(file, known)]
    return msgspec.structs.replace(needs, system_cuda=in_words(left))


def without_brought(needs: Needs, packages: Iterable[str]) -> Needs:
    """The needs without the CUDA libraries that packages beside it bring, by the names of those packages."""
    if not needs.system_cuda:
        return needs
    names = tuple(packages)
    left = [file for file in out_of_words(needs.system_cuda) if not any(_package_brings(name, file) for name in names)]
    return msgspec.structs.replace(needs, system_cuda=in_words(left))


def _package_brings(package: str, file: str) -> bool:
    framework, row, library = find_framework(package), find_library(package), known_library(file)
    if framework and framework.brings_cuda:
        return True
    return row is not None and library is not None and "*" not in row.holds and holds(row, library.name)


def _is_brought(file: str, known: set[str]) -> bool:
    if file.lower() in known:
        return True
    # A file `libcublas.so.12.8.4` serves who asks for `libcublas.so.12`.
    wanted = known_library(file)
    if wanted is None:
        return False
    return any(
        (other := known_library(one)) is not None
        and other.name.lower() == wanted.name.lower()
        and (wanted.version is None or f"{other.version}.".startswith(f"{wanted.version}."))
        for one in known
    )
