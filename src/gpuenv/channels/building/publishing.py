"""Puts finished rows in the place of the user's own copy, so that there is always an old or a new one whole."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from gpuenv import __version__, settings
from gpuenv.channels.catalog import forget_loaded
from gpuenv.channels.catalog.own_copy import FORMAT, MANIFEST, RELEASES, SUFFIX, Manifest, ManifestFile
from gpuenv.channels.catalog.releases import newest_date
from gpuenv.errors import UnavailableError
from gpuenv.model import to_json

__all__ = ["alone_in", "publish", "repair", "work_directory"]


def work_directory() -> Path:
    """Where the rows of an update are until it is finished; an interrupted one goes on from there."""
    return _beside("work")


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Inside, no other process builds a catalog in `directory`; UnavailableError where one does."""
    import filelock

    key = hashlib.sha256(str(directory.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    place = settings.cache_directory() / f"catalog-{key}.lock"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(place, timeout=0)
        lock.acquire()
    except filelock.Timeout as error:
        raise UnavailableError(
            f"another gpuenv is at work on the catalog in `{directory}`", hints=("wait for it to end",)
        ) from error
    except OSError as error:
        raise UnavailableError(f"cannot lock `{place}`", reasons=(error.strerror or str(error),)) from error
    try:
        yield
    finally:
        lock.release()


def repair() -> None:
    """Takes up what a process that was killed while it published left behind."""
    place, old = settings.catalog_directory(), _beside("old")
    with suppress(OSError):
        if not place.exists() and old.is_dir():
            old.rename(place)


def publish(contents: Mapping[str, bytes]) -> None:
    """Makes `contents`, the files of rows by name, the user's own copy. UnavailableError where that cannot be written.

    A process that is killed in between leaves the old copy, the new one, or for a moment none, and then the releases
    that came with gpuenv count.
    """
    place, new, old = settings.catalog_directory(), _beside("new"), _beside("old")
    files = {
        name: ManifestFile(sha256=hashlib.sha256(content).hexdigest(), date=newest_date(content))
        for name, content in sorted(contents.items())
    }
    today = max(datetime.now(UTC).date().isoformat(), *(file.date for file in files.values()), "")
    manifest = Manifest(format=FORMAT, gpuenv=__version__, date=today, files=files)
    try:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
        (new / RELEASES).mkdir(parents=True)
        for name, content in contents.items():
            (new / RELEASES / f"{name}{SUFFIX}").write_bytes(content)
        (new / MANIFEST).write_text(to_json(manifest) + "\n", "utf-8")
        if place.exists():
            place.rename(old)
        new.rename(place)
    except OSError as error:
        raise UnavailableError(
            f"cannot write your copy of the catalog to `{place}`",
            reasons=(error.strerror or str(error),),
            hints=("`GPUENV_DATA_DIR` names another place",),
        ) from error
    finally:
        forget_loaded()
    shutil.rmtree(old, ignore_errors=True)


def _beside(ending: str) -> Path:
    place = settings.catalog_directory()
    return place.with_name(f"{place.name}.{ending}")
