"""Locks of conda packages: `conda-lock.yml` (which pixi before 0.15 wrote as well), `pixi.lock`, and the list of
`conda list --explicit`.

The formats: conda-lock's documentation of its unified lock file, version 1; pixi.lock of versions 4 to 7 as
rattler-lock writes them; conda's explicit specification file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.channels.destinations import Destination
from gpuenv.errors import FormatError, GpuenvError, UnavailableError
from gpuenv.targets.lock_platforms import choose_platform
from gpuenv.targets.named import expand_address
from gpuenv.targets.wanted import Expansion, WantedFile, conda_file, kind_of_name, sha256_in
from gpuenv.targets.yaml_text import as_list, as_mapping, as_text, read_yaml

__all__ = ["read_conda_lock", "read_explicit", "read_pixi_lock"]

_INSTALLED_BY_DEFAULT = {"", "main", "dev"}
_PLATFORM_LINE = re.compile(r"^#\s*platform:\s*(\S+)", re.MULTILINE)
_HEX = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


def read_conda_lock(text: str, path: Path, destination: Destination, *, is_asked: bool = True) -> Expansion:
    """The files of a `conda-lock.yml` for one platform, of the categories that conda-lock installs by default."""
    document = as_mapping(read_yaml(text, where=str(path)), f"`{path}`")
    entries = [
        (index, as_mapping(entry, f"`package[{index}]` in `{path}`"))
        for index, entry in enumerate(as_list(document.get("package"), f"`package` in `{path}`"))
    ]
    held = {as_text(entry.get("platform"), f"`package[{index}].platform`") for index, entry in entries}
    platform, notes = choose_platform(held - {""}, destination, where=path.name, is_asked=is_asked)
    files: list[WantedFile] = []
    problems: list[GpuenvError] = []
    left: set[str] = set()
    taken: set[str] = set()
    for index, entry in entries:
        where = f"`package[{index}]` in `{path}`"
        if entry.get("platform") != platform:
            continue
        category = as_text(entry.get("category"), f"{where}: `category`")
        if category not in _INSTALLED_BY_DEFAULT:
            left.add(category)
            continue
        hashes = as_mapping(entry.get("hash"), f"{where}: `hash`")
        url = as_text(entry.get("url"), f"{where}: `url`")
        if url and url in taken:
            # conda-lock lists a package once for each category that it is in.
            continue
        taken.add(url)
        _take(url, {**entry, "sha256": hashes.get("sha256")}, path, where, files, problems)
    if left:
        notes += (f"not installed by default, and not looked at: {', '.join(sorted(left))}",)
    return Expansion(files=tuple(files), problems=tuple(problems), notes=notes)


def read_pixi_lock(text: str, path: Path, destination: Destination, *, is_asked: bool = True) -> Expansion:
    """The files of a `pixi.lock` for one platform, of the environment `default` or the first one."""
    document = as_mapping(read_yaml(text, where=str(path)), f"`{path}`")
    environments = as_mapping(document.get("environments"), f"`environments` in `{path}`")
    if not environments:
        if "package" in document:
            return read_conda_lock(text, path, destination, is_asked=is_asked)
        raise FormatError(f"`{path}` is not a pixi.lock", reasons=("it has no `environments`",))
    chosen = "default" if "default" in environments else next(iter(environments))
    notes = (f"of the environments of `{path.name}` this is `{chosen}`",) if len(environments) > 1 else ()
    where = f"`environments.{chosen}` in `{path}`"
    by_platform = as_mapping(as_mapping(environments[chosen], where).get("packages"), f"{where}: `packages`")
    platform, more = choose_platform(by_platform, destination, where=path.name, is_asked=is_asked)
    known = dict(_pixi_packages(document, path))
    files: list[WantedFile] = []
    problems: list[GpuenvError] = []
    for index, entry in enumerate(as_list(by_platform[platform], f"{where}: `packages.{platform}`")):
        spot = f"{where}: `packages.{platform}[{index}]`"
        pairs = as_mapping(entry, spot)
        kind = next((one for one in ("conda", "pypi") if one in pairs), None)
        place = as_text(pairs.get(kind or "conda_source"), spot)
        if not place:
            raise FormatError(f"{spot} names no package")
        if kind is None:
            problems.append(_from_sources(place))
        else:
            _take(place, known.get(place, {}), path, spot, files, problems)
    return Expansion(files=tuple(files), problems=tuple(problems), notes=(*notes, *more))


def _pixi_packages(document: dict[str, Any], path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is known of each package, by its address: under `conda`, `pypi`, or before version 6 `url` or `path`."""
    for index, entry in enumerate(as_list(document.get("packages"), f"`packages` in `{path}`")):
        where = f"`packages[{index}]` in `{path}`"
        pairs = as_mapping(entry, where)
        for key in ("conda", "pypi", "url", "path"):
            if key in pairs:
                yield as_text(pairs[key], f"{where}: `{key}`"), pairs


def read_explicit(text: str, path: Path, destination: Destination, *, is_asked: bool = True) -> Expansion:
    """The files of an explicit list of conda packages, one address a line, each perhaps with a hash."""
    named = _PLATFORM_LINE.search(text)
    notes: tuple[str, ...] = ()
    if named:
        _, notes = choose_platform({named[1]}, destination, where=path.name, is_asked=is_asked)
    files: list[WantedFile] = []
    problems: list[GpuenvError] = []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.strip()
        if entry and not entry.startswith(("#", "@")):
            url, _, fragment = entry.partition("#")
            digest = sha256_in(fragment) or (fragment if _HEX.fullmatch(fragment) else None)
            _take(url, {"sha256": digest}, path, f"`{path}`, line {number}", files, problems)
    return Expansion(files=tuple(files), problems=tuple(problems), notes=notes)


def _take(
    place: str,
    known: dict[str, Any],
    path: Path,
    where: str,
    files: list[WantedFile],
    problems: list[GpuenvError],
) -> None:
    """One entry of a lock, at an address or at a path from the lock's directory."""
    if not place:
        raise FormatError(f"{where} has no address")
    sha256 = as_text(known.get("sha256"), f"{where}: `sha256`").lower() or None
    size = as_text(known.get("size"), f"{where}: `size`")
    size_bytes = int(size) if size.isascii() and size.isdigit() else None
    name = as_text(known.get("name"), f"{where}: `name`") or None
    version = as_text(known.get("version"), f"{where}: `version`") or None
    # pixi's mark of what comes from an address and not from an index.
    place = place.removeprefix("direct+")
    if place.startswith(("http://", "https://")):
        found = expand_address(place, name=name).files[0]
        files.append(
            WantedFile(
                name=found.name,
                version=version or found.version,
                build=found.build,
                filename=found.filename,
                kind=found.kind,
                url=found.url,
                sha256=sha256 or found.sha256,
                size_bytes=size_bytes,
                login=found.login,
            )
        )
        return
    local = path.parent / place.removeprefix("file://")
    if "+" in place.partition("://")[0] or not local.suffix or local.is_dir():
        if place not in {".", "./"}:
            problems.append(_from_sources(name or place))
        return
    if local.name.endswith(CONDA_ENDINGS):
        files.append(conda_file(str(local), name=name, version=version, sha256=sha256, size=size_bytes))
        return
    files.append(
        WantedFile(
            name=name or local.name,
            version=version,
            filename=local.name,
            kind=kind_of_name(local.name),
            path=local,
            sha256=sha256,
            size_bytes=size_bytes,
        )
    )


def _from_sources(name: str) -> UnavailableError:
    return UnavailableError(
        f"`{name}` is not looked at",
        reasons=("the lock has its sources, which would have to be built first",),
        hints=("build a package of it and check that",),
    )
