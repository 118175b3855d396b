"""The order of releases, as conda compares versions; it has an answer for every version that a channel can hold."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rattler import Version

__all__ = ["version_key"]


@lru_cache(maxsize=1 << 14)
def version_key(text: str) -> Version:
    """What the release `text` sorts by. A version that is none of conda's either sorts before all others."""
    from rattler import Version
    from rattler.exceptions import InvalidVersionError

    try:
        return Version(text)
    except InvalidVersionError:
        return Version("0.dev0")
