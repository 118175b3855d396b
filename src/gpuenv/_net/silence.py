"""Whether a server says anything at all, for those who wait for it by other means."""

from __future__ import annotations

from gpuenv._net.addresses import Address

__all__ = ["is_silent"]


def is_silent(url: str, *, seconds: float) -> bool:
    """Whether the server of `url` neither takes a connection nor sends the first byte of any answer within `seconds`
    each. An error of any other kind is an answer, and no login is shown. RequestError where `url` is no address.
    """
    import requests
    from urllib3.exceptions import HTTPError

    address = Address.parse(url)
    try:
        answer = requests.get(
            address.url, headers={"Range": "bytes=0-0"}, stream=True, allow_redirects=False, timeout=seconds
        )
        answer.close()
    except requests.Timeout:
        return True
    except (requests.RequestException, HTTPError, OSError, ValueError):
        return False
    return False
