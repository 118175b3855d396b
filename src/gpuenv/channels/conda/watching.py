"""Waits for rattler as long as the servers that it asks are there.

rattler (0.28) has a time limit for a file as a whole, none for silence: one that is long enough for a large file on a
slow line is far too long for a server that takes connections and never answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from gpuenv import settings
from gpuenv._net import is_silent
from gpuenv.channels.conda.condarc import read_condarc
from gpuenv.channels.conda.places import ChannelPlace
from gpuenv.errors import GpuenvError, UnavailableError

__all__ = ["while_they_answer"]

Answer = TypeVar("Answer")


async def while_they_answer(asking: Awaitable[Answer], places: Sequence[ChannelPlace]) -> Answer:
    """What rattler answers about the channels. When that takes long, their servers are asked for a sign of life.

    UnavailableError where one of them gives none; else what `asking` raises.
    """
    answer = asyncio.ensure_future(asking)
    try:
        while not (await asyncio.wait({answer}, timeout=settings.CHANNEL_SILENT_SECONDS))[0]:
            silent = await _first_silent(places)
            if silent is not None and not answer.done():
                seconds = 2 * settings.CHANNEL_SILENT_SECONDS
                raise UnavailableError(
                    f"the channel `{silent.name}` does not answer",
                    reasons=(f"its server said nothing for {seconds:.0f} seconds",),
                    hints=("try again later", "do without channels: `--only wheels`"),
                )
        return answer.result()
    finally:
        if not answer.done():
            answer.cancel()
            with suppress(asyncio.CancelledError):
                await answer


async def _first_silent(places: Sequence[ChannelPlace]) -> ChannelPlace | None:
    """The first channel whose server says nothing. Not asked through proxies that only conda's configuration knows."""
    on_servers = [place for place in places if place.address.startswith(("http:", "https:"))]
    with suppress(GpuenvError):
        if read_condarc().proxy_servers:
            return None
    found = await asyncio.gather(*(_in_a_thread(place) for place in on_servers))
    return next((place for place, silent in zip(on_servers, found, strict=True) if silent), None)


async def _in_a_thread(place: ChannelPlace) -> bool:
    """The loop's own threads would keep the program from ending until the server answers."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[bool] = loop.create_future()

    def tell(silent: bool) -> None:
        if not told.done():
            told.set_result(silent)

    def ask() -> None:
        silent = False
        with suppress(GpuenvError):
            silent = is_silent(f"{place.address}/noarch/repodata.json", seconds=settings.CHANNEL_SILENT_SECONDS)
        # The loop may be closed by then.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(tell, silent)

    Thread(target=ask, name="gpuenv-watch", daemon=True).start()
    return await told
