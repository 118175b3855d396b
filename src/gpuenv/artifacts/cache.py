"""Readings that were made before, one file each below the user's cache directory.

Anything may be wrong with it at any time (damaged, full, read-only, gone) without harm: then a reading is made anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from gpuenv import settings
from gpuenv.errors import FormatError
from gpuenv.model import Noun, Reading, from_json, to_json

__all__ = [
    "READER_VERSION",
    "ReadingCache",
    "Stamp",
    "claim_key",
    "hash_key",
    "open_cache",
    "place_key",
    "stamp",
    "stamps_of",
]

READER_VERSION = 1
"""To be raised whenever a reader finds more or other things in the same bytes than before."""

LOCK_WAIT_SECONDS = 300.0
"""How long one process waits for another that reads the same artifact, before it reads it itself."""

_KEPT_SECONDS = 90 * 86400.0
_SECONDS_BETWEEN_SWEEPS = 86400.0
_SECONDS_OF_TOUCH = 86400.0

# Size, time of change in nanoseconds and number of a file; None for one that is not there.
Stamp = tuple[int, int, int] | None


class Entry(Noun, frozen=True, kw_only=True):
    """A reading, and the state of the files that it holds for."""

    reading: Reading
    stamps: dict[str, Stamp] = {}


def hash_key(sha256: str) -> str:
    """The key of an archive whose sha256 was checked, wherever it is."""
    return f"sha256:{sha256.lower()}"


def claim_key(sha256: str, address: str) -> str:
    """The key of an archive of which somebody says that it has that sha256, at one address: should that be false, no
    archive elsewhere is taken for it. `address` has no login and no token.
    """
    return f"claim:{sha256.lower()}:{address}"


def place_key(path: Path) -> str:
    """The key of a file on disk, by where it is and its stamp, since to hash a GB takes longer than to read it."""
    real = os.path.realpath(path)
    return f"place:{real}:{stamp(real)}"


def stamp(path: str | Path) -> Stamp:
    """The state of a file as far as it tells whether it changed."""
    try:
        status = os.stat(path)  # noqa: PTH116  (thousands of times, and text is what there is)
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino


def stamps_of(paths: Iterable[str | Path]) -> dict[str, Stamp]:
    """The stamps of several files, by path."""
    return {os.fspath(path): stamp(path) for path in paths}


class ReadingCache:
    """Readings by key in `directory`; with None it is empty and keeps nothing. No method fails.

    Several processes may use one directory, and be killed: an entry is written beside its place and moved there.
    """

    def __init__(self, directory: Path | None) -> None:
        self._top = directory
        self._home = directory / str(READER_VERSION) if directory else None

    def load(self, key: str) -> Reading | None:
        """The reading under `key`, complete or not; None where there is none, or one of its files has changed."""
        entry = self._entry(key)
        if entry is None or any(stamp(path) != known for path, known in entry.stamps.items()):
            return None
        return entry.reading

    def of_file(self, sha256: str, address: str | None = None) -> Reading | None:
        """The reading of a file with that sha256, complete or not: of one that was checked, else of the one at
        `address` of which that is said.
        """
        checked = self.load(hash_key(sha256))
        if address is None or (checked and checked.complete):
            return checked
        return self.load(claim_key(sha256, address)) or checked

    def store(self, key: str, reading: Reading, *, stamps: Mapping[str, Stamp] | None = None) -> None:
        """Keeps a reading for as long as the files in `stamps` stay as they are.

        One that broke off is kept too, unless there is a complete one; who loads it goes on from there.
        """
        place = self._place(key)
        if place is None or (not reading.complete and (known := self.load(key)) and known.complete):
            return
        # Names that are no valid text cannot be written; their readings are made each time.
        with suppress(OSError, UnicodeError):
            text = to_json(Entry(reading=reading, stamps=dict(stamps or {})), indent=0).encode()
            _write(place, text)
            self._sweep()

    @contextmanager
    def lock(self, key: str, *, wait_seconds: float = LOCK_WAIT_SECONDS) -> Iterator[bool]:
        """Inside, no other process reads the artifact under `key`; tells whether that is so.

        It is not where there is no cache, where the file system knows no locks, and where the other takes too long.
        """
        import filelock

        place = self._place(key)
        if place is None:
            yield False
            return
        held = None
        # File systems without locks get a lock by existence, and a warning about it.
        with suppress(OSError, filelock.Timeout, NotImplementedError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            place.parent.mkdir(parents=True, exist_ok=True)
            if os.access(place.parent, os.W_OK):
                lock = filelock.FileLock(place.with_suffix(".lock"))
                lock.acquire(timeout=wait_seconds)
                held = lock
        try:
            yield held is not None
        finally:
            if held is not None:
                with suppress(OSError):
                    held.release()

    def _place(self, key: str) -> Path | None:
        if self._home is None:
            return None
        digest = hashlib.sha256(os.fsencode(key)).hexdigest()
        return self._home / digest[:1] / f"{digest[1:]}.json"

    def _entry(self, key: str) -> Entry | None:
        place = self._place(key)
        if place is None:
            return None
        try:
            with place.open("rb") as file:
                content, changed = file.read(), os.fstat(file.fileno()).st_mtime
            entry = from_json(content, Entry)
        except (OSError, FormatError):
            return None
        # The time of the last use, to the day, is when the file was changed.
        if time.time() - changed > _SECONDS_OF_TOUCH:
            with suppress(OSError):
                os.utime(place)
        return entry

    def _sweep(self) -> None:
        """Once a day, lets go of what was not used for 90 days, of any version, and of what killed writers left."""
        if self._top is None:
            return
        mark, now = self._top / "swept", time.time()
        with suppress(OSError):
            if now - mark.stat().st_mtime < _SECONDS_BETWEEN_SWEEPS:
                return
        mark.touch()
        for directory, _, names in os.walk(self._top):
            for name in names:
                _drop_if_old(Path(directory, name), now)


def open_cache(*, enabled: bool = True) -> ReadingCache:
    """The user's cache; with `enabled` False (`--no-cache`) one that keeps nothing."""
    return ReadingCache(settings.cache_directory() / "readings" if enabled else None)


def _write(place: Path, content: bytes) -> None:
    try:
        handle, name = tempfile.mkstemp(dir=place.parent, suffix=".tmp")
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, suffix=".tmp")
    beside = Path(name)
    try:
        with open(handle, "wb") as file:  # noqa: PTH123  (a handle, not a path)
            file.write(content)
        beside.replace(place)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise


def _drop_if_old(place: Path, now: float) -> None:
    kept = _SECONDS_BETWEEN_SWEEPS if place.suffix == ".tmp" else _KEPT_SECONDS
    with suppress(OSError):
        if place.suffix in {".json", ".lock", ".tmp"} and now - place.stat().st_mtime > kept:
            place.unlink()
