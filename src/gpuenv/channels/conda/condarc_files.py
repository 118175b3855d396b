"""conda's configuration files: where they are, and their entries with the flags that stand in comments.

Source: conda's documentation, "Using the .condarc conda configuration file" (Searching for .condarc; Obtaining
information from the .condarc file) and "Configuration engine for users" for `#!top`, `#!bottom` and `#!final`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gpuenv import settings
from gpuenv.errors import FormatError, UnavailableError

if TYPE_CHECKING:
    import yaml

__all__ = ["Entry", "conda_root", "condarc_files", "home_of", "read_entries"]

_MOST_BYTES = 1 << 20
_YAML_ENDINGS = (".yml", ".yaml")
_FLAG = re.compile(r"\s*[#!]+(top|bottom|final)\s*")
_FIRST_LINE = re.compile(r"[^\r\n\x85\u2028\u2029]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One value of a file. `value` is text, entries in order, or entries by key; None stands for an empty value.

    `flag` is `top`, `bottom` or `final` where such a comment stands beside it. `line` counts from 1.
    """

    value: str | tuple[Entry, ...] | dict[str, Entry] | None
    flag: str | None
    line: int

    def __repr__(self) -> str:
        # Values may hold passwords.
        return f"Entry(line={self.line})"


def home_of(environ: Mapping[str, str], home: Path | None = None) -> Path:
    """The user's home directory, as `~` in conda's configuration means it."""
    if home is not None:
        return home
    told = settings.variable("USERPROFILE" if os.name == "nt" else "HOME", environ)
    return Path(told) if told else Path.home()


def conda_root(environ: Mapping[str, str]) -> Path | None:
    """The base installation of conda: CONDA_ROOT, or where CONDA_EXE is; None where neither is set."""
    if told := settings.variable("CONDA_ROOT", environ):
        return Path(told)
    program = settings.variable("CONDA_EXE", environ)
    return Path(program).parent.parent if program and Path(program).is_absolute() else None


def condarc_files(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    """The files that exist, weakest first: of what two of them say, the later one counts."""
    places = list(dict.fromkeys(_places(environ, home)))
    for place in places:
        if place.is_dir():
            yield from sorted(one for one in _listed(place) if one.suffix in _YAML_ENDINGS and one.is_file())
        elif place.is_file():
            yield place


def read_entries(path: Path) -> dict[str, Entry]:
    """What a file says by key; nothing for an empty one.

    FormatError for what is no YAML mapping, with the line; UnavailableError when it cannot be read.
    """
    text = _read(path)
    import yaml

    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None or _is_null(root):
            return {}
        if not isinstance(root, yaml.MappingNode):
            raise _broken(path, root.start_mark.line + 1, "it is not a list of keys with values")
        return _Reader(path, text.splitlines()).by_key(root, flags_of_keys=True, depth=0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _broken(path, line, error.problem or error.context or "it is no YAML") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise _broken(path, None, _said(error)) from None


class _Reader:
    """Turns the nodes of one document into entries."""

    _DEEPEST = 5

    def __init__(self, path: Path, lines: list[str]) -> None:
        self._path = path
        self._lines = lines
        # A node that many aliases name is read once, so that a small file cannot stand for a huge one.
        self._read: dict[tuple[int, int], str | tuple[Entry, ...] | dict[str, Entry] | None] = {}

    def by_key(self, node: yaml.MappingNode, *, flags_of_keys: bool, depth: int) -> dict[str, Entry]:
        """The entries of a mapping. `flags_of_keys` says that the flags of lists stand beside their keys."""
        import yaml

        found: dict[str, Entry] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise _broken(self._path, line, "a key is not text")
            name = str(key.value)
            if name in found:
                raise _broken(self._path, line, f"`{name}` stands there twice")
            is_below = value.start_mark.line > key.start_mark.line
            flag = self._flag(key.end_mark, skip=":") if flags_of_keys and is_below else self._flag(value.end_mark)
            found[name] = Entry(value=self._value(value, depth + 1), flag=flag, line=line)
        return found

    def _value(self, node: yaml.Node, depth: int) -> str | tuple[Entry, ...] | dict[str, Entry] | None:
        if (id(node), depth) not in self._read:
            self._read[id(node), depth] = self._value_of(node, depth)
        return self._read[id(node), depth]

    def _value_of(self, node: yaml.Node, depth: int) -> str | tuple[Entry, ...] | dict[str, Entry] | None:
        import yaml

        if depth > self._DEEPEST:
            # No key that is read here goes deeper; what other keys hold is not looked at.
            return None
        if isinstance(node, yaml.MappingNode):
            return self.by_key(node, flags_of_keys=False, depth=depth)
        if isinstance(node, yaml.SequenceNode):
            return tuple(
                Entry(
                    value=self._value(item, depth + 1),
                    flag=self._flag(item.end_mark) if isinstance(item, yaml.ScalarNode) else None,
                    line=item.start_mark.line + 1,
                )
                for item in node.value
            )
        return None if _is_null(node) else str(node.value)

    def _flag(self, mark: yaml.Mark, *, skip: str = "") -> str | None:
        """The flag in the comment behind a place, if that is all there is on the line."""
        if mark.line >= len(self._lines):
            return None
        rest = self._lines[mark.line][mark.column :].lstrip()
        found = _FLAG.fullmatch(rest.removeprefix(skip))
        return found[1] if found else None


def _places(environ: Mapping[str, str], home: Path) -> Iterator[Path]:
    def inside(directory: Path) -> Iterable[Path]:
        return directory / ".condarc", directory / "condarc", directory / "condarc.d"

    if os.name == "nt":
        yield from inside(Path("C:/ProgramData/conda"))
    else:
        yield from inside(Path("/etc/conda"))
        yield from inside(Path("/var/lib/conda"))
    if root := conda_root(environ):
        yield from inside(root)
    if xdg := settings.variable("XDG_CONFIG_HOME", environ):
        yield from inside(Path(xdg, "conda"))
    yield from inside(home / ".config" / "conda")
    yield from inside(home / ".conda")
    yield home / ".condarc"
    if prefix := settings.variable("CONDA_PREFIX", environ):
        yield from inside(Path(prefix))
    if named := settings.variable("CONDARC", environ):
        yield home / named.lstrip("~/\\") if named.startswith("~") else Path(named)


def _listed(directory: Path) -> list[Path]:
    try:
        return list(directory.iterdir())
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise UnavailableError(f"`{path}` cannot be read", reasons=(error.strerror or str(error),)) from error
    if len(content) > _MOST_BYTES:
        raise _broken(path, None, "it has more than 1 MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _broken(path, line, "it is not text in UTF-8") from None


def _is_null(node: yaml.Node) -> bool:
    return str(node.tag) == "tag:yaml.org,2002:null"


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deep"
    found = _FIRST_LINE.match(str(error))
    return found[0] if found and found[0] else "it is no YAML"


def _broken(path: Path, line: int | None, why: str) -> FormatError:
    where = f"`{path}`, line {line}" if line else f"`{path}`"
    return FormatError(f"{where}: {why}", hints=("`conda config --show-sources` shows what conda reads of it",))
