"""CUDA libraries that a package is linked with and that neither itself nor its requirements bring."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.sorted_reading import DRIVER, MANAGEMENT, Asked, SortedReading, is_from_conda, known_library
from gpuenv.binaries.cuda_names import CudaLibrary
from gpuenv.facts.frameworks import find_framework
from gpuenv.facts.libraries import find_library, holds, load_libraries
from gpuenv.model import NativeFile, Needs

__all__ = ["brought_files", "find_outside", "in_words", "without_system_cuda"]

_AND = re.compile(r", | and ")
# What the extras of `cuda-toolkit` are called where it is not how the library is.
_EXTRA_NAMES = {"nvtx": ("nvtoolsext", "nvtx3interop"), "nvcc": ("nvvm", "nvptxcompiler"), "nvrtc": ("nvrtc",)}
_WITH_HASH = re.compile(r"-[0-9a-f]{8,32}(?=\.)")


def find_outside(seen: SortedReading) -> dict[str, str]:
    """The file names of those libraries (`libcublas.so.12`), sorted, each with a file that is linked with it. The
    driver's own are not among them.
    """
    own = set(brought_files(seen.loaded)) | set(brought_files(seen.aside))
    wanted: dict[str, tuple[CudaLibrary, str]] = {}
    for file, library in seen.linked():
        if library.name.lower() not in DRIVER | MANAGEMENT:
            wanted.setdefault(_plain(library.file), (library, file.path))
    asked = seen.always_asked
    is_conda = is_from_conda(seen.artifact)
    return {
        name: user
        for name, (library, user) in sorted(wanted.items())
        if name not in own and not any(_brings(one, library, is_conda=is_conda) for one in asked)
    }


def brought_files(files: Iterable[NativeFile]) -> Iterator[str]:
    """The names under which others find these libraries: those of the files and those they give themselves."""
    for file in files:
        yield _plain(file_name(file.path))
        if file.soname:
            yield _plain(file.soname)


def _plain(file: str) -> str:
    """A file name without the hash that wheel repair tools put into it."""
    return _WITH_HASH.sub("", file_name(file))


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


def without_system_cuda(needs: Needs, provided: frozenset[str]) -> Needs:
    """The needs without the CUDA libraries that other installed packages bring, by the names of their files."""
    if not needs.system_cuda:
        return needs
    known = {_plain(file).lower() for file in provided}
    left = [file for file in _AND.split(needs.system_cuda) if not _is_brought(file, known)]
    return msgspec.structs.replace(needs, system_cuda=in_words(left))


def _is_brought(file: str, known: set[str]) -> bool:
    if file.lower() in known:
        return True
    # A file `libcublas.so.12.8.4` serves who asks for `libcublas.so.12`.
    wanted = known_library(file)
    if wanted is None or wanted.version is None:
        return False
    return any(
        (other := known_library(one)) is not None
        and other.name.lower() == wanted.name.lower()
        and f"{other.version}.".startswith(f"{wanted.version}.")
        for one in known
    )
