"""Put a finished environment in its place so that a kill at any moment leaves the old one or the new one.

Linux (`renameat2` with RENAME_EXCHANGE) and macOS (`renamex_np` with RENAME_SWAP) swap two directories in one step.
Elsewhere (Windows, NFS and other file systems without it) it takes two renames. A journal beside the environment
says that the new one is complete before the first of them, and `repair` carries on from there.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from gpuenv.environments import layout
from gpuenv.errors import FormatError
from gpuenv.model import Noun, from_json, to_json

__all__ = ["put_in_place", "repair", "take_away", "write_whole"]

_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_EXCHANGE = 2  # linux/fs.h
_RENAME_SWAP = 2  # macOS sys/stdio.h
_NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV}


class Journal(Noun, frozen=True, kw_only=True):
    """The directory that is complete and about to become the environment; None when the environment is to go."""

    new: str | None


def put_in_place(new: Path, prefix: Path) -> None:
    """Make the finished environment `new` the one at `prefix`. What was there before stays beside it, to be deleted.

    OSError when the system refuses; then `prefix` is as it was, or `repair` makes it the new one.
    """
    if not os.path.lexists(prefix):
        new.rename(prefix)
    elif _is_empty_directory(prefix):
        prefix.rmdir()
        new.rename(prefix)
    elif not _exchange(new, prefix):
        _switch_in_steps(new, prefix)


def take_away(prefix: Path) -> None:
    """Move the environment `prefix` aside, to be deleted; OSError when the system refuses."""
    try:
        prefix.rename(layout.beside(prefix, "old"))
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        write_whole(layout.journal_path(prefix), to_json(Journal(new=None)))
        repair(prefix)


def repair(prefix: Path) -> None:
    """Finish a switch that was interrupted between its steps. To be called with the lock of `prefix` held."""
    path = layout.journal_path(prefix)
    _draft_of(path).unlink(missing_ok=True)
    try:
        name = from_json(path.read_bytes(), Journal).new
    except FileNotFoundError:
        return
    except FormatError:
        name = ""
    if name is None:
        _empty(prefix)
    elif name and layout.is_environment(new := prefix.with_name(Path(name).name)):
        _empty(prefix)
        new.rename(prefix)
    elif not os.path.lexists(prefix):
        _bring_back(prefix)
    path.unlink()


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there with all of its text or not at all."""
    draft = _draft_of(path)
    with draft.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _draft_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.draft")


def _is_empty_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def _switch_in_steps(new: Path, prefix: Path) -> None:
    journal = layout.journal_path(prefix)
    write_whole(journal, to_json(Journal(new=new.name)))
    old = layout.beside(prefix, "old")
    try:
        prefix.rename(old)
    except OSError as error:
        # A directory from a lower layer of an overlay (an earlier step of a container image) cannot be renamed,
        # only deleted. From then on there is no way back, and the journal leads forward.
        if error.errno != errno.EXDEV:
            journal.unlink()
            raise
        shutil.rmtree(prefix)
    try:
        new.rename(prefix)
    except OSError:
        with suppress(OSError):
            old.rename(prefix)
            journal.unlink()
        raise
    journal.unlink()


def _empty(prefix: Path) -> None:
    """Clear the place `prefix`, by a rename where that is possible."""
    with suppress(FileNotFoundError):
        try:
            prefix.rename(layout.beside(prefix, "old"))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.rmtree(prefix)


def _bring_back(prefix: Path) -> None:
    """Put the old environment back when the new one is lost."""
    for path in layout.leftovers_in(prefix.parent).get(prefix, []):
        if layout.is_environment(path):
            path.rename(prefix)
            return


def _exchange(first: Path, second: Path) -> bool:
    """Swap two directories in one step; False where the system or the file system does not offer that."""
    if os.name != "posix":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    one, other = os.fsencode(first), os.fsencode(second)
    if hasattr(library, "renameat2"):
        status = library.renameat2(_AT_FDCWD, one, _AT_FDCWD, other, ctypes.c_uint(_RENAME_EXCHANGE))
    elif hasattr(library, "renamex_np"):
        status = library.renamex_np(one, other, ctypes.c_uint(_RENAME_SWAP))
    else:
        return False
    if status == 0:
        return True
    code = ctypes.get_errno()
    if code in _NOT_OFFERED:
        return False
    raise OSError(code, os.strerror(code), os.fspath(second))
