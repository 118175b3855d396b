"""What projects' own indexes answered, below the user's cache directory: pages for hours, metadata for good.

Anything may be wrong with it at any time (damaged, full, read-only, gone, a clock set back) without harm: then the
index is asked again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from gpuenv import settings
from gpuenv.channels.simple_index import ListedFile

__all__ = ["IndexCache", "KeptDocument", "KeptPage", "KeptRequirements"]

_FORMAT = "1"
_LARGEST_BYTES = 32 << 20
_UNUSED_SECONDS = 90 * 86400.0

T = TypeVar("T")


class KeptPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """A page and when it was asked for (seconds of the Unix epoch); `problem` where the index did not answer."""

    asked: float
    files: tuple[ListedFile, ...] = ()
    problem: str | None = None

    def is_current(self, now: float) -> bool:
        """Whether it need not be asked for again. One from the future is of a clock that was set back."""
        kept = settings.PROJECT_INDEX_KEPT_SECONDS if self.problem is None else settings.PROJECT_INDEX_SILENT_SECONDS
        return 0 <= now - self.asked < kept


class KeptDocument(msgspec.Struct, frozen=True):
    """A small file and when it was asked for."""

    asked: float
    content: bytes

    def is_current(self, now: float) -> bool:
        """As for a page that answered."""
        return 0 <= now - self.asked < settings.PROJECT_INDEX_KEPT_SECONDS


class KeptRequirements(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the metadata of one wheel say."""

    requires: tuple[str, ...] = ()
    requires_python: str | None = None


class IndexCache:
    """Pages by address, and requirements by the sha256 of the wheel. No method fails."""

    def __init__(self, directory: Path) -> None:
        self._home = directory / _FORMAT

    def page(self, address: str) -> KeptPage | None:
        """What was kept of a page, current or not."""
        return self._load("page", address, KeptPage)

    def keep_page(self, address: str, page: KeptPage) -> None:
        """Keeps a page in place of an older one."""
        self._store("page", address, page)

    def document(self, address: str) -> KeptDocument | None:
        """What was kept of a small file, current or not."""
        return self._load("document", address, KeptDocument)

    def keep_document(self, address: str, document: KeptDocument) -> None:
        """Keeps a small file in place of an older one."""
        self._store("document", address, document)

    def requirements(self, sha256: str) -> KeptRequirements | None:
        """What the wheel with this hash requires."""
        return self._load("metadata", sha256, KeptRequirements)

    def keep_requirements(self, sha256: str, requirements: KeptRequirements) -> None:
        """Keeps them; they never change."""
        self._store("metadata", sha256, requirements)

    def _place(self, kind: str, key: str) -> Path:
        # Addresses may hold logins, so only their hashes are names.
        return self._home / f"{kind}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()}.json"

    def _load(self, kind: str, key: str, wanted: type[T]) -> T | None:
        try:
            with self._place(kind, key).open("rb") as file:
                content = file.read(_LARGEST_BYTES)
            return msgspec.json.decode(content, type=wanted)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None

    def _store(self, kind: str, key: str, value: msgspec.Struct) -> None:
        with suppress(OSError, UnicodeError, msgspec.MsgspecError):
            content = msgspec.json.encode(value)
            self._home.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._home, suffix=".tmp")
            beside = Path(name)
            try:
                with open(handle, "wb") as file:  # noqa: PTH123  (a handle, not a path)
                    file.write(content)
                beside.replace(self._place(kind, key))
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise

    def sweep(self) -> None:
        """Lets go of what was written 90 days ago or more, and of what killed writers left."""
        oldest = time.time() - _UNUSED_SECONDS
        with suppress(OSError), os.scandir(self._home) as entries:
            for entry in entries:
                with suppress(OSError):
                    if entry.stat().st_mtime < oldest:
                        Path(entry.path).unlink()
