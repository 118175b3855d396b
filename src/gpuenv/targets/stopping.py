"""Work that a user can stop at any moment: threads that nobody has to wait for, and sources that are given up."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator
from threading import Event, Semaphore, Thread
from typing import Generic, TypeVar

from gpuenv.artifacts.sources import Source
from gpuenv.errors import UnavailableError

__all__ = ["Crew", "StoppableSource"]

_CHUNKS_AHEAD = 2
_LOOK_UP_SECONDS = 0.1

Asked = TypeVar("Asked")
Given = TypeVar("Given")


class Crew(Generic[Asked, Given]):
    """Threads that share out work among them. They do not keep the program from ending."""

    def __init__(self, work: Callable[[Asked], Given], asked: list[Asked]) -> None:
        self.results: dict[int, Given] = {}
        self._work = work
        self._waiting = deque(enumerate(asked))
        self._errors: list[BaseException] = []
        self._ended = Semaphore(0)
        self._at_work = 0

    def run(self, threads: int) -> None:
        """Until all is done; raises the first error."""
        for _ in range(threads):
            Thread(target=self._go, name="gpuenv", daemon=True).start()
            self._at_work += 1
        while self._at_work:
            # Not `Thread.join`, which takes a thread for ended when it is interrupted (CPython 3.11). The time limit
            # is for Windows, which interrupts no wait without one.
            self._at_work -= self._ended.acquire(timeout=_LOOK_UP_SECONDS)
        if self._errors:
            raise self._errors[0]

    def end(self, seconds: float) -> None:
        """Begins nothing more, and waits so long at most for what was begun."""
        self._waiting.clear()
        until = time.monotonic() + seconds
        while self._at_work and (left := until - time.monotonic()) > 0:
            self._at_work -= self._ended.acquire(timeout=left)

    def _go(self) -> None:
        try:
            while not self._errors:
                number, one = self._waiting.popleft()
                self._begin(number, one)
        except IndexError:
            return
        finally:
            self._ended.release()

    def _begin(self, number: int, one: Asked) -> None:
        try:
            self.results[number] = self._work(one)
        except BaseException as error:  # noqa: BLE001  (raised by who waits)
            self._errors.append(error)


class StoppableSource:
    """A source that a user can stop although its server sends nothing: a thread of its own waits for the server."""

    def __init__(self, source: Source, stopped: Event) -> None:
        self.name = source.name
        self.location = source.location
        self.size_bytes = source.size_bytes
        self.fetched_bytes = source.fetched_bytes
        self._source = source
        self._stopped = stopped

    def read(self, start: int, stop: int) -> bytes:
        """As the source; UnavailableError when stopped."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """As the source; UnavailableError when stopped."""
        passing: queue.Queue[bytes | BaseException | None] = queue.Queue(_CHUNKS_AHEAD)
        left = Event()
        Thread(target=self._fill, args=(passing, left, start, stop), name="gpuenv-server", daemon=True).start()
        try:
            while (one := self._next(passing)) is not None:
                self.fetched_bytes = self._source.fetched_bytes
                if isinstance(one, BaseException):
                    raise one
                yield one
        finally:
            left.set()

    def _next(self, passing: queue.Queue[bytes | BaseException | None]) -> bytes | BaseException | None:
        while not self._stopped.is_set():
            try:
                return passing.get(timeout=_LOOK_UP_SECONDS)
            except queue.Empty:
                continue
        raise UnavailableError(f"the reading of `{self.name}` was stopped")

    def _fill(self, passing: queue.Queue[bytes | BaseException | None], left: Event, start: int, stop: int) -> None:
        def is_taken(one: bytes | BaseException | None) -> bool:
            while not left.is_set() and not self._stopped.is_set():
                try:
                    passing.put(one, timeout=_LOOK_UP_SECONDS)
                except queue.Full:
                    continue
                return True
            return False

        try:
            if all(map(is_taken, self._source.stream(start, stop))):
                is_taken(None)
        except BaseException as error:  # noqa: BLE001  (raised by who reads)
            is_taken(error)
