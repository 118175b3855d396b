"""Which package index the catalog is read from: the user's default one, which `uv` knows."""

from __future__ import annotations

from gpuenv.channels.index_logins import without_credentials
from gpuenv.channels.uv import explain_failure, run_uv
from gpuenv.errors import FormatError, RequestError

__all__ = ["default_index"]


def default_index() -> str:
    """The address of the index that `uv` asks by default, as the user's variables or `uv` itself set it, with a login.

    RequestError where it is a directory, FormatError where uv's answer cannot be understood.
    """
    completed = run_uv(["pip", "compile", "-", "--emit-index-url", "--no-header"], text_input="")
    if completed.status != 0:
        raise explain_failure(completed, "asking for the default index")
    for line in completed.stdout.splitlines():
        option, _, address = line.partition(" ")
        if option != "--index-url":
            continue
        if not address.startswith(("https://", "http://")):
            raise RequestError(
                f"`{without_credentials(address)}` is no index on a server",
                reasons=("the catalog is read from the default index",),
                hints=("`UV_DEFAULT_INDEX` names another",),
            )
        return address
    raise FormatError("`uv` does not say which index it asks", reasons=(completed.stdout.strip()[:300],))
