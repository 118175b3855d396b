"""How channels are reached: rattler's client, set up as conda's configuration says.

Logins are those that rattler finds by itself: in the address, in the file that RATTLER_AUTH_FILE names, in rattler's
own file, in the system's keyring and in `.netrc`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gpuenv import settings
from gpuenv.channels.conda.condarc import Condarc
from gpuenv.errors import RequestError

if TYPE_CHECKING:
    from rattler import Client

__all__ = ["client_for", "repodata_directory"]

_MOST_RETRIES = 3
_OF_THE_SYSTEM = "truststore"


def client_for(condarc: Condarc) -> Client:
    """A client with conda's proxies and certificates, and without checks of them where `ssl_verify` is false.

    Of `proxy_servers` those for `http` and `https` count, not those for one host. RequestError where `ssl_verify` is
    neither a truth value, nor `truststore`, nor a file or directory that is there, and for a proxy that is no address.
    """
    from rattler import Client, Config

    repodata_directory()
    with _trusting(condarc.ssl_verify):
        try:
            config = Config.from_toml(_as_toml(condarc))
            return Client.from_config(
                config,
                max_retries=_MOST_RETRIES,
                user_agent="gpuenv",
                # For a file as a whole and not between two of its bytes; each try has as long again.
                timeout=settings.CHANNEL_FILE_SECONDS,
            )
        except Exception:
            if not condarc.proxy_servers:
                raise
            # rattler's own words may repeat the password of a proxy.
            raise RequestError(
                "`proxy_servers` of conda's configuration cannot be used",
                hints=("an address looks like `http://proxy:8080`: `conda config --show proxy_servers`",),
            ) from None


def repodata_directory() -> Path:
    """Where rattler keeps what it read of channels. Its files name the addresses with logins and tokens in them, so a
    new directory is for the user alone.
    """
    place = settings.cache_directory() / "repodata"
    # Where it cannot be made, rattler tells.
    with suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
    return place


def _as_toml(condarc: Condarc) -> str:
    lines = []
    if condarc.ssl_verify is False:
        lines.append("tls-no-verify = true")
    elif isinstance(condarc.ssl_verify, str):
        lines.append('tls-root-certs = "system"')
    proxies = {name: condarc.proxy_servers[name] for name in ("http", "https") if condarc.proxy_servers.get(name)}
    if proxies:
        lines.append("[proxy-config]")
        # A basic string of TOML has the escapes of JSON.
        lines += [f"{name} = {json.dumps(address)}" for name, address in proxies.items()]
    return "\n".join(lines)


@contextmanager
def _trusting(ssl_verify: bool | str) -> Iterator[None]:
    """Inside, a new client trusts the certificates in the file or directory that `ssl_verify` names.

    rattler has no option for that; it takes the system's certificates from these variables when a client is made.
    """
    if not isinstance(ssl_verify, str) or ssl_verify == _OF_THE_SYSTEM:
        yield
        return
    path = Path(ssl_verify).expanduser()
    if not path.exists():
        raise RequestError(
            "the certificates that `ssl_verify` of conda's configuration names are not there",
            reasons=(f"there is no `{path}`",),
            hints=("`conda config --show-sources` shows which file says so",),
        )
    name = "SSL_CERT_DIR" if path.is_dir() else "SSL_CERT_FILE"
    before = os.environ.get(name)
    os.environ[name] = str(path)
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
