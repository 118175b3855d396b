"""Logins that rattler keeps in files, for what is read of channels without rattler: packages in part, and audits.

Source: rattler, crate `rattler_networking`, `authentication_storage` and `Authentication`: a JSON object by host, or
by `*.` and a domain above it. The system's keyring is rattler's alone; `.netrc` is read by whoever asks a server.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gpuenv import settings
from gpuenv.channels.conda.condarc_files import home_of

__all__ = ["Credentials", "logged_in"]

Credentials = tuple[str, str] | str
"""User name and password, or a token for a header (RFC 6750)."""

_MOST_BYTES = 4 << 20


def logged_in(url: str, *, environ: Mapping[str, str] | None = None) -> tuple[str, Credentials | None]:
    """The address to ask instead of `url`, and what to show to its server. A token of conda's is part of the address.

    What is in the address already goes before. Files that are broken or not there have no logins.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return url, None
    if parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.path.startswith("/t/"):
        return url, None
    for stored in _files(os.environ if environ is None else environ):
        for name in _names(host):
            kept = stored.get(name)
            if isinstance(kept, dict) and (found := _login(kept)):
                kind, value = found
                if kind == "path":
                    return parts._replace(path=f"/t/{value}{parts.path}").geturl(), None
                return url, value
    return url, None


def _files(environ: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What is in rattler's files, in its order: the one that is named, and its own."""
    named = settings.variable("RATTLER_AUTH_FILE", environ)
    for path in (*((Path(named),) if named else ()), home_of(environ) / ".rattler" / "credentials.json"):
        try:
            if path.stat().st_size <= _MOST_BYTES:
                document = json.loads(path.read_bytes())
                if isinstance(document, dict):
                    yield document
        except (OSError, ValueError, RecursionError):
            continue


def _names(host: str) -> Iterator[str]:
    """Under which a host is known: itself, and `*.` with each domain above it."""
    yield host
    parts = host.split(".")
    for at in range(len(parts)):
        yield f"*.{'.'.join(parts[at:])}"


def _login(kept: dict[str, Any]) -> tuple[str, Any] | None:
    """Where a login goes, and what it is; None for kinds that are for other servers (S3)."""
    basic, token = kept.get("BasicHTTP"), kept.get("CondaToken")
    bearer = kept.get("BearerToken")
    if isinstance(oauth := kept.get("OAuth"), dict):
        bearer = oauth.get("access_token")
    if isinstance(basic, dict) and isinstance(basic.get("username"), str):
        return "header", (basic["username"], str(basic.get("password") or ""))
    if isinstance(token, str) and token:
        return "path", token
    return ("header", bearer) if isinstance(bearer, str) and bearer else None
