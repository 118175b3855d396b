"""Whole environments on disk and the distributions in them. Nothing of them is imported or run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpuenv.artifacts.at_once import read_files
from gpuenv.artifacts.cache import ReadingCache, Stamp, stamp, stamps_of
from gpuenv.artifacts.conda_index import describe_artifact
from gpuenv.artifacts.conda_prefix import choose_conda_files, find_conda_packages, read_record
from gpuenv.artifacts.distributions import ChosenFiles, Distribution, DistributionKind
from gpuenv.artifacts.listed_files import Boundary
from gpuenv.artifacts.site_packages import (
    choose_python_files,
    find_python_distributions,
    is_metadata_name,
    read_requirements,
    read_wheel_tags,
)
from gpuenv.errors import FormatError, RequestError, UnavailableError
from gpuenv.model import Artifact, ArtifactKind, NativeFile, Reading, printable

__all__ = ["FoundEnvironment", "find_distributions", "is_environment", "read_environment", "read_installed"]

_LIBRARY_ROOTS = ("lib", "lib64", "local/lib", "local/lib64")
_PYTHON_DIRECTORY = re.compile(r"(?:python|pypy|graalpy)\d[\d.]*t?")
_LIBRARIES = ("site-packages", "dist-packages")
_IMPORT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundEnvironment:
    """What is installed below `prefix`. `problems` are about the whole; others are in each distribution's reading."""

    prefix: Path
    is_conda: bool = False
    distributions: tuple[Distribution, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Described:
    """A distribution without its native files."""

    artifact: Artifact
    boundary: Boundary
    chosen: ChosenFiles
    requires: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()


def is_environment(place: Path) -> bool:
    """Whether there is anything in a directory that `find_distributions` would look at."""
    return place.is_dir() and (_has_conda(place) or bool(_libraries(place)) or _is_library(place))


def find_distributions(place: Path) -> FoundEnvironment:
    """What is installed at `place`: a venv or other prefix, a conda prefix, or a `site-packages` directory itself.

    In a conda prefix Python metadata that belongs to a conda package is that package; what pip put beside it is
    listed too. RequestError where there is nothing of the kind, UnavailableError where it cannot be looked at.
    """
    # Below, paths are compared as text, for which `..` behind a link would be misleading.
    place = place.resolve() if ".." in place.parts else place.absolute()
    try:
        has_conda, libraries, is_library = _has_conda(place), _libraries(place), _is_library(place)
    except FileNotFoundError as error:
        raise RequestError(f"there is no directory `{place}`") from error
    except NotADirectoryError as error:
        raise RequestError(f"`{place}` is no directory", hints=("name the directory of the environment",)) from error
    except OSError as error:
        raise UnavailableError(f"cannot read `{place}`", reasons=(error.strerror or str(error),)) from error
    if not (has_conda or libraries or is_library):
        raise _nothing_found(place)
    prefix = place if has_conda or libraries else _prefix_around(place)
    if not libraries and is_library:
        libraries = [place]
    packages, owned, problems = find_conda_packages(prefix) if has_conda else ([], frozenset(), [])
    for library in libraries:
        beside, wrong = find_python_distributions(library, prefix)
        packages += [one for one in beside if _owner_path(one, library, prefix) not in owned]
        problems += wrong
    if _sees_the_system(place):
        problems.append("it also sees the packages of the Python that it was made with, which were not looked at")
    return FoundEnvironment(
        prefix=prefix,
        is_conda=has_conda,
        distributions=tuple(packages),
        problems=(*problems, *_installed_twice(packages)),
    )


def read_installed(
    distribution: Distribution, *, cache: ReadingCache | None = None, workers: int | None = None
) -> Reading:
    """What one distribution holds, from `cache` where its files are as they were when they were read."""
    (reading,) = read_environment((distribution,), cache=cache, workers=workers)
    return reading


def read_environment(
    distributions: Sequence[Distribution], *, cache: ReadingCache | None = None, workers: int | None = None
) -> tuple[Reading, ...]:
    """What each distribution holds, in their order; files that must be read are read together, on several cores."""
    cache = cache or ReadingCache(None)
    keys = [_key(distribution) for distribution in distributions]
    readings = [cache.load(key) if key else None for key in keys]
    unread = [index for index, reading in enumerate(readings) if reading is None]
    described = dict(zip(unread, _describe_all([distributions[index] for index in unread]), strict=True))
    native = [index for index in unread if described[index].chosen.native]
    places = [place for index in native for place in described[index].chosen.native]
    # Taken before the reading, so that a file which changes meanwhile counts as changed.
    stamps = stamps_of(place for place, _ in places)

    def finish(index: int, files: tuple[NativeFile, ...] = ()) -> None:
        reading, known = _assemble(described[index], files, stamps)
        readings[index] = reading
        if key := keys[index]:
            cache.store(key, reading, stamps=known)

    def finish_others() -> None:
        for index in sorted(set(unread) - set(native)):
            finish(index)

    found = iter(read_files(places, workers=workers, meanwhile=finish_others))
    for index in native:
        finish(index, tuple(file for _ in described[index].chosen.native if (file := next(found))))
    return tuple(reading for reading in readings if reading)


def _assemble(
    described: _Described, files: tuple[NativeFile, ...], stamps: Mapping[str, Stamp]
) -> tuple[Reading, dict[str, Stamp]]:
    """The reading, and the stamps of all files that it rests on."""
    chosen = described.chosen
    known = {str(place): stamps[str(place)] for place, _ in chosen.native} | stamps_of(chosen.missing)
    # What is compiled tells more than sources do.
    imports, sources = ({}, {}) if files else _find_imports(chosen, described.boundary)
    reading = Reading(
        artifact=described.artifact,
        requires=described.requires,
        constrains=described.constrains,
        imports=imports,
        files=files,
        members=chosen.members,
        problems=chosen.problems,
    )
    return reading, known | sources


def _key(distribution: Distribution) -> str | None:
    """What a reading depends on beside the native files; None for an editable install, whose files may be any."""
    if distribution.source:
        return None
    metadata = distribution.metadata
    names = ("METADATA", "PKG-INFO", "RECORD", "WHEEL", "installed-files.txt", "requires.txt", "top_level.txt")
    is_file = distribution.kind is DistributionKind.CONDA or metadata.is_file()
    parts = [stamp(metadata)] if is_file else [stamp(metadata / name) for name in names]
    return f"installed:{metadata}:{distribution.prefix}:{parts}"


def _describe_all(distributions: Sequence[Distribution]) -> list[_Described]:
    boundaries = {both: Boundary(*both) for both in {(one.base, one.prefix) for one in distributions}}
    return [_describe(one, boundaries[one.base, one.prefix]) for one in distributions]


def _describe(distribution: Distribution, boundary: Boundary) -> _Described:
    artifact = Artifact(
        kind=ArtifactKind.INSTALLED,
        name=distribution.name,
        version=distribution.version,
        location=printable(str(distribution.prefix)),
    )
    if distribution.kind is DistributionKind.CONDA:
        return _describe_conda(distribution, artifact, boundary)
    return _Described(
        boundary=boundary,
        artifact=_with_tags(distribution, artifact),
        chosen=choose_python_files(distribution, boundary),
        requires=read_requirements(distribution),
    )


def _describe_conda(distribution: Distribution, artifact: Artifact, boundary: Boundary) -> _Described:
    try:
        record = read_record(distribution.metadata)
    except (OSError, FormatError) as error:
        problem = f"its record cannot be read: {error}"
        return _Described(boundary=boundary, artifact=artifact, chosen=ChosenFiles(problems=(problem,)))
    return _Described(
        boundary=boundary,
        artifact=describe_artifact(artifact, record),
        chosen=choose_conda_files(record, boundary),
        requires=record.depends,
        constrains=record.constrains,
    )


def _with_tags(distribution: Distribution, artifact: Artifact) -> Artifact:
    """The artifact with the platforms and Pythons that the tags of its wheel promise."""
    import msgspec
    from packaging.tags import parse_tag

    from gpuenv.artifacts.wheel_names import fit_of_tags

    tags = [tag for text in read_wheel_tags(distribution) for tag in parse_tag(text)]
    if not tags:
        return artifact
    platforms, pythons, glibc = fit_of_tags(tags)
    return msgspec.structs.replace(artifact, platforms=platforms, pythons=pythons, glibc=glibc)


def _find_imports(chosen: ChosenFiles, boundary: Boundary) -> tuple[dict[str, str], dict[str, Stamp]]:
    """The GPU packages that its sources import, each with the first file that does; and the stamps of those read."""
    from gpuenv.artifacts.imports import find_imports, wanted_sources

    base = boundary.base
    sizes = {path: size or _size(f"{base}/{path}") for path, size in chosen.sources}
    found: dict[str, str] = {}
    stamps: dict[str, Stamp] = {}
    for path in wanted_sources(tuple(sizes.items()), budget_bytes=_IMPORT_BYTES):
        place = f"{base}/{path}"
        if not boundary.holds_file(place):
            continue
        stamps[place] = stamp(place)
        try:
            text = Path(place).read_bytes()
        except OSError:
            continue
        for name in find_imports(path, text):
            found.setdefault(name, path)
    return found, stamps


def _size(place: str) -> int:
    try:
        return os.stat(place).st_size  # noqa: PTH116  (a package has hundreds)
    except (OSError, ValueError):
        return 0


def _libraries(prefix: Path) -> list[Path]:
    """The directories of Python packages in a prefix, each once although `lib64` is often a link to `lib`."""
    found = [prefix / "Lib" / "site-packages"] if (prefix / "Lib" / "site-packages").is_dir() else []
    for root in _LIBRARY_ROOTS:
        pythons = sorted(filter(_PYTHON_DIRECTORY.fullmatch, _names(prefix / root)))
        found += [
            place for python in pythons for name in _LIBRARIES if (place := prefix / root / python / name).is_dir()
        ]
    return list({os.path.realpath(place): place for place in reversed(found)}.values())[::-1]


def _is_library(place: Path) -> bool:
    return place.name in _LIBRARIES or any(is_metadata_name(entry.name) for entry in place.iterdir())


def _has_conda(place: Path) -> bool:
    return any(name.endswith(".json") for name in _names(place / "conda-meta"))


def _names(directory: Path) -> list[str]:
    try:
        return [entry.name for entry in directory.iterdir()]
    except OSError:
        return []


def _prefix_around(library: Path) -> Path:
    """The prefix of a library where it lies as Python lays it out; else the library itself (`pip --target`)."""
    parents = library.parents
    if library.name in _LIBRARIES and len(parents) > 2:
        if parents[0].name == "Lib":
            return parents[1]
        if _PYTHON_DIRECTORY.fullmatch(parents[0].name) and parents[1].name in {"lib", "lib64"}:
            return parents[2]
    return library


def _owner_path(distribution: Distribution, library: Path, prefix: Path) -> str:
    """The metadata of a distribution as `find_conda_packages` gives what conda packages own."""
    name = distribution.metadata.name
    place = library / (name if name != "EGG-INFO" else distribution.base.name)
    return place.relative_to(prefix).as_posix().casefold()


def _installed_twice(packages: Iterable[Distribution]) -> Iterator[str]:
    """What is there as a conda package and from pip under the same name, of which pip's came later."""
    from packaging.utils import canonicalize_name

    conda: dict[str, Distribution] = {
        canonicalize_name(one.name): one for one in packages if one.kind is DistributionKind.CONDA
    }
    for one in packages:
        if one.kind is not DistributionKind.CONDA and (other := conda.get(one.key)):
            versions = f"{other.version} as a conda package and {one.version or 'of no version'} from pip"
            yield f"`{one.key}` is there twice: {versions}"


def _sees_the_system(prefix: Path) -> bool:
    try:
        text = (prefix / "pyvenv.cfg").read_text("utf-8", "replace")
    except OSError:
        return False
    return re.search(r"^include-system-site-packages\s*=\s*true\s*$", text, re.IGNORECASE | re.MULTILINE) is not None


def _nothing_found(place: Path) -> RequestError:
    return RequestError(
        f"there is no Python or conda environment in `{place}`",
        reasons=(
            "it has no `conda-meta` with packages",
            "it has no `lib/python3.*/site-packages` and no `Lib/site-packages`",
            "it has no `*.dist-info` or `*.egg-info` of its own",
        ),
        hints=("name the directory of the environment: `python -c 'import sys; print(sys.prefix)'` prints it",),
    )
