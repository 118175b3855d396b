"""`--override-frozen`, for environments that their owner marked as not to be changed (CEP 22)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

__all__ = ["frozen_option"]

frozen_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--override-frozen", is_flag=True, help="Change it though it is marked as frozen."
)
