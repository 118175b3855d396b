"""Text files that users name: bounded in size, in UTF-8, or in UTF-16 where they begin with its mark."""

from __future__ import annotations

import codecs
from pathlib import Path

from gpuenv.artifacts.sources import cannot_open
from gpuenv.errors import FormatError

__all__ = ["LARGEST_BYTES", "read_text_file"]

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

LARGEST_BYTES = 64 << 20
"""The largest list of packages that is read: real ones have up to a few megabytes."""


def read_text_file(path: Path) -> str:
    """The text of a file. RequestError where there is none, UnavailableError where it cannot be read, FormatError for
    what is no text in UTF-8 or larger than `LARGEST_BYTES`. Windows PowerShell writes UTF-16 with `>`, which pip reads
    by its mark, too.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise cannot_open(path, error) from error
    if len(content) > LARGEST_BYTES:
        raise FormatError(f"`{path}` is larger than {LARGEST_BYTES >> 20} MiB")
    try:
        return content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"`{path}` is not text in UTF-8", reasons=(str(error),)) from error
