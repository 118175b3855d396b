"""What is in an unpacked conda package, and whether it may go into an environment.

rattler unpacks safely: nothing leaves the directory, device files become plain ones, bits such as setuid are dropped.
But it follows `info/paths.json` wherever that leads, and ends the process at some paths. So that is checked before.

Formats: CEP 34 (contents of conda packages) and conda-build's documentation of `paths.json` and `link.json`.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from gpuenv.artifacts.listed_files import Boundary, read_regular
from gpuenv.errors import FormatError, IntegrityError
from gpuenv.model import LockedConda, printable

__all__ = ["LinkOut", "PackageFacts", "WasTouched", "check_package", "refused"]

_MOST_BYTES = 256 << 20
_LIBRARY = "lib/python/site-packages"
_SCRIPTS = "Scripts" if os.name == "nt" else "bin"
_OURS = re.compile(r"(\.gpuenv|conda-meta)(/.*)?", re.IGNORECASE)
_OF_PACKAGE = re.compile(r"info/.*", re.DOTALL)
_VERSIONED = re.compile(r"lib/python\d+\.\d+t?/site-packages/")
_COMMAND = re.compile(r"\s*(?P<command>[^\s=/\\:]+)\s*=\s*[^\s;'\"()]+\s*(\[.*\])?\s*", re.ASCII)
_SCRIPT = re.compile(r"(?:bin|Scripts)/\.(?P<name>.+)-(?P<when>post-link|pre-unlink|pre-link)\.(?:sh|bat)")


Document = TypeVar("Document")


class WasTouched(Exception):  # noqa: N818  (an answer, not an error)
    """A file of the package was changed or deleted since it was unpacked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOut:
    """A symbolic link of a package that leads out of any environment."""

    path: str
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """Where the files of a package go, and what to say of it. In `paths`, `lib/python` stands for any version.

    `links` are the links within the environment by where they lead to, `commands` the entry points by their names;
    `holds_prefix` is whether some file names the environment's path.
    """

    paths: tuple[str, ...]
    links: dict[str, str] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    links_out: tuple[LinkOut, ...] = ()
    scripts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    holds_prefix: bool = False


class _Index(msgspec.Struct, kw_only=True):
    name: str
    version: str
    build: str
    noarch: str | bool | None = None


class _Entry(msgspec.Struct, kw_only=True, rename={"path": "_path"}):
    path: str
    path_type: Literal["hardlink", "softlink", "directory"] = "hardlink"
    prefix_placeholder: str | None = None
    size_in_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None


class _Paths(msgspec.Struct, kw_only=True):
    paths: list[_Entry]


class _NoArch(msgspec.Struct, kw_only=True):
    entry_points: list[str] = []


class _Link(msgspec.Struct, kw_only=True):
    noarch: _NoArch | None = None


def check_package(directory: Path, locked: LockedConda, *, newest: int | None = None) -> PackageFacts:
    """Look at the package unpacked in `directory`, which is to be `locked`.

    With `newest` (nanoseconds) files may not be younger than that, nor of other sizes than they were: WasTouched.
    IntegrityError for a package that is another, or would put something outside of its environment; FormatError for
    one that breaks its format.
    """
    index = _read(directory, "index.json", _Index, locked)
    found = (index.name.lower(), index.version, index.build)
    if found != (locked.name, locked.version, locked.build):
        raise IntegrityError(
            f"`{locked.filename}` is another package than its channel says",
            reasons=(f"it says that it is {printable(' '.join(found))}",),
            hints=("tell those who keep the channel",),
        )
    is_python = index.noarch == "python"
    commands = _commands(directory, locked) if is_python else ()
    inside = Boundary(directory, directory)
    paths: list[str] = []
    links: dict[str, str] = {}
    links_out: list[LinkOut] = []
    notes: list[str] = []
    rewritten: set[str] = set()
    for entry in _entries(directory, locked):
        if reason := _no_path(entry.path):
            raise refused(locked, f"`{printable(entry.path)}` {reason}")
        place = _place(entry.path, is_python=is_python)
        if not inside.holds(str(directory / entry.path)):
            raise refused(locked, f"`{printable(entry.path)}` lies behind a link that leads out of the package")
        paths.append(place)
        if entry.prefix_placeholder is not None:
            rewritten.add(place)
        status = _look(directory, entry, locked, newest=newest)
        if stat.S_ISLNK(status.st_mode):
            target = _target(directory, entry, place, locked)
            if isinstance(target, LinkOut):
                links_out.append(target)
            else:
                links[place] = target
        elif entry.size_in_bytes is not None and status.st_size != entry.size_in_bytes:
            if newest is not None and status.st_mtime_ns > newest:
                raise WasTouched
            notes.append(f"`{entry.path}` has {status.st_size} bytes, where its list says {entry.size_in_bytes}")
    if len({*paths}) < len(paths) and (twice := [path for path in rewritten if paths.count(path) > 1]):
        # The second would be written through the first, which may be a file of the cache.
        raise refused(locked, f"it lists `{printable(min(twice))}` twice")
    return PackageFacts(
        paths=tuple(paths),
        links=links,
        commands=commands,
        links_out=tuple(links_out),
        scripts=tuple(script["when"] for path in paths if (script := _SCRIPT.fullmatch(path))),
        notes=tuple(notes),
        holds_prefix=bool(rewritten or commands),
    )


def _entries(directory: Path, locked: LockedConda) -> Iterator[_Entry]:
    if (directory / "info" / "paths.json").exists():
        yield from _read(directory, "paths.json", _Paths, locked).paths
        return
    # Packages made before paths.json was there list their files a line each.
    try:
        text = read_regular(directory / "info" / "files", _MOST_BYTES).decode("utf-8", "replace")
    except (OSError, FormatError):
        text = ""
    yield from (_Entry(path=line.strip()) for line in text.splitlines() if line.strip())


def _no_path(path: str) -> str | None:
    """What keeps `path` from being one within an environment."""
    parts = re.split(r"[/\\]" if os.name == "nt" else "/", path)
    if "\0" in path or path in {"", "."} or (os.name == "nt" and ":" in path):
        return "is no path"
    if path.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", path) or ".." in parts:
        return "lies outside of the environment"
    if posixpath.normpath(path) != path:
        return "is not written plainly"
    if _OF_PACKAGE.fullmatch(path):
        return "is what the package says of itself"
    if _OURS.fullmatch(path):
        return "belongs to conda or gpuenv itself"
    return None


def _place(path: str, *, is_python: bool) -> str:
    """Where a file goes; of packages for any Python, its code and commands are moved (CEP 20)."""
    if is_python and path.startswith("site-packages/"):
        return f"{_LIBRARY}/{path.removeprefix('site-packages/')}"
    if is_python and path.startswith("python-scripts/"):
        return f"{_SCRIPTS}/{path.removeprefix('python-scripts/')}"
    return _VERSIONED.sub(f"{_LIBRARY}/", path, count=1)


def _look(directory: Path, entry: _Entry, locked: LockedConda, *, newest: int | None) -> os.stat_result:
    """The file as it lies there."""
    try:
        status = (directory / entry.path).lstat()
    except OSError as error:
        if newest is not None:
            raise WasTouched from error
        raise refused(locked, f"it lists `{printable(entry.path)}`, which it does not hold") from error
    kind = status.st_mode
    if newest is not None and stat.S_ISREG(kind) and status.st_mtime_ns > newest:
        raise WasTouched
    if stat.S_ISLNK(kind):
        if entry.prefix_placeholder is not None:
            raise refused(locked, f"`{printable(entry.path)}` is a link, and its list calls it a text to be changed")
    elif entry.path_type == "softlink" or not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise refused(locked, f"`{printable(entry.path)}` is not of the kind that its list says")
    if entry.prefix_placeholder == "":
        raise refused(locked, f"`{printable(entry.path)}` has an empty placeholder for the environment's path")
    return status


def _target(directory: Path, entry: _Entry, place: str, locked: LockedConda) -> str | LinkOut:
    """Where a link leads, from the environment."""
    target = os.readlink(directory / entry.path).replace(os.sep, "/")  # noqa: PTH115  (a Path would lose `./`)
    if target.startswith("/") or re.match(r"[A-Za-z]:", target):
        return LinkOut(path=place, target=target)
    end = posixpath.normpath(posixpath.join(posixpath.dirname(place), target))
    if end == ".." or end.startswith("../"):
        raise refused(locked, f"the link `{printable(entry.path)}` leads to `{printable(target)}`, out of there")
    return end


def _commands(directory: Path, locked: LockedConda) -> tuple[str, ...]:
    """The commands of a package for any Python, which become files in `bin`."""
    if not (directory / "info" / "link.json").exists():
        return ()
    noarch = _read(directory, "link.json", _Link, locked).noarch
    names: list[str] = []
    for text in noarch.entry_points if noarch else ():
        found = _COMMAND.fullmatch(text)
        if found is None or found["command"] in {".", ".."}:
            raise refused(locked, f"its command `{printable(text)}` is none")
        names.append(found["command"])
    return tuple(dict.fromkeys(names))


def _read(directory: Path, name: str, kind: type[Document], locked: LockedConda) -> Document:
    place = directory / "info" / name
    if place.is_symlink() or place.parent.is_symlink():
        raise FormatError(f"`{locked.filename}` has a link in place of `info/{name}`")
    try:
        return msgspec.json.decode(read_regular(place, _MOST_BYTES), type=kind)
    except (OSError, FormatError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = error.message if isinstance(error, FormatError) else printable(str(error))
        raise FormatError(f"`{locked.filename}` has no `info/{name}` that can be read", reasons=(said,)) from error


def refused(locked: LockedConda, reason: str) -> IntegrityError:
    """The error for a package that may not go into an environment, for `reason`."""
    return IntegrityError(
        f"`{locked.filename}` may not be installed",
        reasons=(reason,),
        hints=("tell those who keep the channel, and take another build or channel",),
    )
