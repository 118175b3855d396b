"""Take names of people and computers out of a recording before it is written to a file that others will read."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PrivateWords", "private_words", "scrub"]

_TELLS_NOTHING = frozenset(
    {"admin", "administrator", "cuda", "debian", "docker", "fedora", "gpu", "host", "jetson", "linux", "localhost"}
    | {"localhost.localdomain", "nvidia", "root", "runner", "tegra", "ubuntu", "user", "vagrant", "windows"}
)
"""Names that identify nobody, some of them parts of system paths that a probe asks for."""

_HOME = re.compile(r"(?P<parent>/home/|/Users/|\b[A-Za-z]:[\\/]Users[\\/])[^/\\:;\"'\s]+")
_BUILDER = re.compile(r"\([\w.+-]+@[\w.-]+\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateWords:
    """What must not appear: the path of the home directory, and whole words with what to put in their place."""

    home: str = ""
    words: tuple[tuple[str, str], ...] = ()


def private_words() -> PrivateWords:
    """The words of this computer: who runs this process and what the computer is called."""
    try:
        home = str(Path.home())
    except RuntimeError:
        home = ""
    users = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")]
    name = socket.gethostname()
    return PrivateWords(
        home="" if len(home) < 3 or home == "/root" else home,
        words=(
            *((word, "user") for word in dict.fromkeys([*users, Path(home).name]) if _tells(word)),
            *((word, "host") for word in dict.fromkeys([name, name.partition(".")[0]]) if _tells(word)),
        ),
    )


def scrub(value: Any, words: PrivateWords) -> Any:
    """The JSON value with every private word in its texts replaced, the same everywhere."""
    if isinstance(value, str):
        return _scrub_text(value, words)
    if isinstance(value, dict):
        return {key: scrub(item, words) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [scrub(item, words) for item in value]
    return value


def _tells(word: str) -> bool:
    return len(word) > 2 and word.lower() not in _TELLS_NOTHING


def _scrub_text(text: str, private: PrivateWords) -> str:
    if private.home:
        text = re.sub(re.escape(private.home) + r"(?![\w.-])", "/home/user", text)
    text = _HOME.sub(r"\g<parent>user", text)
    # NVIDIA's open module names who compiled it: `Release Build  (dvs-builder@host)`.
    text = _BUILDER.sub("(builder)", text)
    for word, stand_in in private.words:
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(word)}(?![A-Za-z0-9])", stand_in, text, flags=re.IGNORECASE)
    return text
