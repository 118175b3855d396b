"""Which of the files that a distribution lists are read: native ones that really lie in its environment."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from gpuenv.artifacts.distributions import ChosenFiles
from gpuenv.artifacts.native_files import file_name, is_native_name, is_perhaps_program
from gpuenv.model import printable

__all__ = ["Boundary", "choose_files", "list_directory", "read_regular"]

_MOST_NAMED = 3
_MOST_WALKED = 50_000


class Boundary:
    """What counts as inside of an environment: what really lies below `base` or `prefix`, wherever links lead."""

    def __init__(self, base: Path, prefix: Path) -> None:
        self.base, self.prefix = os.path.normpath(base.absolute()), os.path.normpath(prefix.absolute())
        self._roots = {os.path.realpath(base), os.path.realpath(prefix)}
        # Of directories, which many files share.
        self._known: dict[str, bool] = {}

    def holds(self, place: str, *, follow: bool = False) -> bool:
        """Whether the directory of `place` is inside; with `follow` the file itself, if it is a link."""
        if follow:
            return self._is_below(os.path.realpath(place))
        directory = os.path.dirname(place)  # noqa: PTH120  (a list has thousands)
        if directory not in self._known:
            self._known[directory] = self._is_below(os.path.realpath(directory))
        return self._known[directory]

    def holds_file(self, place: str) -> bool:
        """Whether `place` is a regular file inside, and no link."""
        try:
            return stat.S_ISREG(os.lstat(place).st_mode) and self.holds(place)
        except (OSError, ValueError):
            return False

    def _is_below(self, real: str) -> bool:
        return any(real == root or real.startswith(root.rstrip(os.sep) + os.sep) for root in self._roots)


def choose_files(listed: Iterable[tuple[str, int | None]], boundary: Boundary) -> ChosenFiles:
    """What to read of the files in `listed`: paths from the base (with `/`) and sizes, where the list has them.

    Nothing outside of the boundary is read, wherever a path or a link leads. A link to a file inside is passed over,
    since that file is listed as well, by this distribution or by the one that it belongs to.
    """
    choice = _Choice(boundary)
    for path, size in listed:
        choice.add(path, size)
    return choice.result()


class _Choice:
    """Goes through a list of files."""

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._native: dict[str, tuple[Path, str]] = {}
        self._sources: dict[str, int] = {}
        self._missing: list[Path] = []
        self._outside: list[str] = []
        self._members = 0

    def add(self, listed: str, size: int | None) -> None:
        """One line of the list."""
        self._members += 1
        name = file_name(listed)
        if name.endswith(".py"):
            self._add_source(listed, size)
        elif is_native_name(name) or ("." not in name and "/" in listed and ".dist-info/" not in listed):
            self._add_native(listed)

    def _add_source(self, listed: str, size: int | None) -> None:
        if not listed.startswith(("/", "../")) and "/../" not in listed:
            self._sources[listed] = size or 0

    def _add_native(self, listed: str) -> None:
        place = os.path.normpath(os.path.join(self._boundary.base, listed))  # noqa: PTH118  (a list has thousands)
        path = self._path_in_artifact(place)
        sure = is_native_name(listed)
        try:
            status = os.lstat(place) if path else None
        except FileNotFoundError:
            if sure:
                self._missing.append(Path(place))
            return
        except (OSError, ValueError):
            # Reading meets the same and says what is wrong.
            self._native |= {place: (Path(place), printable(path or listed))} if sure else {}
            return
        is_link = status is not None and stat.S_ISLNK(status.st_mode)
        if path is None or not self._boundary.holds(place, follow=is_link):
            self._outside += [listed] if sure else []
        elif status and stat.S_ISREG(status.st_mode):
            executable = bool(status.st_mode & 0o111) or os.name == "nt"
            if sure or is_perhaps_program(listed, status.st_size, executable=executable):
                self._native.setdefault(place, (Path(place), printable(path)))

    def _path_in_artifact(self, place: str) -> str | None:
        """From the base, or else from the prefix; None for what lies outside of both."""
        for root in (self._boundary.base, self._boundary.prefix):
            if place.startswith(root.rstrip(os.sep) + os.sep):
                return os.path.relpath(place, root).replace(os.sep, "/")
        return None

    def result(self) -> ChosenFiles:
        """What was chosen, and what is wrong with the list."""
        problems = []
        if self._missing:
            problems.append(f"{_some([one.name for one in self._missing])} should be there and is not")
        if self._outside:
            problems.append(f"{_some(self._outside)} lies outside of the environment and was not read")
        return ChosenFiles(
            native=tuple(sorted(self._native.values(), key=lambda one: one[1])),
            sources=tuple((printable(path), size) for path, size in self._sources.items()),
            missing=tuple(self._missing),
            members=self._members,
            problems=tuple(problems),
        )


def _some(names: list[str]) -> str:
    named = ", ".join(f"`{printable(name)}`" for name in names[:_MOST_NAMED])
    return named + (f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else "")


def read_regular(place: Path, limit: int) -> bytes:
    """The first `limit` bytes of a file; OSError also for pipes and devices, which could keep a reader for ever."""
    mode = place.stat().st_mode
    if not stat.S_ISREG(mode):
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, "it is no regular file", str(place))
    with place.open("rb") as file:
        return file.read(limit)


def list_directory(top: Path, base: Path, *, skip: frozenset[str] = frozenset()) -> Iterator[tuple[str, int | None]]:
    """The files below `top` as a list from `base`, at most 50,000, without following links to directories.

    Hidden directories, those in `skip` and environments of their own are left out.
    """
    count = 0
    for directory, below, files in os.walk(top):
        if directory != str(top) and ("pyvenv.cfg" in files or "conda-meta" in below):
            below[:] = []
            continue
        below[:] = sorted(name for name in below if not name.startswith(".") and name not in skip)
        for name in sorted(files):
            path = Path(directory, name)
            yield path.relative_to(base).as_posix(), _size(path) if name.endswith(".py") else None
            count += 1
            if count == _MOST_WALKED:
                return


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
