"""`gpuenv.lock` on disk: read with its digest checked, written whole or not at all."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from gpuenv import __version__
from gpuenv.errors import FormatError, IntegrityError, RequestError, UnavailableError
from gpuenv.model import LOCK_VERSION, Lock, from_json, lock_digest, to_json
from gpuenv.targets.text_files import read_text_file

__all__ = ["load_lock", "parse_lock_text", "refuse_newer_lock", "save_lock"]

_CONFLICT = "<<<<<<<"


def load_lock(path: Path) -> Lock:
    """The lock in a file. RequestError where there is none; else as `parse_lock_text`."""
    if not path.exists():
        raise RequestError(f"there is no lock at `{path}`", hints=("make one: `gpuenv lock PACKAGE...`",))
    if path.is_dir():
        raise RequestError(f"`{path}` is a directory and no lock", hints=("name the file: `--lock FILE`",))
    try:
        text = read_text_file(path)
    except FormatError as error:
        raise _not_a_lock(str(path), error.message, *error.reasons) from error
    return parse_lock_text(text, str(path))


def parse_lock_text(text: str, where: str) -> Lock:
    """The lock that `text` holds, the content of the file `where`.

    FormatError for what is no lock, or one of a newer format; IntegrityError for one that was changed since gpuenv
    wrote it. The digest is of what the lock says: how its lines are broken and indented does not matter.
    """
    if any(line.startswith(_CONFLICT) for line in text.splitlines()):
        raise FormatError(
            f"`{where}` holds a conflict of two versions",
            reasons=(f"it has lines that begin with `{_CONFLICT}`",),
            hints=("take one side (`git checkout --theirs gpuenv.lock`), then `gpuenv lock`",),
        )
    try:
        document: Any = msgspec.json.decode(text)
        digest = lock_digest(document)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        raise _not_a_lock(where, str(error)) from error
    except FormatError as error:
        raise _not_a_lock(where, error.message) from error
    _refuse_newer(document, where)
    if document.get("digest") != digest:
        raise IntegrityError(
            f"`{where}` was changed since gpuenv wrote it",
            reasons=(f"its digest is {str(document.get('digest'))[:80]}", f"what it holds has {digest}"),
            hints=("take the version that gpuenv wrote, or decide anew: `gpuenv lock --upgrade`",),
        )
    try:
        return from_json(text, Lock)
    except FormatError as error:
        by = document.get("gpuenv")
        reason = f"gpuenv {by} wrote it, this is {__version__}" if isinstance(by, str) else ""
        raise _not_a_lock(where, error.message, *filter(None, [reason])) from error


def refuse_newer_lock(path: Path) -> None:
    """FormatError where the file is a lock of a newer format, which must not be written over; else nothing."""
    try:
        document: Any = msgspec.json.decode(read_text_file(path))
    except (msgspec.MsgspecError, RecursionError, FormatError):
        return
    if isinstance(document, dict):
        _refuse_newer(document, str(path))


def save_lock(path: Path, lock: Lock) -> None:
    """Write the lock, all of it or nothing; UnavailableError where the place cannot be written.

    Of several who write it at once the last one counts.
    """
    # Each process has a draft of its own, so that none writes on in what another has put in place.
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{to_json(lock)}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise UnavailableError(
            f"cannot write `{path}`",
            reasons=(error.strerror or str(error),),
            hints=("name another place: `gpuenv lock --lock FILE`",),
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def _refuse_newer(document: dict[str, Any], where: str) -> None:
    version = document.get("version")
    if isinstance(version, int) and not isinstance(version, bool) and version > LOCK_VERSION:
        raise FormatError(
            f"`{where}` has format {version}, and this gpuenv reads up to {LOCK_VERSION}",
            reasons=(f"gpuenv {str(document.get('gpuenv'))[:40]} wrote it, this is {__version__}",),
            hints=("update gpuenv: `pip install --upgrade gpuenv`",),
        )


def _not_a_lock(where: str, *reasons: str) -> FormatError:
    return FormatError(
        f"`{where}` is not a lock of gpuenv", reasons=reasons, hints=("make a new one: `gpuenv lock --upgrade`",)
    )
