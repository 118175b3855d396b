"""How channels stand in the files of a team: paths start at the file, so that the directory can move as a whole.

A plan is made with whole paths. What a lock keeps of it names a channel on disk as its project does (`./channel`), and
no login that stood in an address.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from gpuenv.channels.conda.condarc import Condarc
from gpuenv.channels.conda.places import ChannelPlace, resolve_channels, without_secrets
from gpuenv.model import LockedConda, Plan, Request, from_json, to_json

__all__ = ["as_locked", "from_directory", "printable_request", "rebased", "unlocked"]

_WITH_CHANNEL = re.compile(r"(?P<before>\s*)(?P<channel>[^\s\[\]]+)::(?P<rest>.*)", re.DOTALL)
_IS_PART_OF_NAME = r"(?![\w%+~-]|\.\w)"


def rebased(request: Request, base: Path, onto: Path) -> Request:
    """The request with channels whose paths start at the directory `onto`, where they started at `base`."""

    def move(word: str) -> str:
        return _as_seen_from(onto, Path(os.path.normpath(base / word))) if _is_relative(word) else word

    return request if base == onto else _with_channels(request, move)


def from_directory(request: Request, directory: Path) -> Request:
    """The request with whole paths in place of those that start at `directory`."""

    def whole(word: str) -> str:
        return str(_place(word, directory).path) if _is_relative(word) else word

    return _with_channels(request, whole)


def printable_request(request: Request) -> Request:
    """The request without logins and tokens in the addresses of its channels."""
    return _with_channels(request, lambda word: without_secrets(word) if "://" in word else word)


def as_locked(plan: Plan, request: Request, directory: Path) -> Plan:
    """The plan as a lock in `directory` keeps it, wherever it names a channel of `request` that is there by a path from
    that directory or from the user's own.
    """
    words = [word for word in _channels_of(request) if _is_movable(word)]
    places = {_place(word, directory): _text(word, directory) for word in words}
    if not places:
        return plan
    texts = {known: text for place, text in places.items() for known in (place.address, str(place.path))}
    names = "|".join(re.escape(known) for known in sorted(texts, key=len, reverse=True))
    found = re.compile(rf"(?<![\w.-])(?:{names}){_IS_PART_OF_NAME}")

    def moved(value: Any) -> Any:
        if isinstance(value, str):
            return found.sub(lambda match: texts[match[0]], value)
        if isinstance(value, list):
            return [moved(one) for one in value]
        return {key: moved(one) for key, one in value.items()} if isinstance(value, dict) else value

    document = moved(msgspec.json.decode(to_json(plan, indent=0)))
    return from_json(msgspec.json.encode(document), Plan)


def unlocked(plan: Plan, directory: Path) -> Plan:
    """The plan of a lock in `directory` as it can be installed: with whole addresses again."""
    if not any(_is_movable(package.channel.rstrip("/") or "/") for package in plan.conda):
        return plan
    return msgspec.structs.replace(
        plan,
        request=from_directory(plan.request, directory),
        conda=tuple(_whole(package, directory) for package in plan.conda),
        packages=tuple(
            msgspec.structs.replace(one, source=str(_place(one.source, directory).path))
            if _is_movable(one.source)
            else one
            for one in plan.packages
        ),
    )


def _whole(package: LockedConda, directory: Path) -> LockedConda:
    channel = package.channel.rstrip("/")
    if not _is_movable(channel):
        return package
    address = _place(channel, directory).address

    def whole(text: Any) -> Any:
        return address + text.removeprefix(channel) if isinstance(text, str) and text.startswith(channel) else text

    record = {key: whole(value) if key in {"url", "channel"} else value for key, value in package.record.items()}
    return msgspec.structs.replace(package, url=whole(package.url), channel=whole(package.channel), record=record)


def _is_relative(word: str) -> bool:
    return word in {".", ".."} or word.startswith(("./", "../", ".\\", "..\\"))


def _is_movable(word: str) -> bool:
    """Whether the word is a path that means another place in another directory, or for another user."""
    return _is_relative(word) or word == "~" or word.startswith(("~/", "~\\"))


def _text(word: str, directory: Path) -> str:
    """The word in its plain form, without a slash at its end."""
    if not _is_relative(word):
        return Path(word).as_posix()
    return _as_seen_from(directory, Path(os.path.normpath(directory / word)))


def _as_seen_from(directory: Path, path: Path) -> str:
    try:
        text = Path(os.path.relpath(path, directory)).as_posix()
    except ValueError:
        # Another drive of Windows.
        return str(path)
    return text if text in {".", ".."} or text.startswith("../") else f"./{text}"


def _place(word: str, directory: Path) -> ChannelPlace:
    return resolve_channels((word,), condarc=Condarc(), base=directory)[0]


def _channels_of(request: Request) -> Iterable[str]:
    named = (_WITH_CHANNEL.fullmatch(spec) for spec in request.specs)
    return dict.fromkeys((*request.channels, *(one["channel"] for one in named if one)))


def _with_channels(request: Request, change: Callable[[str], str]) -> Request:
    """The request with other words for its channels, those in front of specs as well."""

    def in_spec(spec: str) -> str:
        found = _WITH_CHANNEL.fullmatch(spec)
        return f"{found['before']}{change(found['channel'])}::{found['rest']}" if found else spec

    return msgspec.structs.replace(
        request,
        specs=tuple(map(in_spec, request.specs)),
        channels=tuple(dict.fromkeys(map(change, request.channels))),
    )
