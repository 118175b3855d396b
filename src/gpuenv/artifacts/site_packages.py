"""Python distributions in a directory of libraries, whichever tool put them there.

Formats: Python Packaging User Guide, "Recording installed projects" (RECORD, direct_url.json) and "Core metadata";
setuptools documentation, "The Internal Structure of Python Eggs" (egg-info, egg-link).
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gpuenv.artifacts.distributions import ChosenFiles, Distribution, DistributionKind
from gpuenv.artifacts.egg_requirements import parse_requires_txt
from gpuenv.artifacts.listed_files import Boundary, choose_files, list_directory, read_regular
from gpuenv.artifacts.wheel_metadata import parse_headers, requirements_of
from gpuenv.model import printable

__all__ = [
    "choose_python_files",
    "find_python_distributions",
    "is_metadata_name",
    "read_requirements",
    "read_wheel_tags",
]

_FIELD = re.compile(rb"^(Name|Version):([^\r\n]*)", re.MULTILINE)
_END_OF_HEADERS = re.compile(rb"\r?\n[ \t]*\r?\n")
_HEADER_BYTES = 1 << 16
_MOST_METADATA_BYTES = 16 << 20
_MOST_RECORD_BYTES = 256 << 20
# A distribution has a few import packages.
_MOST_GUESSED = 100
_SUFFIXES = (".dist-info", ".egg-info", ".egg-link", ".egg")
# What building leaves beside the sources; its libraries are not those that run.
_NOT_SOURCES = frozenset({"build", "dist", "node_modules"})


def is_metadata_name(name: str) -> bool:
    """Whether a file or directory of this name tells of a distribution."""
    return name.endswith(_SUFFIXES) and not name.startswith("~")


def find_python_distributions(library: Path, prefix: Path) -> tuple[list[Distribution], list[str]]:
    """The distributions in one directory, and what is wrong with it.

    Remains without metadata are passed over. Of several under one name the wheel that was installed last is taken.
    """
    found: dict[str, list[Distribution]] = {}
    problems: list[str] = []
    try:
        names = sorted(filter(is_metadata_name, os.listdir(library)))  # noqa: PTH208  (names are all that is wanted)
    except OSError as error:
        return [], [f"cannot read the directory `{printable(str(library))}`: {error.strerror or error}"]
    for name in names:
        try:
            distribution = _look_at(library / name, library, prefix)
        except (OSError, ValueError) as error:
            said = (error.strerror if isinstance(error, OSError) else None) or str(error)
            problems.append(f"cannot read `{printable(name)}`: {said}")
            continue
        if distribution:
            found.setdefault(distribution.key, []).append(distribution)
    for several in found.values():
        several.sort(key=lambda one: (one.kind is DistributionKind.DIST_INFO, _installed_at(one.metadata)))
        # Linux distributions tell of one version in both formats.
        if len({one.version for one in several}) > 1:
            versions = ", ".join(one.version or one.metadata.name for one in several)
            problems.append(f"`{several[0].key}` is there several times ({versions}), of which the last is looked at")
    return [several[-1] for _, several in sorted(found.items())], problems


def _look_at(place: Path, library: Path, prefix: Path) -> Distribution | None:
    """The distribution that `place` tells of; None for remains. ValueError where it says no name."""
    if place.suffix == ".egg-link":
        return _follow_link(place, prefix)
    if place.suffix == ".egg" and place.is_file():
        raise ValueError("it is a zipped egg, which is not looked into")
    base = place if place.suffix == ".egg" else library
    metadata = place / "EGG-INFO" if place.suffix == ".egg" else place
    fields = _name_and_version(metadata)
    if fields is None:
        return None
    wheel = place.suffix == ".dist-info"
    return Distribution(
        name=fields[0],
        version=fields[1],
        kind=DistributionKind.DIST_INFO if wheel else DistributionKind.EGG_INFO,
        prefix=prefix,
        base=base,
        metadata=metadata,
        source=_editable_source(place / "direct_url.json") if wheel else None,
    )


def _name_and_version(metadata: Path) -> tuple[str, str | None] | None:
    content = _read_metadata(metadata, _HEADER_BYTES)
    if content is None:
        return None
    found = reversed(_FIELD.findall(_headers(content)))
    fields = {key: value.strip(b" \t").decode("utf-8", "replace") for key, value in found}
    name, version = fields.get(b"Name", ""), fields.get(b"Version")
    if not name or not name.isprintable() or not (version or "").isprintable():
        raise ValueError("its metadata names no distribution")
    return name, version or None


def _read_metadata(metadata: Path, limit: int) -> bytes | None:
    """The start of the core metadata, in whichever file it is; None where there is none."""
    for place in (metadata / "METADATA", metadata / "PKG-INFO", metadata):
        try:
            return read_regular(place, limit)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            continue
    return None


def _headers(content: bytes) -> bytes:
    end = _END_OF_HEADERS.search(content)
    return content[: end.start()] if end else content


def read_requirements(distribution: Distribution) -> tuple[str, ...]:
    """As it writes them; of an egg those of its `requires.txt`, with the extras as markers, if it has no others."""
    with suppress(OSError):
        content = _read_metadata(distribution.metadata, _MOST_METADATA_BYTES)
        required = requirements_of(parse_headers(content or b""))
        if required or distribution.kind is DistributionKind.DIST_INFO:
            return required
        listed = read_regular(distribution.metadata / "requires.txt", _MOST_METADATA_BYTES)
        return tuple(parse_requires_txt(listed.decode("utf-8", "replace")))
    return ()


def read_wheel_tags(distribution: Distribution) -> tuple[str, ...]:
    """The tags that the wheel had, as its WHEEL file says them; none where there is no such file."""
    try:
        text = read_regular(distribution.metadata / "WHEEL", _HEADER_BYTES).decode("utf-8", "replace")
    except OSError:
        return ()
    tags = (line[4:].strip() for line in text.splitlines() if line.startswith("Tag:"))
    return tuple(tag for tag in tags if tag.count("-") == 2)


def _follow_link(place: Path, prefix: Path) -> Distribution | None:
    """An `egg-link` names the directory of the sources in its first line."""
    lines = read_regular(place, _HEADER_BYTES).decode("utf-8", "replace").splitlines()
    if not lines or not lines[0].strip():
        raise ValueError("it names no directory")
    source = (place.parent / lines[0].strip()).resolve()
    for metadata in sorted(source.glob("*.egg-info")):
        fields = _name_and_version(metadata)
        if fields and place.stem.replace("_", "-").lower() == fields[0].replace("_", "-").lower():
            return Distribution(
                name=fields[0],
                version=fields[1],
                kind=DistributionKind.EGG_INFO,
                prefix=prefix,
                base=source,
                metadata=metadata,
                source=source,
            )
    raise ValueError(f"there is no metadata in `{printable(str(source))}`")


def _editable_source(place: Path) -> Path | None:
    """Where an editable install has its sources (PEP 610 and 660); None for any other."""
    from urllib.parse import unquote, urlsplit

    try:
        origin = json.loads(read_regular(place, _HEADER_BYTES))
        if not origin["dir_info"]["editable"]:
            return None
        address = urlsplit(origin["url"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    path = unquote(address.path)
    if address.scheme != "file" or not path or "\0" in path:
        return None
    # On Windows the address of `C:\x` is `file:///C:/x`.
    return Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)


def choose_python_files(distribution: Distribution, boundary: Boundary) -> ChosenFiles:
    """What to read of a distribution, by the list that it keeps, or else by the names it says it has."""
    problems: list[str] = []
    if distribution.metadata.name == "EGG-INFO":
        listed: Iterable[tuple[str, int | None]] = list_directory(distribution.base, distribution.base)
    elif distribution.source and distribution.kind is DistributionKind.EGG_INFO:
        listed = ()
    elif (text := _read_list(distribution.metadata / "RECORD", problems)) is not None:
        listed = _parse_record(text, problems)
    elif (text := _read_list(distribution.metadata / "installed-files.txt", problems)) is not None:
        below = os.path.relpath(distribution.metadata, distribution.base)
        listed = ((os.path.normpath(f"{below}/{line.strip()}"), None) for line in text.splitlines() if line.strip())
    else:
        listed = _guess(distribution, problems)
    chosen = choose_files(listed, boundary)
    chosen = replace(chosen, problems=(*problems, *chosen.problems))
    return _with_sources(chosen, distribution.source) if distribution.source else chosen


def _with_sources(chosen: ChosenFiles, source: Path) -> ChosenFiles:
    """Adds the native files of the directory that an editable install points at."""
    note = f"it is an editable install: its sources are in `{printable(str(source))}`"
    if not source.is_dir():
        return replace(chosen, problems=(*chosen.problems, f"{note}, which is not there"))
    own = choose_files(list_directory(source, source, skip=_NOT_SOURCES), Boundary(source, source))
    return replace(
        chosen,
        native=(*chosen.native, *own.native),
        missing=(*chosen.missing, *own.missing),
        members=chosen.members + own.members,
        problems=(*chosen.problems, note, *own.problems),
    )


def _read_list(place: Path, problems: list[str]) -> str | None:
    """The text of a list, None where there is none that can be read: then the files are looked for without it."""
    try:
        return read_regular(place, _MOST_RECORD_BYTES).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        problems.append(f"cannot read its {place.name}: {error.strerror}")
        return None


def _parse_record(text: str, problems: list[str]) -> Iterator[tuple[str, int | None]]:
    """Path and size of each line; a broken line loses only itself, and is counted."""
    broken = 0
    for line in text.split("\n"):
        fields = _split_record(line.rstrip("\r")) if line.strip() else []
        if fields is None:
            broken += 1
        elif fields and fields[0]:
            size = fields[2] if len(fields) == 3 else ""
            yield fields[0].replace("\\", "/"), int(size) if size.isascii() and size.isdigit() else None
    if broken:
        problems.append(f"{broken} lines of its RECORD are broken and were passed over")


def _split_record(line: str) -> list[str] | None:
    if '"' not in line:
        fields = line.split(",")
    elif line.count('"') % 2:
        return None
    else:
        try:
            fields = next(csv.reader([line]))
        except (csv.Error, StopIteration):
            return None
    return fields if len(fields) <= 3 and "\0" not in fields[0] and len(fields[0]) < 4096 else None


def _guess(distribution: Distribution, problems: list[str]) -> Iterator[tuple[str, int | None]]:
    """The files of its import packages, where no list was left (packages of Linux distributions)."""
    text = _read_list(distribution.metadata / "top_level.txt", problems)
    names = text.split()[:_MOST_GUESSED] if text else [re.sub(r"[-.]+", "_", distribution.name)]
    problems.append(
        "it has no list of its files; those of " + ", ".join(f"`{printable(n)}`" for n in names) + " were read"
    )
    for name in names:
        package = distribution.base / name
        is_below = re.fullmatch(r"[\w./-]+", name) and not {"", ".", ".."} & set(name.split("/"))
        if is_below and package.is_dir():
            yield from list_directory(package, distribution.base)
        elif name.isidentifier():
            for single in sorted(distribution.base.glob(f"{name}.*")):
                if single.is_file():
                    yield single.name, None


def _installed_at(metadata: Path) -> tuple[int, str]:
    try:
        return metadata.stat().st_mtime_ns, metadata.name
    except OSError:
        return 0, metadata.name
