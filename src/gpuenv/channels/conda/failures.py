"""What rattler says of channels that cannot be read, in own words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from gpuenv.channels.conda.places import ChannelPlace
from gpuenv.errors import FormatError, GpuenvError, UnavailableError

__all__ = ["explain_gateway"]

# What the reader of JSON and MessagePack says, and what rattler says of names, versions and hashes.
_BROKEN = re.compile(
    r"failed to parse|invalid(?! peer certificate)|EOF while|(?<!un)expected |decode|corrupt|checksum|hash mismatch|"
    r"missing field|duplicate field|unknown (?:field|variant)|out of range|not a valid|trailing characters|"
    r"recursion limit|control character|frame (?:parameter|descriptor)",
    re.IGNORECASE,
)
_NO_SUBDIR = re.compile(r"could not find subdir '(?P<subdir>[^']+)'")
_OFFLINE = re.compile(r"no (?:valid )?cache|cache.*(?:not available|is missing|outdated)|use-cache-only", re.IGNORECASE)
_ADDRESS = re.compile(r"\w+://\S+")
_WITH_LOGIN = re.compile(r"(?<=://)[^/@\s]+@")
_WITH_TOKEN = re.compile(r"/t/[^/\s]+")
_MOST_LINES = 4


def explain_gateway(error: Exception, places: Sequence[ChannelPlace]) -> GpuenvError:
    """The error for channels that rattler could not read: FormatError for repodata that is broken, else
    UnavailableError. No login or token that stood in an address is repeated.
    """
    said = _WITH_TOKEN.sub("/t/…", _WITH_LOGIN.sub("", str(error))).strip()
    lines = tuple(line.removeprefix("Caused by: ") for line in said.splitlines() if line.strip())[:_MOST_LINES]
    place = _meant(str(error), places)
    told = f"the channel `{place.name}`" if place else "a channel"
    if missing := _NO_SUBDIR.search(said):
        return UnavailableError(
            f"{told} has no `{missing['subdir']}/repodata.json`", reasons=lines[1:], hints=tuple(_index_it(place))
        )
    if _OFFLINE.search(said):
        return UnavailableError(
            f"offline, and {told} was not read before", reasons=lines, hints=("leave out `--offline`",)
        )
    # An address may have any word in it.
    if _BROKEN.search(_ADDRESS.sub("", said)):
        return FormatError(
            f"{told} has repodata that is broken",
            reasons=lines,
            hints=tuple(_index_it(place)) or ("try again later, or tell those who keep the channel",),
        )
    return UnavailableError(
        f"{told} does not answer",
        reasons=lines,
        hints=("look at its address, and at `.condarc` for its login", "do without channels: `--only wheels`"),
    )


def _meant(said: str, places: Sequence[ChannelPlace]) -> ChannelPlace | None:
    named = [place for place in places if place.address.rstrip("/") in said or place.fetch_address.rstrip("/") in said]
    return named[0] if named else places[0] if len(places) == 1 else None


def _index_it(place: ChannelPlace | None) -> list[str]:
    if place is None or not place.address.startswith("file:"):
        return []
    path = Path(unquote(urlsplit(place.address).path))
    if not path.is_dir():
        return [f"there is no directory `{path}`"]
    return [f"if it is yours, index it: `gpuenv channel index {path}`"]
