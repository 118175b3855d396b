"""The project file `gpuenv.toml`: what a team wants, and on which machines.

packages = ["pytorch", "numpy<2"]          # specs, as for `gpuenv plan`
python = "3.11"                            # or a range, such as ">=3.10,<3.13"
machines = ["gpu=V100,driver=535.129.03", "nodes/b200.json", "here"]
channels = ["conda-forge", "./channel"]    # conda channels by priority; paths start at this file
only = "conda"                             # or "wheels"; without it both are taken
gpu = "prefer"                             # require, prefer or never
allow-degraded = false
index-policy = "all"                       # or pypi
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from gpuenv.errors import FormatError
from gpuenv.model import GpuPolicy, IndexPolicy, Request, Sources
from gpuenv.targets.text_files import read_text_file

__all__ = [
    "HERE",
    "LOCK_NAME",
    "MANIFEST_NAME",
    "Workspace",
    "find_directory",
    "python_and_specs",
    "read_manifest",
    "read_workspace",
]

MANIFEST_NAME = "gpuenv.toml"
LOCK_NAME = "gpuenv.lock"
HERE = "here"
"""The word for the machine that a command runs on."""

_PLAIN_PYTHON = re.compile(r"\d\.\d{1,2}(\.\d+)?", re.ASCII)
Choice = TypeVar("Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """What a `gpuenv.toml` says. `machines` are words: `here`, a short form, a file beside it; none is `here`."""

    path: Path
    request: Request
    machines: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """Where the file is, and its lock beside it."""
        return self.path.parent


def find_directory(start: Path) -> Path | None:
    """The nearest directory at or above `start` with a `gpuenv.toml` or a `gpuenv.lock`; None when there is none."""
    start = start.absolute()
    for directory in (start, *start.parents):
        if any((directory / name).is_file() for name in (MANIFEST_NAME, LOCK_NAME)):
            return directory
    return None


def read_workspace(path: Path) -> Workspace:
    """What the project file at `path` says.

    FormatError, with the line, for a file that breaks the format; RequestError where there is none.
    """
    return read_manifest(read_text_file(path), path)


def read_manifest(text: str, path: Path) -> Workspace:
    """What `text` says, the content of the project file at `path`; else as `read_workspace`."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise FormatError(f"`{path}` is not TOML", reasons=(str(error),)) from error
    found = _Reader(document=document, text=text, path=path)
    found.refuse_unknown_keys()
    specs = found.texts("packages")
    if not specs:
        raise found.wrong("packages", 'a list of packages, such as `packages = ["pytorch"]`')
    channels, sources = found.texts("channels"), found.sources()
    if sources is Sources.CONDA and not channels and not any("::" in spec for spec in specs):
        raise found.wrong("channels", 'a list of channels, since `only` is "conda"')
    python = found.text_of("python")
    version, further = python_and_specs(python)
    return Workspace(
        path=path,
        request=Request(
            specs=(*specs, *further),
            python=version,
            gpu=found.choice("gpu", GpuPolicy, GpuPolicy.PREFER),
            allow_degraded=found.flag("allow-degraded"),
            indexes=found.choice("index-policy", IndexPolicy, IndexPolicy.ALL),
            channels=tuple(dict.fromkeys(channels)),
            sources=sources,
        ),
        machines=found.texts("machines"),
    )


def python_and_specs(python: str | None) -> tuple[str | None, tuple[str, ...]]:
    """A version of Python as a request has it, and the specs that stand for a range of them."""
    if python is None or _PLAIN_PYTHON.fullmatch(python):
        return python, ()
    text = python.strip()
    if re.fullmatch(r"\d\.\d{1,2}(\.\d+)?\.\*", text, re.ASCII):
        return text[:-2], ()
    if exact := re.fullmatch(r"={2,3}\s*(\d\.\d{1,2})(\.(\d+|\*))*", text, re.ASCII):
        return exact[1], ()
    return None, (f"python {text}",) if text not in {"", "*"} else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Takes values out of a document; FormatError says on which line what was expected."""

    document: dict[str, Any]
    text: str
    path: Path

    def refuse_unknown_keys(self) -> None:
        for key in self.document:
            if key not in _KEYS:
                near = difflib.get_close_matches(key.replace("_", "-").lower(), _KEYS, n=1, cutoff=0.5)
                raise FormatError(
                    f"`{self.path.name}` has a key that is not known: `{key}`",
                    reasons=(f"`{self.path}`{self._line(key)}",),
                    hints=(f"did you mean `{near[0]}`?",) if near else (f"the keys are {', '.join(_KEYS)}",),
                )

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one.strip() for one in value):
            raise self.wrong(key, f"a list of texts, such as `{key} = [{_EXAMPLES.get(key, '')}]`")
        return tuple(one.strip() for one in value)

    def text_of(self, key: str) -> str | None:
        value = self.document.get(key)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, f'text, such as `{key} = "3.11"`')
        return value or None

    def flag(self, key: str) -> bool:
        value = self.document.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, "`true` or `false`")
        return value

    def choice(self, key: str, kind: type[Choice], default: Choice) -> Choice:
        value = self.document.get(key, default.value)
        choices = [one.value for one in kind]
        if value not in choices:
            raise self.wrong(key, " or ".join(f'`"{one}"`' for one in choices))
        return kind(value)

    def sources(self) -> Sources:
        value = self.document.get("only")
        if value is not None and value not in _KINDS:
            raise self.wrong("only", " or ".join(f'`"{one}"`' for one in _KINDS))
        return Sources.ALL if value is None else Sources(value)

    def wrong(self, key: str, expected: str) -> FormatError:
        value = self.document.get(key)
        here = f"it is {_in_words(value)}" if key in self.document else "it is not there"
        return FormatError(
            f"`{key}` in `{self.path.name}` must be {expected}", reasons=(f"`{self.path}`{self._line(key)}: {here}",)
        )

    def _line(self, key: str) -> str:
        """`, line 3`: where a key of the document stands; empty when that cannot be told."""
        name = re.escape(key)
        pattern = re.compile(rf"\s*(\[{{1,2}}\s*)?(\"{name}\"|'{name}'|{name})\s*[.=\]]")
        for number, line in enumerate(self.text.splitlines(), 1):
            if pattern.match(line):
                return f", line {number}"
        return ""


_KEYS = ("packages", "python", "machines", "channels", "only", "gpu", "allow-degraded", "index-policy")
_KINDS = (Sources.CONDA.value, Sources.WHEELS.value)
_EXAMPLES = {"packages": '"pytorch"', "machines": '"gpu=V100,driver=535.129.03"', "channels": '"conda-forge"'}


def _in_words(value: object) -> str:
    kinds: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", list: "a list"}
    kinds |= {dict: "a table", str: "text"}
    words = kinds.get(type(value), "a date")
    if isinstance(value, str):
        return f"`{value[:60]}`"
    if value == []:
        return "an empty list"
    return f"{words} with something else than text in it" if isinstance(value, list) and value else words
