"""Threads that share out work among them, and do not keep a user who stops the program waiting."""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from threading import Event, Thread
from typing import TypeVar

__all__ = ["results_of"]

_LOOK_UP_SECONDS = 0.1

Asked = TypeVar("Asked")
Given = TypeVar("Given")


def results_of(
    work: Callable[[Asked], Given], asked: Iterable[Asked], *, threads: int, stopped: Event
) -> Iterator[Given]:
    """What `work` gives for each of `asked`, as it is done; raises the first error.

    Where the caller is interrupted or leaves early, `stopped` is set and nothing more is begun; what was begun is not
    waited for, and has to look at `stopped` before it does what lasts.
    """
    waiting = deque(asked)
    done: queue.Queue[tuple[Given | None, BaseException | None]] = queue.Queue()

    def go() -> None:
        while not stopped.is_set():
            try:
                one = waiting.popleft()
            except IndexError:
                return
            try:
                done.put((work(one), None))
            except BaseException as error:  # noqa: BLE001  (raised by who waits)
                done.put((None, error))

    expected = len(waiting)
    for _ in range(min(threads, expected)):
        Thread(target=go, name="gpuenv-catalog", daemon=True).start()
    try:
        while expected:
            try:
                # The time limit is for Windows, which interrupts no wait without one.
                result, error = done.get(timeout=_LOOK_UP_SECONDS)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            expected -= 1
            yield result  # type: ignore[misc]  # None is what `work` gave
    finally:
        if expected:
            stopped.set()
