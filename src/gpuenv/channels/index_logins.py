"""Names and passwords for files on private indexes: `uv` gives their addresses without them, so they are matched by
host with the index addresses that `uv` itself reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import SplitResult, unquote, urlsplit

from gpuenv import settings

__all__ = ["credentials_for", "without_credentials"]

_NAMED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)=(?P<url>[a-z+]+://.*)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


def credentials_for(
    url: str, *, indexes: Iterable[str] = (), environ: Mapping[str, str] | None = None
) -> tuple[str, str] | None:
    """User name and password for `url`, from the first index on the same scheme, host and port that has any.

    `indexes` are addresses that a requirements file names; those of the environment (`UV_DEFAULT_INDEX`, `UV_INDEX`
    and their older names) come after them. A name and password in `url` itself go before all.
    """
    variables = os.environ if environ is None else environ
    wanted = _split(url)
    if wanted is None:
        return None
    if wanted.username:
        return _login(wanted)
    for index in (*indexes, *_of_environment(variables)):
        named = _NAMED.fullmatch(index)
        address = _split(named["url"] if named else index)
        if address is None or _origin(address) != _origin(wanted):
            continue
        if address.username:
            return _login(address)
        if named and (login := _of_name(named["name"], variables)):
            return login
    return None


def without_credentials(url: str) -> str:
    """The address without the user name and password in it."""
    parts = _split(url)
    if parts is None or "@" not in parts.netloc:
        return url
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _of_environment(variables: Mapping[str, str]) -> Iterator[str]:
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_FIND_LINKS"):
        # Lists of indexes have blanks between them, lists of places with files commas.
        text = settings.variable(name, variables) or ""
        yield from re.split(r"[\s,]+" if name == "UV_FIND_LINKS" else r"\s+", text.strip())


def _of_name(name: str, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """What `UV_INDEX_<NAME>_USERNAME` and `..._PASSWORD` say, with NAME in capitals and `_` for all but letters."""
    prefix = "UV_INDEX_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
    user = variables.get(f"{prefix}_USERNAME")
    password = variables.get(f"{prefix}_PASSWORD")
    return (user or "", password or "") if user or password else None


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts if parts.scheme in _DEFAULT_PORTS and parts.hostname else None


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]


def _login(parts: SplitResult) -> tuple[str, str]:
    return unquote(parts.username or ""), unquote(parts.password or "")
