"""Progress on standard error: a line that changes, on a terminal, for what takes over a second; else silence."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.status import Status

__all__ = ["Progress"]

_PATIENCE_SECONDS = 1.0
_SECONDS_BEFORE_WAITING = 0.25


class Progress:
    """A `Reporter` to be used as a context. What it shows is gone when the context ends."""

    def __init__(self) -> None:
        self._text = ""
        self._status: Status | None = None
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def __enter__(self) -> Self:
        # What the answer is shown with is loaded while others are waited for, which begins about then.
        self._loader = threading.Timer(_SECONDS_BEFORE_WAITING, import_module, ("rich.table",))
        self._loader.daemon = True
        self._loader.start()
        if sys.stderr.isatty():
            self._timer = threading.Timer(_PATIENCE_SECONDS, self._show)
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loader.cancel()
        if self._timer:
            self._timer.cancel()
        with self._lock:
            self._timer = None
            if self._status:
                self._status.stop()
                self._status = None

    def step(self, text: str) -> None:
        """A new phase began."""
        self._say(text)

    def detail(self, text: str) -> None:
        """The newest thing that happened within the phase."""
        self._say(text.strip())

    def _say(self, text: str) -> None:
        self._text = text
        with self._lock:
            if self._status:
                self._status.update(_plain(text))

    def _show(self) -> None:
        from rich.console import Console

        # A terminal that cannot be written to is no reason to fail.
        with self._lock, suppress(OSError):
            if self._timer is not None:
                self._status = Console(stderr=True).status(_plain(self._text))
                self._status.start()


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text[:200])
