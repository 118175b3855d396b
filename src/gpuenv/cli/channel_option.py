"""`-c CHANNEL` for verbs that look at packages and make no plan: without it no channel is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["channel_option"]

channel_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--channel",
    "-c",
    "channels",
    multiple=True,
    metavar="CHANNEL",
    help="Look names up in this conda channel (name, address or path), once for each; the first goes first.",
)
