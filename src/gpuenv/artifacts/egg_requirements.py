"""What an egg or an old sdist requires, which `requires.txt` lists.

Format: setuptools documentation, "The Internal Structure of Python Eggs".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["parse_requires_txt"]


def parse_requires_txt(text: str) -> Iterator[str]:
    """The requirements as PEP 508 writes them: a heading `[extra:marker]` becomes a marker of those below it."""
    heading: tuple[str, ...] = ()
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            extra, _, condition = line.strip("[]").partition(":")
            heading = _nonempty((f'extra == "{extra}"' if extra else "", condition))
        elif line and not line.startswith("#"):
            requirement, _, own = map(str.strip, line.partition(" ;" if "://" in line else ";"))
            markers = _nonempty((*heading, own))
            joined = markers[0] if len(markers) == 1 else " and ".join(f"({marker})" for marker in markers)
            yield f"{requirement}; {joined}" if markers else requirement


def _nonempty(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts if text.strip())
