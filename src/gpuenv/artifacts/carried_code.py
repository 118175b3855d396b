"""The GPU code that a package carries, library by library, as far as the package itself would load it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from gpuenv.artifacts.native_files import file_name
from gpuenv.artifacts.passing_through import is_through
from gpuenv.artifacts.sorted_reading import SortedReading
from gpuenv.facts.libraries import selects_at_run_time
from gpuenv.model import ArtifactKind, Evidence, LibraryCode, NativeFile, UnitGroup
from gpuenv.versions import CodeImage, CudaVersion

__all__ = ["CarriedCode", "read_code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedCode:
    """`libraries` None when nobody knows, since what could hold most of the code was not read."""

    libraries: tuple[LibraryCode, ...] | None
    evidence: tuple[Evidence, ...]

    @property
    def is_there(self) -> bool:
        """Whether there is any GPU code."""
        return any(library.groups for library in self.libraries or ())


def read_code(seen: SortedReading, alternatives: Mapping[str, CudaVersion]) -> CarriedCode:
    """The code of the files that the package loads. Archives and objects count only where there is nothing else.

    `alternatives` are the paths of libraries of which one is loaded, as `find_alternatives` gives them.
    """
    files = [file for file in seen.loaded if file.code]
    if not seen.loaded and not seen.bare:
        files = [file for file in seen.linkable if file.code]
    files = list(_without_copies(files))
    # PTX that lies beside compiled libraries is linked with what users compile, in the package and not by the driver.
    bare = [file for file in seen.bare if not files or _has_sass(file)]
    libraries = (*_of_files(files, alternatives), *_of_bare(bare))
    evidence = (*_evidence([*files, *bare]), *_left_out(seen, bare), *_not_read(seen))
    return CarriedCode(libraries=None if _is_unknown(seen, files) else libraries, evidence=evidence)


def _without_copies(files: Iterable[NativeFile]) -> Iterator[NativeFile]:
    """Each library once: wheels hold no links, so `libx.so`, `libx.so.1` and `libx.so.1.2` are whole files there."""
    known: set[tuple[object, ...]] = set()
    for file in files:
        folder = file.path.rpartition("/")[0]
        key = (folder, file.soname, file.size_bytes, file.code and file.code.groups)
        if file.soname is None or key not in known:
            known.add(key)
            yield file


def _of_files(files: list[NativeFile], alternatives: Mapping[str, CudaVersion]) -> Iterator[LibraryCode]:
    names = Counter(file_name(file.path) for file in files)
    for file in files:
        assert file.code is not None
        name = file_name(file.path)
        yield msgspec.structs.replace(
            file.code,
            name=name if names[name] == 1 else file.path,
            selects_at_run_time=selects_at_run_time(name) or selects_at_run_time(file.soname or ""),
            loaded_for=alternatives.get(file.path),
        )


def _has_sass(file: NativeFile) -> bool:
    groups = file.code.groups if file.code else ()
    return any(not image.is_ptx for group in groups for image in group.images)


def _of_bare(bare: Sequence[NativeFile]) -> Iterator[LibraryCode]:
    """Loose GPU code, the files of one directory together: the program picks among them by GPU."""
    folders: dict[str, list[NativeFile]] = {}
    for file in bare:
        if file.code:
            folders.setdefault(file.path.rpartition("/")[0], []).append(file)
    for folder, files in folders.items():
        units: Counter[tuple[CodeImage, ...]] = Counter()
        for file in files:
            for group in file.code.groups if file.code else ():
                units[group.images] += group.units
        alone = len(files) == 1
        yield LibraryCode(
            name=file_name(files[0].path) if alone else f"{folder or '.'}/*",
            groups=tuple(UnitGroup(images=images, units=count) for images, count in units.most_common()),
            size_bytes=sum(file.code.size_bytes for file in files if file.code),
            selects_at_run_time=not alone,
        )


def _is_unknown(seen: SortedReading, files: list[NativeFile]) -> bool:
    if seen.artifact.kind is ArtifactKind.SDIST:
        is_built_with = seen.reading.cuda_sources > 0 and not is_through(seen.framework)
        return is_built_with or not seen.reading.complete
    largest = max((file.size_bytes for file in files), default=0)
    # What was not read could hold most of the code, unless it is smaller than what was.
    return not seen.reading.complete or any(file.size_bytes >= largest for file in seen.broken)


def _evidence(files: Sequence[NativeFile]) -> Iterator[Evidence]:
    for file in files:
        if file.code:
            yield Evidence(what="GPU code", value=_in_words(file.code), source=file.path)


def _in_words(code: LibraryCode) -> str:
    images = sorted({image for group in code.groups for image in group.images})
    units = sum(group.units for group in code.groups)
    return f"{units} {'unit' if units == 1 else 'units'}: {', '.join(map(str, images))}"


def _left_out(seen: SortedReading, bare: Sequence[NativeFile]) -> Iterator[Evidence]:
    linkable = seen.linkable if seen.loaded or seen.bare else ()
    linkable = (*linkable, *(file for file in seen.bare if file not in bare))
    for what, files in (("GPU code for linking only", linkable), ("GPU code of tests or profiling", seen.aside)):
        for file in _without_copies(file for file in files if file.code):
            if file.code:
                yield Evidence(what=what, value=_in_words(file.code), source=file.path)


def _not_read(seen: SortedReading) -> Iterator[Evidence]:
    for file in seen.broken:
        yield Evidence(what="not read", value=file.problem or "", source=file.path)
    for problem in seen.reading.problems:
        yield Evidence(what="not read", value=problem, source=seen.artifact.filename or seen.artifact.name)
