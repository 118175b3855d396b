"""Run `uv`, which resolves, fetches and installs wheels, and turn its failures into ours.

`uv` is asked to ignore configuration files, so that a plan does not depend on the directory it was made in. Indexes
and credentials come from the user's `UV_*` variables, which it reads itself. Exit codes of uv 0.13: 1 an answer
(unsatisfiable, hash mismatch, offline and not cached), 2 the network or bad usage.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from gpuenv import _process, settings
from gpuenv._process import Completed
from gpuenv.errors import GpuenvError, IntegrityError, NoPlanError, ToolError, UnavailableError

__all__ = ["explain_failure", "find_uv", "run_uv", "uv_environ"]

_QUIET = ("--color", "never", "--no-progress")
_INTEGRITY = re.compile(r"[Hh]ash mismatch|[Ss]ize mismatch")
_DISK = re.compile(r"No space left on device|os error 28\b|Disk quota exceeded|os error 122\b", re.IGNORECASE)
_READ_ONLY = re.compile(r"Read-only file system|Permission denied|os error (13|30)\b", re.IGNORECASE)
# uv goes on without an index that refuses, and finds no solution then.
_REFUSED = re.compile(r"401 Unauthorized|403 Forbidden|407 Proxy Authentication")
_OFFLINE = re.compile(r"[Nn]etwork connectivity is disabled|the network was disabled|--offline")
_NETWORK = re.compile(
    r"error sending request|dns error|Failed to fetch|connection (refused|reset|closed)|timed out|"
    r"error decoding response body|error reading a body|Could not connect|tls|"
    r"UnknownIssuer|HTTP status",
    re.IGNORECASE,
)
_NO_SOLUTION = re.compile(
    r"No solution found|was not found in the package registry|there is no version of|no wheels with a matching|"
    r"unsatisfiable|not found in the provided package locations"
)


@cache
def find_uv() -> Path:
    """The `uv` program that belongs to this installation."""
    try:
        import uv

        return Path(uv.find_uv_bin())
    except (ImportError, OSError) as error:
        raise ToolError(
            "`uv` is missing from this installation of gpuenv", hints=("install it: `pip install uv`",)
        ) from error


def uv_environ() -> dict[str, str]:
    """The environment variables to run `uv` with: the user's own, plus what makes its answer depend on them only."""
    environ = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "CONDA_PREFIX"}}
    environ |= {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
    environ.setdefault("UV_CONCURRENT_DOWNLOADS", str(settings.UV_CONCURRENT_DOWNLOADS))
    # uv brings its own list of certificates; a user whose network has its own authority set this for other tools.
    if "SSL_CERT_FILE" not in environ and "UV_SYSTEM_CERTS" not in environ:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
            if environ.get(name):
                environ["SSL_CERT_FILE"] = environ[name]
                break
    return environ


def run_uv(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    text_input: str | None = None,
    on_line: Callable[[str], None] | None = None,
    variables: Mapping[str, str] | None = None,
) -> Completed:
    """Run `uv` with `arguments` and return what it said, whether it succeeded or not.

    `on_line` gets each line of its progress as it comes; then all output is in `stderr`. `variables` are environment
    variables beside those of `uv_environ`.
    """
    command: list[str | Path] = [find_uv(), *arguments, *_QUIET]
    environ = uv_environ() | dict(variables or {})
    if on_line:
        return _process.stream(command, on_line=on_line, environ=environ, cwd=cwd)
    return _process.run(command, environ=environ, cwd=cwd, text_input=text_input)


def explain_failure(completed: Completed, doing: str) -> GpuenvError:
    """The error that stands for a run of `uv` that failed while `doing` something (`resolving`)."""
    said = tuple(line.strip() for line in completed.stderr.splitlines() if line.strip())
    text = "\n".join(said)
    if _INTEGRITY.search(text):
        return IntegrityError(f"a downloaded file is not the one that was planned, {doing}", reasons=said)
    if _DISK.search(text):
        return UnavailableError(f"the disk is full, {doing}", reasons=said, hints=("free some space and try again",))
    if _REFUSED.search(text):
        return UnavailableError(
            f"the package index did not let us in, {doing}",
            reasons=said,
            hints=("check the address and the user name and password in `UV_DEFAULT_INDEX` or `UV_INDEX`",),
        )
    if _NO_SOLUTION.search(text) and not _OFFLINE.search(text):
        return NoPlanError("`uv` finds no set of packages that fits together", reasons=said)
    if _OFFLINE.search(text):
        hints = ("try again with the network, without `--offline` and `UV_OFFLINE`",)
        return UnavailableError(f"offline, and not everything is in the cache, {doing}", reasons=said, hints=hints)
    if _NETWORK.search(text):
        return UnavailableError(
            f"the package index did not answer, {doing}",
            reasons=said,
            hints=("check the network; `UV_DEFAULT_INDEX` names another index, `SSL_CERT_FILE` your certificates",),
        )
    if _READ_ONLY.search(text):
        return UnavailableError(f"a place is not writable, {doing}", reasons=said)
    return ToolError(f"`uv` failed, {doing} (exit code {completed.status})", reasons=said[-15:])
