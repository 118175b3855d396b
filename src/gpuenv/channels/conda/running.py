"""Asks rattler, which answers through asyncio, from code that waits for the answer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["run_rattler"]

_LET_GO_SECONDS = 1.0

Answer = TypeVar("Answer")


def run_rattler(asking: Awaitable[Answer]) -> Answer:
    """What rattler answers. Where a loop runs already, as in a notebook, it is asked from a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(asking)
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(_run_here, asking).result()


def _run_here(asking: Awaitable[Answer]) -> Answer:
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        held = sys.getrefcount(loop)
        answers, error = _ask(runner, asking)
        _wait_until_let_go(loop, held)
    if error is not None:
        raise error
    return answers[0]


def _ask(runner: asyncio.Runner, asking: Awaitable[Answer]) -> tuple[list[Answer], BaseException | None]:
    """The answer or the error; one is the interruption of a user, at which rattler's part is cancelled."""
    try:
        return runner.run(_outcome(asking))
    except BaseException as error:  # noqa: BLE001  (raised again where it was asked for)
        return [], _without_frames(error)


def _wait_until_let_go(loop: asyncio.AbstractEventLoop, held: int) -> None:
    """Waits until nobody has more than `held` references to a loop, for a second at most.

    A thread of rattler lets go of the loop a moment after it answered or was cancelled, and would bring the process
    down if Python ended in that moment (seen as signals 6 and 11 in half of all runs of a short program), or print
    that it panicked (seen at interruptions).
    """
    from rattler import Version

    end = time.monotonic() + _LET_GO_SECONDS
    while sys.getrefcount(loop) > held + 1 and time.monotonic() < end:
        time.sleep(0.0001)
        # What the thread let go of without Python's lock is only given back when rattler is called again.
        Version("1")


async def _outcome(asking: Awaitable[Answer]) -> tuple[list[Answer], BaseException | None]:
    try:
        return [await asking], None
    except Exception as error:  # noqa: BLE001  (raised again where it was asked for)
        return [], _without_frames(error)


def _without_frames(error: BaseException) -> BaseException:
    """An error without the frames that it went up through, which would keep hold of the loop."""
    one: BaseException | None = error
    while one is not None:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error
