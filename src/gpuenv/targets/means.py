"""What looking into artifacts takes: a client for servers, the cache of readings, who listens, and threads."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Semaphore, Thread
from typing import Generic, TypeVar

from gpuenv._net import Client, RemoteFile
from gpuenv.artifacts.cache import ReadingCache, open_cache
from gpuenv.artifacts.installed import FoundEnvironment
from gpuenv.artifacts.sources import Source
from gpuenv.errors import UnavailableError
from gpuenv.model import Reading, Reporter

__all__ = ["Looked", "Means", "StoppableSource", "open_means"]

_ARTIFACTS_AT_ONCE = 4
_CHUNKS_AHEAD = 2
_LOOK_UP_SECONDS = 0.1
_SECONDS_TO_STOP = 2.0

Asked = TypeVar("Asked")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A reading, what was fetched for it, and which Python its artifact was chosen for, where that was a choice."""

    reading: Reading
    fetched_bytes: int = 0
    python: str | None = None
    note: str | None = None


@dataclass(slots=True, kw_only=True)
class Means:
    """For one command. The client is made at the first file that is on a server.

    `stopped` is set when the user wants no more: then reading from servers breaks off wherever it is. `known` and
    `environments` hold what this command has looked into already, for its further machines.
    """

    cache: ReadingCache
    offline: bool
    report: Reporter
    closing: ExitStack
    client: Client | None = None
    lock: Lock = field(default_factory=Lock)
    stopped: Event = field(default_factory=Event)
    known: dict[str, Looked] = field(default_factory=dict)
    busy: dict[str, Lock] = field(default_factory=dict)
    environments: dict[Path, tuple[FoundEnvironment, tuple[Reading, ...]]] = field(default_factory=dict)

    def open_file(self, url: str, *, name: str, size_bytes: int | None) -> RemoteFile:
        """The file at `url`, to be closed by the caller; UnavailableError when no network may be asked."""
        if self.offline:
            raise UnavailableError(
                f"offline, and `{name}` was not read before",
                hints=("leave out `--offline`, or give the path of the file here",),
            )
        with self.lock:
            if self.client is None:
                self.client = self.closing.enter_context(Client())
        return self.client.open(url, size_bytes=size_bytes, name=name)

    @contextmanager
    def alone_with(self, key: str) -> Iterator[None]:
        """Inside, no other thread of this command looks into the same file."""
        with self.lock:
            one = self.busy.setdefault(key, Lock())
        with one:
            yield

    def each(self, work: Callable[[Asked], Given], asked: Iterable[Asked]) -> list[Given]:
        """The results of `work`, several at once, in the order of `asked`. The first error ends it all.

        The work is always done by other threads, so that whoever is interrupted is the one that waits here. They get
        a moment to keep what they have, and the program can end without those that hang.
        """
        several = list(asked)
        crew = _Crew(work, several)
        try:
            crew.run(min(_ARTIFACTS_AT_ONCE, len(several)))
        except BaseException:
            self.stopped.set()
            crew.end(_SECONDS_TO_STOP)
            raise
        return [crew.results[number] for number in range(len(several))]


@contextmanager
def open_means(*, cache: bool, offline: bool, report: Reporter) -> Iterator[Means]:
    """The means for one command; connections are closed at the end."""
    with ExitStack() as closing:
        yield Means(cache=open_cache(enabled=cache), offline=offline, report=report, closing=closing)


class _Crew(Generic[Asked, Given]):
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
