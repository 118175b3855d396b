"""What conda is configured to do: its `.condarc` files and its variables, as far as they say which channels are meant
and how they are reached.

Rules of merging from conda's documentation ("Configuration engine for users"): of single values the strongest source
counts; lists are joined, the strongest source first; maps are joined key by key. `#!final` lets nothing stronger
count, `#!top` and `#!bottom` move items of lists. Variables (`CONDA_CHANNELS`) are stronger than all files.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gpuenv import settings
from gpuenv.channels.conda.condarc_files import Entry, condarc_files, home_of, read_entries
from gpuenv.errors import FormatError

__all__ = ["Condarc", "read_condarc"]

_TRUE = frozenset({"true", "yes", "on", "y", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "0", "none", ""})
_PRIORITIES = ("strict", "flexible", "disabled")
_VARIABLE = re.compile(r"\$(?:\{([^}]+)\}|(\w+))", re.ASCII)
_WINDOWS_VARIABLE = re.compile(r"%([^%]+)%")
_ALIASES = {
    "channels": ("channel",),
    "ssl_verify": ("verify_ssl",),
    "allowlist_channels": ("whitelist_channels",),
}

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condarc:
    """The settings that count, under conda's names; None or nothing where no file says anything.

    `channel_priority` is strict unless a file says otherwise (conda's own default is flexible). `ssl_verify` is a
    truth value or the path of certificates. `files` are the files that were read. `repr` shows no value, since
    addresses may hold logins.
    """

    channels: tuple[str, ...] = field(default=(), repr=False)
    channel_alias: str | None = field(default=None, repr=False)
    default_channels: tuple[str, ...] | None = field(default=None, repr=False)
    custom_channels: Mapping[str, str] = field(default_factory=dict, repr=False)
    custom_multichannels: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    channel_priority: str = "strict"
    allowlist_channels: tuple[str, ...] = field(default=(), repr=False)
    denylist_channels: tuple[str, ...] = field(default=(), repr=False)
    channel_settings: tuple[Mapping[str, str], ...] = field(default=(), repr=False)
    ssl_verify: bool | str = True
    proxy_servers: Mapping[str, str] = field(default_factory=dict, repr=False)
    offline: bool = False
    subdirs: tuple[str, ...] = ()
    add_pip_as_python_dependency: bool = True
    local_builds: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """One file, or one variable, and what it says."""

    name: str
    entries: dict[str, Entry]
    path: Path | None = None


def read_condarc(environ: Mapping[str, str] | None = None, *, home: Path | None = None) -> Condarc:
    """The configuration of conda as it counts for this user. Keys that matter to nothing here are passed over.

    FormatError for a file that is broken, or a key whose value is of the wrong kind, with file and line;
    UnavailableError for a file that may not be read.
    """
    variables = os.environ if environ is None else environ
    files = tuple(condarc_files(variables, home_of(variables, home)))
    sources = [_Source(name=f"`{path}`", entries=read_entries(path), path=path) for path in files]
    merged = _Merged(sources=[*sources, *_of_variables(variables)], environ=variables)
    default_channels = merged.texts("default_channels")
    return Condarc(
        channels=merged.texts("channels") or (),
        channel_alias=merged.text("channel_alias"),
        default_channels=default_channels or None,
        custom_channels=merged.by_name("custom_channels"),
        custom_multichannels=merged.lists_by_name("custom_multichannels"),
        channel_priority=merged.single("channel_priority", _priority) or "strict",
        allowlist_channels=merged.texts("allowlist_channels") or (),
        denylist_channels=merged.texts("denylist_channels") or (),
        channel_settings=merged.maps("channel_settings"),
        ssl_verify=merged.ssl_verify(),
        proxy_servers=merged.by_name("proxy_servers"),
        offline=merged.single("offline", _truth) or False,
        subdirs=merged.texts("subdirs") or (),
        add_pip_as_python_dependency=merged.single("add_pip_as_python_dependency", _truth) is not False,
        local_builds=tuple(filter(None, (merged.text("croot"), merged.text("bld_path")))),
        files=files,
    )


class _Merged:
    """The sources, weakest first, asked for one key at a time."""

    def __init__(self, *, sources: list[_Source], environ: Mapping[str, str]) -> None:
        self._sources = sources
        self._environ = environ

    def single(self, key: str, convert: Callable[[str], Value | None]) -> Value | None:
        """The value that counts of a key with one value; None where nobody gives one."""
        matches = self._matches(key)
        final = next((one for one in matches if one[1].flag == "final"), None)
        chosen = final or (matches[-1] if matches else None)
        if chosen is None:
            return None
        source, entry = chosen
        text = self._text(source, entry, key)
        value = convert(text)
        if value is None:
            raise _wrong(source, entry, f"`{key}` is `{text[:80]}`, which it cannot be")
        return value

    def text(self, key: str) -> str | None:
        """The same for text; an empty one is none."""
        return self.single(key, str) or None

    def ssl_verify(self) -> bool | str:
        """A truth value, or a path of certificates."""
        told = self.text("ssl_verify")
        truth = _truth(told) if told is not None else None
        return truth if truth is not None else told if told is not None else True

    def texts(self, key: str) -> tuple[str, ...] | None:
        """The joined list of a key; None where no source has it."""
        matches = _up_to_final(self._matches(key))
        lists = [(source, self._items(source, entry, key)) for source, entry in matches]
        flagged = [[(self._text(source, one, key), one.flag) for one in items] for source, items in lists]
        return _joined(flagged) if matches else None

    def by_name(self, key: str) -> dict[str, str]:
        """The joined map of a key, with texts in it."""
        found = self._maps_joined(key)
        return {
            name: self._text(source, entry, key)
            for name, (source, entry) in found.items()
            if entry.value is not None and name
        }

    def lists_by_name(self, key: str) -> dict[str, tuple[str, ...]]:
        """The joined map of a key, with lists in it."""
        return {
            name: tuple(self._text(source, one, key) for one in self._items(source, entry, key))
            for name, (source, entry) in self._maps_joined(key).items()
            if entry.value is not None
        }

    def maps(self, key: str) -> tuple[dict[str, str], ...]:
        """The maps in the lists of a key, of the strongest source first; what is in them but texts is left out."""
        found = []
        for source, entry in reversed(_up_to_final(self._matches(key))):
            for item in self._items(source, entry, key):
                if not isinstance(item.value, dict):
                    raise _wrong(source, item, f"`{key}` is a list of maps")
                texts = {name: one.value for name, one in item.value.items() if isinstance(one.value, str)}
                found.append({name: self._expanded(text) for name, text in texts.items()})
        return tuple(found)

    def _matches(self, key: str) -> list[tuple[_Source, Entry]]:
        names = (key, *_ALIASES.get(key, ()))
        found = (
            (source, next((source.entries[name] for name in names if name in source.entries), None))
            for source in self._sources
        )
        return [(source, entry) for source, entry in found if entry is not None and entry.value is not None]

    def _maps_joined(self, key: str) -> dict[str, tuple[_Source, Entry]]:
        joined: dict[str, tuple[_Source, Entry]] = {}
        for source, entry in _up_to_final(self._matches(key)):
            if not isinstance(entry.value, dict):
                raise _wrong(source, entry, f"`{key}` is a map: names with a value each")
            for name, one in entry.value.items():
                if name not in joined or joined[name][1].flag != "final":
                    joined[name] = source, one
        return joined

    def _items(self, source: _Source, entry: Entry, key: str) -> tuple[Entry, ...]:
        if not isinstance(entry.value, tuple):
            raise _wrong(source, entry, f"`{key}` is a list: one item to a line, each after `- `")
        return tuple(one for one in entry.value if one.value is not None)

    def _text(self, source: _Source, entry: Entry, key: str) -> str:
        if not isinstance(entry.value, str):
            raise _wrong(source, entry, f"`{key}` has a list or a map where one value must be")
        return self._expanded(entry.value)

    def _expanded(self, text: str) -> str:
        """The text with `$NAME` and `${NAME}` replaced; what is not set stays as it stands, as in conda."""

        def value(found: re.Match[str]) -> str:
            return self._environ.get(next(filter(None, found.groups())), found[0])

        text = _VARIABLE.sub(value, text)
        return _WINDOWS_VARIABLE.sub(value, text) if os.name == "nt" else text


def _of_variables(environ: Mapping[str, str]) -> list[_Source]:
    """The variables of conda for these keys, as a source that is stronger than all files."""
    lists = {"channels": "CONDA_CHANNELS"}
    singles = {
        "channel_alias": "CONDA_CHANNEL_ALIAS",
        "channel_priority": "CONDA_CHANNEL_PRIORITY",
        "offline": "CONDA_OFFLINE",
        "ssl_verify": "CONDA_SSL_VERIFY",
        "bld_path": "CONDA_BLD_PATH",
    }
    found = []
    for key, name in (lists | singles).items():
        told = settings.variable(name, environ)
        if told is None or not told.strip():
            continue
        entry = Entry(value=told.strip(), flag=None, line=0)
        if key in lists:
            words = (Entry(value=word.strip(), flag=None, line=0) for word in told.split(",") if word.strip())
            entry = Entry(value=tuple(words), flag=None, line=0)
        found.append(_Source(name=f"`{name}`", entries={key: entry}))
    return found


def _up_to_final(matches: list[tuple[_Source, Entry]]) -> list[tuple[_Source, Entry]]:
    for place, (_, entry) in enumerate(matches):
        if entry.flag == "final":
            return matches[: place + 1]
    return matches


def _joined(lists: list[list[tuple[str, str | None]]]) -> tuple[str, ...]:
    """Lists, weakest first, as one without repetitions: strongest first, but for what is flagged top or bottom."""
    top = [text for one in lists for text, flag in one if flag == "top"]
    bottom = [text for one in reversed(lists) for text, flag in one if flag == "bottom"]
    usual = [text for one in reversed(lists) for text, _ in one]
    from_the_top = _unique([*top, *usual])
    return tuple(reversed(_unique([*reversed(bottom), *reversed(from_the_top)])))


def _unique(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _truth(text: str) -> bool | None:
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _priority(text: str) -> str | None:
    """A priority by its name, or as older conda wrote it, true or false."""
    word = text.strip().lower()
    if word in _PRIORITIES:
        return word
    truth = _truth(word)
    return None if truth is None else "flexible" if truth else "disabled"


def _wrong(source: _Source, entry: Entry, why: str) -> FormatError:
    where = f"{source.name}, line {entry.line}" if entry.line else source.name
    return FormatError(f"{where}: {why}", hints=("`conda config --show-sources` shows what conda reads of it",))
