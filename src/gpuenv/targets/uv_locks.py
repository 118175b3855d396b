"""`uv.lock`: what a project's lock installs on one machine.

uv calls the format its own, without a specification; read here is version 1 as uv 0.13 writes it. One lock is for all
platforms, so the requirements are followed from the project on, with the markers decided for the destination.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName

from gpuenv.channels.destinations import Destination
from gpuenv.channels.index import IndexFile
from gpuenv.channels.index_files import name_in_url
from gpuenv.errors import FormatError, GpuenvError, UnavailableError
from gpuenv.targets.selection import pick_file
from gpuenv.targets.text_files import read_text_file
from gpuenv.targets.wanted import Expansion, WantedFile, sha256_in

__all__ = ["parse_uv_lock", "read_uv_lock"]

_ON_DISK = ("editable", "virtual", "directory")
_DEFAULT_GROUP = "dev"
Table = dict[str, Any]
# A package, its extras, and its groups (None for all of them).
_Root = tuple[Table, Collection[str], Collection[str] | None]


def parse_uv_lock(text: str, path: Path) -> Table:
    """The document; FormatError for what is no uv.lock of version 1."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FormatError(f"`{path}` is not TOML", reasons=(str(error),)) from error
    if document.get("version") != 1 or not isinstance(document.get("package", []), list):
        raise FormatError(f"`{path}` is not a uv.lock of version 1", reasons=(f"version {document.get('version')!r}",))
    return document


def read_uv_lock(document: Table, path: Path, destination: Destination) -> Expansion:
    """The files that the lock installs at `destination`: the project's requirements and those of its default groups,
    as `uv sync` does; a note names the extras and groups that are left out. Which groups are the default ones stands
    in the `pyproject.toml` beside the lock; without it, it is `dev`.
    """
    groups = _default_groups(path)
    walk = _Walk(_tables(document.get("package"), f"`package` in `{path}`"), destination, path)
    roots = walk.roots(document, groups)
    for root, extras, its_groups in roots:
        walk.follow(root, extras, its_groups)
    # A workspace whose root is no project has groups all the same.
    of_workspace = _table(_table(document.get("manifest")).get("dependency-groups"))
    for name in groups if groups is not None else of_workspace:
        walk.follow_all(_tables(of_workspace.get(name), f"group `{name}` in `{path}`"))
    notes = [*walk.notes]
    left = sorted({name for root, _, _ in roots for name in _left_out(root, groups)})
    left += [f"group `{name}`" for name in of_workspace if groups is not None and name not in groups]
    if left:
        notes.append(
            f"not installed by default, and not looked at: {', '.join(left)}; "
            f"`uv export --{left[0].replace('`', '')} -o pylock.some.toml` makes a lock that has it"
        )
    return Expansion(files=tuple(walk.files), problems=tuple(walk.problems), notes=tuple(notes))


def _default_groups(path: Path) -> tuple[str, ...] | None:
    """The groups that `uv sync` installs unasked; None for all (uv's documentation, Settings, `default-groups`)."""
    try:
        document = tomllib.loads(read_text_file(path.with_name("pyproject.toml")))
    except (GpuenvError, tomllib.TOMLDecodeError, RecursionError):
        return (_DEFAULT_GROUP,)
    found = _table(_table(document.get("tool")).get("uv")).get("default-groups")
    if found == "all":
        return None
    return tuple(_texts(found)) if isinstance(found, list) else (_DEFAULT_GROUP,)


def _left_out(root: Table, groups: Collection[str] | None) -> Iterator[str]:
    yield from (f"extra `{name}`" for name in _table(root.get("optional-dependencies")))
    if groups is not None:
        yield from (f"group `{name}`" for name in _table(root.get("dev-dependencies")) if name not in groups)


@dataclass(slots=True)
class _Walk:
    """Follows requirements through the lock; each package is taken once, however often it is required."""

    packages: list[Table]
    destination: Destination
    path: Path
    files: list[WantedFile] = field(default_factory=list)
    problems: list[GpuenvError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    by_name: dict[str, list[Table]] = field(default_factory=lambda: defaultdict(list))
    seen: set[tuple[int, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        for package in self.packages:
            if not isinstance(package.get("name"), str):
                raise FormatError(f"a package in `{self.path}` has no name")
            self.by_name[package["name"]].append(package)

    def roots(self, document: Table, groups: Collection[str] | None) -> list[_Root]:
        """Where to begin: the project at the lock's own place, else all that lie on disk, else what a script asks for,
        else what nothing requires.
        """
        manifest = _table(document.get("manifest"))
        on_disk = [one for one in self.packages if _place_on_disk(one) is not None]
        here = [one for one in on_disk if _place_on_disk(one) in {".", ""}]
        members = [one for one in on_disk if one["name"] in (manifest.get("members") or ())]
        asked = [one for one in _tables(manifest.get("requirements"), "`requirements`") if self._holds(one)]
        if not (here or members) and asked:
            return [(one, _texts(entry.get("extras")), ()) for entry in asked for one in self._meant(entry)]
        if not (here or members or on_disk):
            required = {dep.get("name") for one in self.packages for dep in self._requirements(one, None, None)}
            return [(one, (), ()) for one in self.packages if one["name"] not in required]
        return [(one, (), groups) for one in here or members or on_disk]

    def follow_all(self, wanted: list[Table]) -> None:
        """Take what a list of requirements asks for there."""
        for one in filter(self._holds, wanted):
            for package in self._meant(one):
                self.follow(package, _texts(one.get("extra") or one.get("extras")), ())

    def follow(self, package: Table, extras: Collection[str], groups: Collection[str] | None) -> None:
        """Take a package and all that it requires there."""
        waiting: list[_Root] = [(package, extras, groups)]
        while waiting:
            one, its_extras, its_groups = waiting.pop()
            fresh = [extra for extra in ["", *its_extras] if (id(one), extra) not in self.seen]
            if not fresh:
                continue
            self.seen |= {(id(one), extra) for extra in fresh}
            if "" in fresh:
                self._take(one)
            for wanted in self._requirements(one, its_extras, its_groups):
                if self._holds(wanted):
                    found = self._meant(wanted)
                    waiting += [(each, _texts(wanted.get("extra")), ()) for each in found]

    def _requirements(
        self, package: Table, extras: Collection[str] | None, groups: Collection[str] | None
    ) -> Iterator[Table]:
        """What a package requires with some extras and groups; None stands for all of them."""
        where = f"`{package['name']}` in `{self.path}`"
        yield from _tables(package.get("dependencies"), where)
        for kind, wanted in (("optional-dependencies", extras), ("dev-dependencies", groups)):
            lists = _table(package.get(kind))
            for name in lists if wanted is None else wanted:
                yield from _tables(lists.get(name), where)

    def _meant(self, wanted: Table) -> list[Table]:
        """The package that a requirement means: by version and source where it names them, else by its markers."""
        found = self.by_name.get(str(wanted.get("name")), [])
        found = [
            one for one in found if all(one.get(key) == wanted[key] for key in ("version", "source") if key in wanted)
        ]
        if len(found) > 1:
            found = [one for one in found if self._is_for_here(one)] or found
        return found[:1]

    def _is_for_here(self, package: Table) -> bool:
        markers = _texts(package.get("resolution-markers"))
        return not markers or any(self._evaluate(marker) for marker in markers)

    def _holds(self, wanted: Table) -> bool:
        marker = wanted.get("marker")
        return marker is None or self._evaluate(str(marker))

    def _evaluate(self, marker: str) -> bool:
        try:
            return Marker(marker).evaluate({**self.destination.marker_environment, "extra": ""})
        except (InvalidMarker, UndefinedEnvironmentName) as error:
            raise FormatError(f"`{marker}` in `{self.path}` is not a marker", reasons=(str(error),)) from error

    def _take(self, package: Table) -> None:
        place = _place_on_disk(package)
        name = package["name"]
        if place is not None:
            if place not in {".", ""}:
                self.notes.append(f"`{name}` is a project on disk: only what it requires is looked at")
            return
        version = package.get("version")
        files = tuple(self._files(package))
        picked = pick_file(name, version if isinstance(version, str) else None, files, self.destination)
        if picked:
            self.files.append(picked)
        elif "git" in _table(package.get("source")):
            self.problems.append(
                UnavailableError(
                    f"`{name}` is not looked at",
                    reasons=("it comes from a repository, and would have to be built first",),
                    hints=("build a wheel of it and check that",),
                )
            )

    def _files(self, package: Table) -> Iterator[IndexFile]:
        source = _table(package.get("source"))
        entries = _tables(package.get("wheels"), f"`{package['name']}` in `{self.path}`")
        for entry in [*entries, *([package["sdist"]] if isinstance(package.get("sdist"), dict) else [])]:
            yield self._file(entry, source)

    def _file(self, entry: Table, source: Table) -> IndexFile:
        """One file: at its own address or path, else at the one that the package comes from."""
        texts = {key: value for key, value in {**source, **entry}.items() if isinstance(value, str)}
        url, place = texts.get("url"), texts.get("path")
        registry = texts.get("registry", "")
        if entry.get("path") and registry and "://" not in registry:
            place = str(Path(registry, str(entry["path"])))
        name = texts.get("filename") or name_in_url(url or "") or Path(place or "").name
        size = entry.get("size")
        return IndexFile(
            filename=name,
            url=url,
            path=None if url else self.path.parent / (place or name),
            sha256=sha256_in(texts.get("hash", "")),
            size_bytes=size if isinstance(size, int) else None,
            is_wheel=name.endswith(".whl"),
        )


def _place_on_disk(package: Table) -> str | None:
    source = _table(package.get("source"))
    return next((str(source[kind]) for kind in _ON_DISK if kind in source), None)


def _table(value: object) -> Table:
    return value if isinstance(value, dict) else {}


def _tables(value: object, where: str) -> list[Table]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise FormatError(f"{where} is not a list of tables")
    return value


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
