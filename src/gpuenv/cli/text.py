"""Small pieces of text: colour where it is wanted, sizes, tables as `rich` draws them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from gpuenv.model import Verdict, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

__all__ = [
    "WIDEST",
    "bytes_in_words",
    "hanging",
    "heading",
    "indented",
    "page",
    "paint",
    "plain_table",
    "printable",
    "verdict_text",
]

_STYLES = {Verdict.WORKS: "green", Verdict.DEGRADED: "yellow", Verdict.UNKNOWN: "yellow", Verdict.FAILS: "red"}
WIDEST = 110
"""How many columns are used at most."""
_BLANKS = re.compile(r" +(?=(?:\x1b\[0m)?$)")


def paint(text: str, colour: str, *, err: bool = False) -> str:
    """`text` in a colour that is readable on dark and light grounds, where the stream is a terminal that wants it."""
    stream = sys.stderr if err else sys.stdout
    wanted = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return click.style(text, fg=colour, bold=True) if wanted else text


@contextmanager
def page() -> Iterator[Console]:
    """A console whose text goes to standard output when the context ends: 80 columns when nobody looks, no colour
    where none is wanted, and no blanks at the ends of lines (rich fills its tables up with them).
    """
    from rich.console import Console

    width = min(Console().width, WIDEST)
    out = Console(highlight=False, emoji=False, markup=False, soft_wrap=False, width=width)
    with out.capture() as captured:
        yield out
    for line in captured.get().splitlines():
        print(_BLANKS.sub("", line))


def hanging(first: str, text: str, *, indent: int = 0) -> Padding:
    """`text` after the word `first`, its later lines indented to stand under it."""
    from rich.padding import Padding
    from rich.table import Table

    grid = Table.grid(padding=0)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(first, text)
    return Padding(grid, (0, 0, 0, indent))


def plain_table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    """A table without lines, its heading dim; columns in `right` are aligned to the right. None are cut."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_header=any(columns))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def heading(text: str) -> Text:
    """A line that begins a part."""
    from rich.text import Text

    return Text(text, style="bold")


def indented(text: str | Table, by: int) -> Padding:
    """`text`, or a table, with all its lines indented."""
    from rich.padding import Padding

    return Padding(text, (0, 0, 0, by))


def verdict_text(verdict: Verdict) -> Text:
    """The verdict in its colour."""
    from rich.text import Text

    return Text(verdict.value, style=_STYLES[verdict])


def bytes_in_words(size: int) -> str:
    """A size as download sizes are given: `916 MB`, `4.1 GB` (powers of ten)."""
    for unit, scale in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= scale:
            value = size / scale
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size} bytes"
