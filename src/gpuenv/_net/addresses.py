"""An address as it is asked and as it is shown: what is secret in it never gets into a message."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from gpuenv.errors import RequestError

__all__ = ["Address", "Login"]

_TOKEN = re.compile(r"^/t/[^/]+(?=/)")
# Behind a prefix of the server's a token may stand anywhere; wheels of what begins with T lie in directories `t`.
_TOKEN_OF_CONDA = re.compile(r"/t/[^/]+(?=/.*\.(?:conda|tar\.bz2)$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user and a password, or a token in place of either. `is_bearer` says that the password is a token for a header
    of its own kind (RFC 6750).
    """

    user: str
    password: str
    is_bearer: bool = False

    def __repr__(self) -> str:
        return "Login(...)"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Address:
    """Where a file is. `url` has no login and no fragment; `shown` has no query either, which may hold a signature, and
    no token of conda's (`/t/…/`).

    `name` is the last part of the path, unquoted.
    """

    url: str
    shown: str
    name: str
    login: Login | None = None

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"

    @classmethod
    def parse(cls, url: str) -> Address:
        """The address that `url` is, with the login `user:password@` that it may have; RequestError when it is none."""
        try:
            parts = urlsplit(url.strip())
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise RequestError("the address cannot be understood", reasons=(str(error),)) from error
        if parts.scheme == "file":
            raise RequestError(
                f"`{_shown(parts)}` is a file here and not on a server", hints=("give its path instead of an address",)
            )
        if parts.scheme not in {"http", "https"} or not host or port == 0:
            raise RequestError(
                f"`{_shown(parts)}` is no address of a file on a server",
                hints=("addresses begin with `https://` or `http://` and a host",),
            )
        place = _without_login(parts)
        return cls(
            url=urlunsplit((parts.scheme, place, parts.path or "/", parts.query, "")),
            shown=_shown(parts),
            name=unquote(parts.path.rpartition("/")[2]) or host,
            login=_login(parts),
        )

    def same_server(self, other: Address) -> bool:
        """Whether a login for one may be sent to the other: same host, scheme and port (RFC 6454, origin)."""
        return _origin(self.url) == _origin(other.url)


def _without_login(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]


def _shown(parts: SplitResult) -> str:
    path = _TOKEN_OF_CONDA.sub("", _TOKEN.sub("", parts.path))
    return urlunsplit((parts.scheme, _without_login(parts), path, "", ""))


def _login(parts: SplitResult) -> Login | None:
    if parts.username is None and parts.password is None:
        return None
    return Login(user=unquote(parts.username or ""), password=unquote(parts.password or ""))


def _origin(url: str) -> tuple[str, str | None, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
