"""How far what somebody wrote is from the name of a GPU: `gtx1080ti` from `GeForce GTX 1080 Ti`. Pure text.

A name is a row of words. What was written fits when it can be cut completely into words of the name (each used
once) and words that add nothing, wherever the writer put spaces and dashes. The distance counts the words of the
name that were left out: none for brands (`GeForce`), little for the shape of a board (`SXM2`, `16GB`), much for
words that make another product (`Ti`, `Laptop`).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

__all__ = ["BRANDS", "distance", "product_words", "squash", "words"]

BRANDS = frozenset({"nvidia", "geforce", "quadro", "tesla", "jetson"})

_LEFT_OUT_FREELY = BRANDS | {
    *("rtx", "gtx", "gt", "gpu", "dgx", "agx"),
    *("generation", "edition", "workstation", "ada", "blackwell", "pascal", "with", "design", "ac"),
}
_SHAPE = re.compile(r"pcie|sxm\d?|nvl\d*|hbm\d?e?|fhhl|dgxs|\d+gb?")
_PRODUCT_WORD = frozenset(
    {
        *("ti", "super", "laptop", "max", "oem", "v2", "3e", "pro", "nx", "sff"),
        *("server", "embedded", "industrial", "black"),
    }
)
_ADDS_NOTHING = frozenset(
    {"nvidia", "gpu", "graphics", "card", "developer", "kit", "devkit", "module", "engineering", "reference"}
)
_OTHER_FORMS = {
    "laptop": ("laptop", "mobile", "notebook"),
    "generation": ("generation", "gen"),
    "server": ("server", "dc"),
}
_COST_OF_SHAPE = 1
_COST_OF_WRONG_BRAND = 3
_COST_OF_WORD = 10


def squash(text: str) -> str:
    """The letters and digits of `text`, in lower case."""
    return "".join(re.findall(r"[a-z0-9]+", text.casefold()))


@cache
def words(name: str) -> tuple[str, ...]:
    """The words of a name: `Tesla V100-SXM2-16GB` gives tesla, v100, sxm2, 16gb."""
    return tuple(re.findall(r"[a-z0-9]+", name.casefold()))


def product_words(name: str) -> str:
    """The words of a name without brands and the shape of the board, run together: `v100` for a Tesla V100-SXM2."""
    return "".join(word for word in words(name) if word not in BRANDS and not _SHAPE.fullmatch(word))


def distance(written: str, name: str, *, brands: Collection[str] = (), extras: Collection[str] = ()) -> int | None:
    """How far `written` (squashed) is from `name`; None when it does not name it.

    `brands` are brand words that people add to this name though it lacks them, at a small cost; `extras` further
    words that add nothing to it, such as its architecture or memory size.
    """
    row = words(name)
    if not any(_is_model(word) and _occurs(word, written) for word in row):
        return None
    fillers = dict.fromkeys((*_ADDS_NOTHING, *extras), 0) | dict.fromkeys(brands, _COST_OF_WRONG_BRAND)
    return _cheapest_cut(written, row, fillers)


def _is_model(word: str) -> bool:
    """Whether the word can name a GPU on its own."""
    return len(word) > 1 and not (word in _LEFT_OUT_FREELY or word in _PRODUCT_WORD or _SHAPE.fullmatch(word))


def _occurs(word: str, text: str) -> bool:
    return any(form in text for form in _forms(word))


@cache
def _forms(word: str) -> tuple[str, ...]:
    """The ways in which people write one word of a name."""
    if memory := re.fullmatch(r"(\d+)gb?", word):
        return f"{memory[1]}gb", f"{memory[1]}gib", f"{memory[1]}g"
    if re.fullmatch(r"sxm\d", word):
        return word, "sxm"
    return _OTHER_FORMS.get(word, (word,))


def _cheapest_cut(written: str, row: tuple[str, ...], fillers: dict[str, int]) -> int | None:
    costs_left_out = tuple(_cost_left_out(word) for word in row)
    best: dict[tuple[int, int], int] = {(0, 0): 0}
    finished: list[int] = []
    while best:
        place, used = min(best)
        cost = best.pop((place, used))
        if place == len(written):
            if any(_is_model(word) for index, word in enumerate(row) if used >> index & 1):
                finished.append(cost + sum(c for index, c in enumerate(costs_left_out) if not used >> index & 1))
            continue
        for length, next_used, step in _steps(written, place, used, row, fillers):
            state = (place + length, next_used)
            best[state] = min(cost + step, best.get(state, cost + step))
    return min(finished, default=None)


def _steps(
    written: str, place: int, used: int, row: tuple[str, ...], fillers: dict[str, int]
) -> list[tuple[int, int, int]]:
    steps = [
        (len(form), used | 1 << index, 0)
        for index, word in enumerate(row)
        if not used >> index & 1
        for form in _forms(word)
        if written.startswith(form, place)
    ]
    steps += [(len(word), used, cost) for word, cost in fillers.items() if written.startswith(word, place)]
    return steps


def _cost_left_out(word: str) -> int:
    if word in _LEFT_OUT_FREELY:
        return 0
    return _COST_OF_SHAPE if _SHAPE.fullmatch(word) else _COST_OF_WORD
