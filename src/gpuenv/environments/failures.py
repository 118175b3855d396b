"""Turn what the operating system refuses into errors that say what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuenv.errors import UnavailableError

__all__ = ["explain_refusal", "refusals_explained"]

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def explain_refusal(error: OSError, doing: str, prefix: Path) -> UnavailableError:
    """The error that stands for `error`, raised while `doing` something (`creating`) to the environment `prefix`."""
    where = f"`{error.filename}`: " if error.filename else ""
    reasons = (f"{where}{error.strerror or error}",)
    if error.errno in _FULL:
        return UnavailableError(
            f"the disk is full, {doing} `{prefix}`", reasons=reasons, hints=("free some space and try again",)
        )
    if error.errno in _CLOSED:
        return UnavailableError(
            f"`{prefix.parent}` is not writable, {doing} `{prefix.name}`",
            reasons=(*reasons, "an environment is built beside its place, so its parent must be writable"),
            hints=("choose another place with `-p PATH`",),
        )
    if error.errno == errno.EBUSY:
        return UnavailableError(
            f"`{prefix}` is in use and cannot be switched",
            reasons=(*reasons, "a mount point or a directory that a program holds cannot be renamed"),
            hints=("end what uses it, or take a directory inside the mount: `-p PATH`",),
        )
    return UnavailableError(f"the system refused, {doing} `{prefix}`", reasons=reasons)


@contextmanager
def refusals_explained(doing: str, prefix: Path) -> Iterator[None]:
    """Inside, an OSError becomes the UnavailableError that explains it."""
    try:
        yield
    except OSError as error:
        raise explain_refusal(error, doing, prefix) from error
