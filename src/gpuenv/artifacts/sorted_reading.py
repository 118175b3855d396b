"""A reading sorted for the questions that are asked of it: what the package loads, what it asks for, who made it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from gpuenv.artifacts.imports import is_test
from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.required import EXTRA, Required, is_conditional, marker_holds, parse_match_spec, parse_requirement
from gpuenv.binaries.cuda_names import CudaLibrary, cuda_library
from gpuenv.errors import FormatError
from gpuenv.facts.frameworks import Framework, find_framework
from gpuenv.facts.libraries import Library, find_library, is_instrument
from gpuenv.model import Artifact, ArtifactKind, NativeFile, Reading

__all__ = [
    "DRIVER",
    "MANAGEMENT",
    "METADATA",
    "Asked",
    "SortedReading",
    "canonical",
    "is_compiler",
    "is_from_conda",
    "is_other_program",
    "known_library",
    "plain_name",
    "sort_reading",
]

DRIVER = frozenset({"cuda", "nvcuda"})
"""The driver's own library, which no package brings."""

METADATA = "its requirements"
"""What evidence from requirements names as its source."""

MANAGEMENT = frozenset({"nvml", "nvidia-ml"})
"""Libraries that tell of GPUs and compute nothing."""

_LOADED = frozenset({"elf", "pe", "mach-o"})
_BARE = frozenset({"cubin", "fatbin", "ptx"})
# What developers ask for, and no user of the package gets.
_ASIDE_EXTRA = re.compile(
    r"(?:.+[-_.])?(?:tests?|testing|dev|develop(?:er|ment)?|docs?|document(?:ation)?|lint(?:ing)?|typing|types?|quality|"
    r"bench(?:mark)?s?|ci|examples?|tutorials?|notebooks?|style|mypy|build|release|deploy)(?:[-_.].+)?",
    re.IGNORECASE,
)
_COMPILER_NAMES = re.compile(r"(?:lib)?(?:ptxas|nvrtc|nvvm|nvjitlink|nvptxcompiler|cicc)", re.IGNORECASE)
# They say the version of their toolkit as compilers do, and compile nothing.
_OTHER_PROGRAMS = re.compile(
    r"(?:lib)?(?:cuobjdump|nvdisasm|nvprune|nvlink|fatbinary|cu\+\+filt|cudafe|bin2c)", re.IGNORECASE
)
_PLATFORMS = ("linux-x86_64", "windows-x86_64", "linux-aarch64")
_PYTHONS = tuple(f"3.{minor}" for minor in range(8, 16))
_KNOWN_SYSTEMS = ("linux-", "windows-", "macos-")
_MOST_ASKED = 10_000
# Of one marker; each is tried on every platform and Python.
_MOST_EXTRAS = 100
_WITH_HASH = re.compile(r"[-.][0-9a-f]{8,32}(?=\.(?:so|dll)\b)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One requirement. `extras` are those of the package that ask for it; empty when it always holds."""

    required: Required
    text: str
    extras: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of what is required, as `canonical` spells it."""
        return self.required.name

    @property
    def is_for_developers(self) -> bool:
        """Whether only developers of the package ask for it (extras such as `test` and `docs`)."""
        return bool(self.extras) and all(_ASIDE_EXTRA.fullmatch(extra) for extra in self.extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedReading:
    """`loaded` are the libraries and programs that the package itself runs, `bare` its loose GPU code, `linkable` its
    archives and objects, `aside` native files of its tests and its copies of NVIDIA's profiling libraries. `broken`
    could not be read. `framework` and `library` are its rows in the tables of facts.
    """

    reading: Reading
    framework: Framework | None
    library: Library | None
    asked: tuple[Asked, ...]
    loaded: tuple[NativeFile, ...]
    bare: tuple[NativeFile, ...]
    linkable: tuple[NativeFile, ...]
    aside: tuple[NativeFile, ...]
    broken: tuple[NativeFile, ...]

    @property
    def artifact(self) -> Artifact:
        """What was read."""
        return self.reading.artifact

    @property
    def always_asked(self) -> tuple[Asked, ...]:
        """Requirements that hold without any extra, on some platform that the package is for."""
        return tuple(one for one in self.asked if not one.extras)

    def linked(self) -> Iterator[tuple[NativeFile, CudaLibrary]]:
        """The CUDA libraries that loaded files are linked with, the driver among them."""
        for file in self.loaded:
            for needed in file.needed or ():
                if library := known_library(needed):
                    yield file, library


@lru_cache(maxsize=1 << 14)
def known_library(file: str) -> CudaLibrary | None:
    """The CUDA library that a path or file name is of, None for any other; few names fill most environments.

    A hash that wheel repair tools put into a name (`libcudart.3eda8113.so.13`) is left out.
    """
    return cuda_library(plain_name(file))


def plain_name(file: str) -> str:
    """A file name without the hash that wheel repair tools put into it."""
    return _WITH_HASH.sub("", file_name(file))


def is_compiler(file: NativeFile) -> bool:
    """Whether a file is a compiler of NVIDIA's, or holds one, that the package runs."""
    name = file_name(file.path)
    return not is_other_program(file) and (_COMPILER_NAMES.match(name) is not None or bool(file.compiler and file.jit))


def is_other_program(file: NativeFile) -> bool:
    """Whether a file is one of the toolkit's programs that compile nothing."""
    return _OTHER_PROGRAMS.match(file_name(file.path)) is not None


def is_from_conda(artifact: Artifact) -> bool:
    """Whether its requirements are conda's: a conda package, or one that is installed from one."""
    return artifact.kind is ArtifactKind.CONDA or (artifact.kind is ArtifactKind.INSTALLED and bool(artifact.build))


def canonical(name: str) -> str:
    """A distribution's name as Python compares names."""
    return re.sub(r"[-_.]+", "-", name).lower()


def sort_reading(reading: Reading) -> SortedReading:
    """The same reading, sorted."""
    name = reading.artifact.name
    only_file = reading.artifact.kind is ArtifactKind.FILE
    aside = [] if only_file else [file for file in reading.files if is_test(file.path)]
    files = [file for file in reading.files if only_file or not is_test(file.path)]
    loaded = [file for file in files if file.kind in _LOADED and not file.problem]
    # A package of nothing but profiling libraries is about them.
    if any(not _is_instrument(file) for file in loaded) and find_library(name) is None:
        aside += [file for file in loaded if _is_instrument(file)]
        loaded = [file for file in loaded if not _is_instrument(file)]
    return SortedReading(
        reading=reading,
        framework=None if only_file else find_framework(name),
        library=None if only_file else find_library(name),
        asked=tuple(_asked(reading)),
        loaded=tuple(loaded),
        bare=tuple(file for file in files if file.kind in _BARE and not file.problem),
        linkable=tuple(file for file in files if file.kind in {"archive", "object"} and not file.problem),
        aside=tuple(aside),
        broken=tuple(file for file in files if file.problem),
    )


def _is_instrument(file: NativeFile) -> bool:
    return is_instrument(file_name(file.path)) or is_instrument(file.soname or "")


def _asked(reading: Reading) -> Iterator[Asked]:
    is_conda = is_from_conda(reading.artifact)
    for text in reading.requires[:_MOST_ASKED]:
        if is_conda and is_conditional(text):
            continue
        try:
            required = _parse(text, is_conda=is_conda)
            extras = _condition(required.marker, reading.artifact) if required.marker else ()
        except (FormatError, ValueError):
            continue
        if extras is not None:
            yield Asked(required=required, text=text.strip(), extras=extras)


@lru_cache(maxsize=1 << 14)
def _parse(text: str, *, is_conda: bool) -> Required:
    required = parse_match_spec(text) if is_conda else parse_requirement(text)
    return replace(required, name=canonical(required.name))


def _condition(marker: str, artifact: Artifact) -> tuple[str, ...] | None:
    """The extras that a marker asks for; empty when it holds without any, None when it holds nowhere."""
    if _holds(marker, artifact, frozenset()):
        return ()
    extras = [*dict.fromkeys(EXTRA.findall(marker))][:_MOST_EXTRAS]
    named = [extra for extra in extras if _holds(marker, artifact, frozenset({extra}))]
    return tuple(named) or None


def _holds(marker: str, artifact: Artifact, extras: frozenset[str]) -> bool:
    platforms = [one for one in artifact.platforms if one.startswith(_KNOWN_SYSTEMS)] or _PLATFORMS
    pythons = artifact.pythons or _PYTHONS
    return any(marker_holds(marker, platform, python, extras) for platform in platforms for python in pythons)
