"""What packages do to each other in one environment: commands that meet files, files behind links, files in the way.

rattler puts a file that two packages have into the place of one of them. It does not count the commands that it writes
for entry points, nor links to directories, nor what is in the prefix already: there it would write through what it
finds, which may be a hard link to the cache or a link to the system's Python. So those are told apart before.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from gpuenv.artifacts.listed_files import Boundary
from gpuenv.environments.conda_checks import PackageFacts, refused
from gpuenv.model import LockedConda, printable

__all__ = ["Together", "check_together", "clear_the_way", "refuse_in_the_way", "refuse_outside", "without_commands"]

_LIBRARY = "lib/python/site-packages"
# What uv writes into a new virtual environment, and nobody needs.
_OF_UV = (".gitignore", ".lock", "CACHEDIR.TAG")

Packages = Iterable[tuple[LockedConda, PackageFacts]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """The commands that packages may not make, by package, with a line for each."""

    hidden: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def check_together(packages: Packages, *, staying: Mapping[str, str] | None = None) -> Together:
    """Which commands must not be made, since another package has a file or a command there.

    `staying` are the files that stay in a prefix, each with its package. IntegrityError where a command would take the
    place of a file of `python`, or a file would be put through a link to where another package has one, or out.
    """
    every = list(packages)
    _refuse_behind_links_out(every)
    owners = {_key(path): name for path, name in (staying or {}).items()}
    owners |= {_key(path): locked.name for locked, facts in every for path in facts.paths}
    _refuse_behind_links(every, owners)
    hidden: dict[str, list[str]] = {}
    notes: list[str] = []
    for locked, facts in sorted(every, key=lambda one: one[0].name):
        for command in facts.commands:
            taken = [owners[key] for place in _places(command) if (key := _key(place)) in owners]
            if "python" in taken:
                raise refused(locked, f"its command `{printable(command)}` would take the place of a file of python")
            if taken:
                hidden.setdefault(locked.name, []).append(command)
                whose = f"a file of `{taken[0]}` is there" if taken[0] != locked.name else "it is a file of its own"
                notes.append(f"the command `{printable(command)}` of `{locked.name}` was not made: {whose}")
            else:
                owners |= {_key(place): locked.name for place in _places(command)}
    return Together(hidden={name: tuple(found) for name, found in hidden.items()}, notes=tuple(notes))


def without_commands(directory: Path, commands: Iterable[str], place: Path) -> None:
    """Make at `place` the package of `directory`, whose files stay the same ones, without some of its commands."""
    place.mkdir()
    for path in directory.iterdir():
        if path.name == "info":
            continue
        if path.is_symlink():
            (place / path.name).symlink_to(path.readlink())
        else:
            _same(path, place / path.name)
    info = place / "info"
    info.mkdir()
    for path in (directory / "info").iterdir():
        if path.name != "link.json":
            _same(path, info / path.name)
    link = json.loads((directory / "info" / "link.json").read_text("utf-8"))
    gone = set(commands)
    entry_points = link["noarch"]["entry_points"]
    link["noarch"]["entry_points"] = [one for one in entry_points if one.partition("=")[0].strip() not in gone]
    (info / "link.json").write_text(json.dumps(link), "utf-8")


def refuse_outside(prefix: Path, locked: LockedConda, facts: PackageFacts, *, python: str | None = None) -> None:
    """IntegrityError where a file would lie behind a link of `prefix` that leads out of it."""
    inside = Boundary(prefix, prefix)
    for path in facts.paths:
        if not inside.holds(os.fspath(prefix / _real(path, python))):
            raise refused(locked, f"`{printable(path)}` would lie behind a link that leads out of the environment")


def refuse_in_the_way(prefix: Path, packages: Packages, *, python: str | None) -> None:
    """IntegrityError where a package has a file that the virtual environment `prefix` has already."""
    for name in _OF_UV:
        (prefix / name).unlink(missing_ok=True)
    for locked, facts in packages:
        for path in _written(facts, python):
            place = prefix / path
            if os.path.lexists(place) and not (place.is_dir() and not place.is_symlink()):
                raise refused(locked, f"`{printable(path)}` is a file of the virtual environment")


def clear_the_way(
    prefix: Path, packages: Packages, *, staying: Mapping[str, str], owners: Mapping[str, str], python: str | None
) -> None:
    """Where packages will write into `prefix`, give each file of several names bytes of its own, and take links away.

    `owners` are the files of packages that are there, `staying` those that stay: rattler itself takes those away of
    a package that it replaces, and puts a file beside one that stays.
    """
    for locked, facts in packages:
        commands = {place for command in facts.commands for place in _places(command)}
        for path in _written(facts, python):
            if path in staying or (path not in commands and owners.get(path) == locked.name):
                continue
            with suppress(FileNotFoundError):
                _part(prefix / path)


def _part(path: Path) -> None:
    """Make a file that has other names one of its own, and a link the file that it leads to or nothing."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        path.unlink()
    elif stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
        draft = path.with_name(f"{path.name}.gpuenv-draft")
        shutil.copy2(path, draft)
        draft.replace(path)


def _refuse_behind_links_out(every: Packages) -> None:
    every = list(every)
    links = {link.path: (locked, link) for locked, facts in every for link in facts.links_out}
    for locked, facts in every if links else ():
        for path in facts.paths:
            above = path
            while above := posixpath.dirname(above):
                if above in links:
                    owner, link = links[above]
                    raise refused(
                        locked,
                        f"`{printable(path)}` would lie behind `{printable(link.path)}` of {owner.name}, which "
                        f"leads to `{printable(link.target)}`",
                    )


def _refuse_behind_links(every: Packages, owners: Mapping[str, str]) -> None:
    """Two packages may have one file by two paths, of which one goes through a link to a directory."""
    every = list(every)
    links = {path: target for _, facts in every for path, target in facts.links.items()}
    if not links:
        return
    real: dict[str, str] = {"": ""}
    found: dict[str, tuple[str, str]] = {}
    for locked, facts in every:
        for path in facts.paths:
            above, name = posixpath.split(path)
            where = _resolved(above, links, real)
            if where == above:
                continue
            place = _key(posixpath.join(where, name))
            other = owners.get(place) or found.get(place, ("", path))[0]
            if other and (place in owners or found[place][1] != path):
                raise refused(locked, f"`{printable(path)}` is, through a link, a file of {other}")
            found[place] = locked.name, path


def _resolved(directory: str, links: Mapping[str, str], known: dict[str, str]) -> str:
    """Where a directory is once the links on its way are followed; in circles, nowhere else."""
    if directory not in known:
        known[directory] = directory
        above, name = posixpath.split(directory)
        here = posixpath.join(_resolved(above, links, known), name)
        target = links.get(directory, links.get(here))
        known[directory] = here if target is None or target == "." else _resolved(target, links, known)
    return known[directory]


def _places(command: str) -> tuple[str, ...]:
    """The files of a command (`conda/core/path_actions.py`)."""
    if os.name == "nt":
        return (f"Scripts/{command}-script.py", f"Scripts/{command}.exe")
    return (f"bin/{command}",)


def _written(facts: PackageFacts, python: str | None) -> Iterator[str]:
    yield from (_real(path, python) for path in facts.paths)
    yield from (place for command in facts.commands for place in _places(command))


def _real(path: str, python: str | None) -> str:
    """Where a path is with a Python, as 3.11."""
    if not path.startswith(f"{_LIBRARY}/") or python is None:
        return path
    library = "Lib/site-packages" if os.name == "nt" else f"lib/python{python}/site-packages"
    return library + path.removeprefix(_LIBRARY)


def _key(path: str) -> str:
    return path.casefold() if sys.platform in {"win32", "darwin"} else path


def _same(path: Path, place: Path) -> None:
    """The same file or directory under another name."""
    try:
        if path.is_dir():
            place.symlink_to(path, target_is_directory=True)
        else:
            os.link(path, place, follow_symlinks=False)
    except (OSError, NotImplementedError):
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        copy(path, place)
