"""What conda's specs may say in brackets of where a package comes from, in the form that counts here: `CHANNEL::NAME`.

Source: conda's documentation, "Package match specifications": `NAME[channel=…,subdir=…]` means what
`CHANNEL/SUBDIR::NAME` means.
"""

from __future__ import annotations

import re

from gpuenv.errors import RequestError

__all__ = ["channel_in_front", "subdir_asked"]

_IN_BRACKETS = r"(?P<before>[\[,])\s*{key}\s*=\s*(?P<quote>['\"]?)(?P<value>[^'\",\[\]]+?)(?P=quote)\s*(?P<after>[,\]])"
_CHANNEL = re.compile(_IN_BRACKETS.format(key="channel"))
_SUBDIR = re.compile(_IN_BRACKETS.format(key="subdir"))
_IN_FRONT = re.compile(r"\s*(?P<channel>[^\s\[\]]+)::")
_AT_END = re.compile(r".+/(?P<subdir>noarch|(?:linux|osx|win)-\w+)", re.ASCII)


def channel_in_front(typed: str) -> str:
    """`pytorch[channel=conda-forge,version='>=2']` as `conda-forge::pytorch[version='>=2']`; other specs as they are.

    RequestError for one that names two channels.
    """
    found = _CHANNEL.search(typed)
    if found is None:
        return typed
    edges = found["before"], found["after"]
    kept = {("[", "]"): "", ("[", ","): "["}.get(edges, found["after"])
    rest = typed[: found.start()] + kept + typed[found.end() :]
    front = _IN_FRONT.match(rest)
    if front and front["channel"] != found["value"]:
        raise RequestError(
            f"a spec on `{rest[front.end() :].strip()}` names two channels",
            hints=("name one: `CHANNEL::NAME`",),
        )
    return rest if front else f"{found['value']}::{rest.strip()}"


def subdir_asked(typed: str) -> str | None:
    """The directory of channels (`win-64`) that a spec asks for, in brackets or behind its channel."""
    if found := _SUBDIR.search(typed):
        return found["value"]
    front = _IN_FRONT.match(typed)
    behind = _AT_END.fullmatch(front["channel"]) if front else None
    return behind["subdir"] if behind else None
