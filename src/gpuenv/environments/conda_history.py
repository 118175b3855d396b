"""`conda-meta/history`, in which conda keeps what was asked of a prefix and what was done to it.

Format: conda's `conda/history.py`: a line `==> date time <==` for each revision, comments (`# cmd:`,
`# conda version:`, `# update specs:`, `# remove specs:`), and each package that came
(`+channel/subdir::name-version-build`) or went (`-`).
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from gpuenv.environments.switch import write_whole
from gpuenv.errors import FormatError
from gpuenv.model import printable

__all__ = ["Revision", "asked_specs", "history_with", "read_history", "write_history"]

_MOST_BYTES = 64 << 20
# conda refuses a prefix that a newer conda than itself has worked on, so that the oldest is named that knows specs.
_CONDA_VERSION = "4.4.0"
_DATE = re.compile(r"==>\s*(?P<date>.+?)\s*<==")
_SECRET = re.compile(r"(?<=://)[^/@\s]+@|(?<=/)t/[^/\s]+/")
_SPECS = re.compile(r"#\s*(?P<action>\w+)\s+specs:\s*(?P<specs>.*)")
_NAME = re.compile(r"\s*(?:[^\s\[\]]+::)?(?P<name>[\w.-]+)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One change as the history has it: what was asked for and taken back, and the lines of packages."""

    date: str
    asked: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    neutered: tuple[str, ...] = ()
    lines: tuple[str, ...] = field(default=())


def read_history(prefix: Path) -> tuple[Revision, ...]:
    """The revisions, the oldest first; none where there is no history. FormatError where it cannot be read."""
    path = prefix / "conda-meta" / "history"
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8", "replace")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise FormatError(f"cannot read `{path}`", reasons=(error.strerror or str(error),)) from error
    revisions: list[Revision] = []
    for part in re.split(r"(?m)^(?===>)", text):
        found = _DATE.match(part)
        if found:
            revisions.append(_revision(found["date"], part.splitlines()[1:]))
    return tuple(revisions)


def asked_specs(revisions: Iterable[Revision]) -> dict[str, str]:
    """What was asked for and not taken back, by package: the specs that conda goes on from."""
    found: dict[str, str] = {}
    for revision in revisions:
        for spec in revision.removed:
            found.pop(_name(spec), None)
        for spec in revision.asked:
            if name := _name(spec):
                found[name] = spec
        for spec in revision.neutered:
            if (name := _name(spec)) in found:
                found[name] = spec
    return found


def history_with(
    old: str,
    *,
    when: datetime,
    command: Sequence[str],
    came: Iterable[str],
    went: Iterable[str],
    asked: Iterable[str],
    dropped: Iterable[str] = (),
) -> str:
    """The text of a history with one more revision. Packages are given as `channel/subdir::name-version-build`."""
    lines = [
        f"==> {when.astimezone():%Y-%m-%d %H:%M:%S} <==",
        f"# cmd: {printable(_SECRET.sub('', shlex.join(command)))}",
    ]
    lines.append(f"# conda version: {_CONDA_VERSION}")
    lines += [f"-{one}" for one in sorted(went)]
    lines += [f"+{one}" for one in sorted(came)]
    if removed := [*dropped]:
        lines.append(f"# remove specs: {removed!r}")
    if specs := [*asked]:
        lines.append(f"# update specs: {specs!r}")
    before = old if not old or old.endswith("\n") else f"{old}\n"
    return before + "".join(f"{line}\n" for line in lines)


def write_history(prefix: Path, text: str) -> None:
    """Write the whole history."""
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    write_whole(prefix / "conda-meta" / "history", text)


def _revision(date: str, lines: Iterable[str]) -> Revision:
    specs: Mapping[str, list[str]] = {"asked": [], "removed": [], "neutered": []}
    packages: list[str] = []
    for line in lines:
        if found := _SPECS.match(line):
            kind = {"remove": "removed", "uninstall": "removed", "neutered": "neutered"}.get(found["action"], "asked")
            specs[kind].extend(_listed(found["specs"]))
        elif line.strip() and not line.startswith("#"):
            packages.append(line.strip())
    return Revision(date=date, lines=tuple(packages), **{kind: tuple(found) for kind, found in specs.items()})


def _listed(text: str) -> list[str]:
    """A list as Python writes it, or as older releases did, with commas."""
    text = text.strip()
    if text.startswith("["):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return []
        return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
    parts: list[str] = []
    for one in text.split(","):
        # `numpy >=1,<2` was cut at its comma.
        if parts and re.match(r"\s*[<>=!]", one):
            parts[-1] += f",{one}"
        elif one.strip():
            parts.append(one.strip())
    return parts


def _name(spec: str) -> str:
    found = _NAME.match(spec)
    return found["name"].lower() if found else ""
