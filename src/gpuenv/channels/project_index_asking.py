"""Many questions to servers at once, with one time limit for all of them. Who is late is not waited for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from gpuenv._net import Client, Patience
from gpuenv.errors import GpuenvError

__all__ = ["Asking", "Outcome"]

_THREADS = 8
_REDIRECTS = 5
# Any body that takes longer than the limit is cut off, however fast it comes.
_AS_FAST_AS_THAT = 1 << 60

K = TypeVar("K")
V = TypeVar("V")


class Outcome(Generic[V]):
    """What one question came to: a value, or the error that stands for it."""

    __slots__ = ("error", "value")

    def __init__(self, value: V | None = None, error: GpuenvError | None = None) -> None:
        self.value = value
        self.error = error


class _Batch(Generic[K, V]):
    """Some questions that threads take from the front, and their outcomes."""

    def __init__(self, questions: Iterable[tuple[K, Callable[[], V]]], end: float) -> None:
        self._waiting = deque(questions)
        self._end = end
        self._found: dict[K, Outcome[V]] = {}
        self._defects: list[Exception] = []
        self._changed = threading.Condition()
        self.left = len(self._waiting)

    def work(self) -> None:
        """Takes questions until there are none, or time is up."""
        while time.monotonic() < self._end:
            try:
                key, question = self._waiting.popleft()
            except IndexError:
                return
            outcome = self._asked(question)
            with self._changed:
                self._found[key] = outcome
                self.left -= 1
                self._changed.notify()

    def wait(self) -> dict[K, Outcome[V]]:
        """What is there when all have an outcome, or time is up."""
        with self._changed:
            self._changed.wait_for(lambda: not self.left, timeout=max(0.0, self._end - time.monotonic()))
            if self._defects:
                raise self._defects[0]
            return dict(self._found)

    def _asked(self, question: Callable[[], V]) -> Outcome[V]:
        try:
            return Outcome(question())
        except GpuenvError as error:
            return Outcome(error=error)
        except Exception as defect:  # noqa: BLE001  (raised again where somebody can see it)
            self._defects.append(defect)
            return Outcome()


class Asking:
    """Asks with one client until `seconds` from now.

    The threads are daemons: one that hangs in a name server or in a slow answer ends by itself or with the process,
    and nothing waits for it. The client is closed when the last of them is done.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = time.monotonic()
        self._lock = threading.Lock()
        self._busy = 0
        self._closed = False
        self.client = Client(
            patience=Patience(
                connect_seconds=seconds,
                read_seconds=seconds,
                slot_seconds=seconds,
                tries=1,
                redirects=_REDIRECTS,
                slowest=_AS_FAST_AS_THAT,
            )
        )

    def close(self) -> None:
        """Nothing more will be asked."""
        with self._lock:
            self._closed = True
            idle = self._busy == 0
        if idle:
            self.client.close()

    def all(self, questions: Iterable[tuple[K, Callable[[], V]]], *, share: float = 1.0) -> dict[K, Outcome[V]]:
        """The outcomes that are there in time, by key; `share` is the part of the time that may have passed by then.

        Questions are begun in the order given. A GpuenvError is an outcome; another exception is raised here.
        """
        end = self._began + self.seconds * share
        batch = _Batch(questions, end)
        for _ in range(min(_THREADS, batch.left)):
            with self._lock:
                self._busy += 1
            threading.Thread(target=self._work, args=(batch,), name="gpuenv-index", daemon=True).start()
        return batch.wait()

    def _work(self, batch: _Batch[K, V]) -> None:
        try:
            batch.work()
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._busy -= 1
            last = self._closed and self._busy == 0
        if last:
            self.client.close()
