"""From the words of a request to channels that can be asked."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from gpuenv.channels.conda.client import client_for
from gpuenv.channels.conda.condarc import read_condarc
from gpuenv.channels.conda.places import ChannelPlace, resolve_channels
from gpuenv.channels.conda.spec_words import channel_in_front
from gpuenv.channels.conda.view import Channels
from gpuenv.errors import RequestError

__all__ = ["configured_channels", "open_channels"]

_WITH_CHANNEL = re.compile(r"\s*[^\s\[\]]+::")


def configured_channels() -> tuple[str, ...]:
    """The channels that the user's `.condarc` files name, in order of priority; none where there are no such files.

    `defaults` is left out where no setting says which channels it stands for, since conda itself would know.
    """
    condarc = read_condarc()
    stands_for_nothing = not condarc.default_channels and "defaults" not in condarc.custom_multichannels
    return tuple(word for word in condarc.channels if word != "defaults" or not stands_for_nothing)


def open_channels(
    words: tuple[str, ...], *, specs: Iterable[str] = (), offline: bool = False, must_have: bool = False
) -> Channels | None:
    """The channels that `words` name, in order of priority; None where there are none, and no spec names one.

    RequestError for a word that names no channel; and for none at all where there must be some.
    """
    if not words and not any(_WITH_CHANNEL.match(channel_in_front(spec)) for spec in specs):
        if must_have:
            raise RequestError(
                "only conda packages are wanted, and no channel is named",
                hints=("name one: `-c conda-forge`", "or list them in `.condarc`"),
            )
        return None
    condarc = read_condarc()
    base = Path.cwd()

    def one(word: str) -> ChannelPlace:
        return resolve_channels((word,), condarc=condarc, base=base)[0]

    return Channels(
        places=resolve_channels(words, condarc=condarc, base=base),
        strict=condarc.channel_priority != "disabled",
        offline=offline or condarc.offline,
        resolve=one,
        make_client=partial(client_for, condarc),
    )
