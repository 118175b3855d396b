"""The conda part of an environment that is being built: its packages, and their history."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.environments import layout
from gpuenv.environments.conda_history import asked_specs, history_with, read_history, write_history
from gpuenv.environments.conda_install import link_packages
from gpuenv.environments.conda_meta import channel_names, is_placeholder, read_conda_meta
from gpuenv.environments.conda_packages import cached_packages
from gpuenv.environments.conda_python import needs_placeholder, placeholder_python
from gpuenv.environments.leftovers import delete_tree
from gpuenv.errors import FormatError
from gpuenv.model import LockedConda, Plan, Reporter, Request

__all__ = ["Linked", "asked_of_conda", "dist_names", "link_conda_packages"]

_TYPED = re.compile(
    r"\s*(?:(?P<channel>[^\s\[\]]+)::)?(?P<name>[A-Za-z0-9_.-]+?)(?=[\s=<>!~\[;|]|$)(?P<rest>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """What is to be told of packages that were linked, and whether their files name the path of the environment."""

    notes: tuple[str, ...]
    holds_prefix: bool


def link_conda_packages(
    plan: Plan,
    new: Path,
    *,
    final: Path,
    old: Path | None,
    python: str | None,
    when: datetime,
    offline: bool,
    report: Reporter,
    asked_with: Request | None = None,
) -> Linked:
    """Put the conda packages of `plan` into `new`, and write its history on from that of `old`.

    `asked_with` is the request as it was typed, where its channels have logins, which no plan keeps.
    `python` is the version of a Python that is there and not conda's. Errors as those of `cached_packages` and
    `link_packages`.
    """
    report.step("fetching conda packages")
    packages = [*cached_packages(plan.conda, asked_with or plan.request, offline=offline, report=report)]
    report.step("linking conda packages")
    asked = asked_of_conda(plan)
    work = layout.own_directory(new) / "placeholder"
    try:
        if python and needs_placeholder(plan):
            packages.append(placeholder_python(python, _subdir_of(plan), work))
        minor = ".".join(python.split(".")[:2]) if python else None
        notes = link_packages(packages, new, final=final, requested=asked, python=minor, report=report)
    finally:
        delete_tree(work)
    _go_on(new, old, plan, asked, when)
    return Linked(notes=notes, holds_prefix=any(one.facts.holds_prefix for one in packages))


def asked_of_conda(plan: Plan) -> dict[str, str]:
    """The specs of the request that conda packages answer, by package, as conda's tools read them."""
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    there = {package.name: package for package in plan.conda}
    found: dict[str, str] = {}
    for typed in plan.request.specs:
        word = _TYPED.fullmatch(typed)
        name = word["name"].lower() if word else ""
        name = name if name in there else name.replace("_", "-")
        if word is None or name not in there:
            continue
        text = f"{name}{word['rest'] if word['rest'][:1] in {'', ' ', '[', '='} else ' ' + word['rest']}".strip()
        with suppress(InvalidMatchSpecError):
            found[name] = f"{_channel_mark(word['channel'], there[name])}{MatchSpec(text)}"
    return found


def _channel_mark(typed: str | None, package: LockedConda) -> str:
    """The channel of a spec that named one: as typed if that is a name, else by its address."""
    if not typed:
        return ""
    return f"{package.channel.rstrip('/') if _is_place(typed) else typed}::"


def _is_place(channel: str) -> bool:
    """Whether a channel is given as an address or path, and not by its name."""
    return "://" in channel or channel.startswith(("/", ".", "~")) or "\\" in channel


def dist_names(packages: Iterable[LockedConda], request: Request) -> set[str]:
    """The packages as a history names them: by the names of their channels, where those of `request` have names."""
    names = {address: name for address, name in channel_names(request).items() if not _is_place(name)}
    return {_dist_name(one, names) for one in packages}


def _dist_name(package: LockedConda, names: Mapping[str, str]) -> str:
    channel = package.channel.rstrip("/")
    channel = names.get(channel, channel)
    return f"{channel}/{package.subdir}::{package.name}-{package.version}-{package.build}"


def _go_on(new: Path, old: Path | None, plan: Plan, asked: Mapping[str, str], when: datetime) -> None:
    before = [one.locked for one in read_conda_meta(old)[0] if not is_placeholder(one.locked)] if old else []
    text, earlier = "", {}
    if old:
        with suppress(OSError):
            text = (old / "conda-meta" / "history").read_text("utf-8", "replace")
        with suppress(FormatError):
            earlier = asked_specs(read_history(old))
    # A history that was lost begins anew, with all packages.
    was = dist_names(before, plan.request) if text.strip() else set()
    is_ = dist_names(plan.conda, plan.request)
    text = history_with(
        text,
        when=when,
        command=sys.argv,
        came=is_ - was,
        went=was - is_,
        asked=[spec for name, spec in asked.items() if earlier.get(name) != spec],
        dropped=[name for name in earlier if name not in asked],
    )
    write_history(new, text)


def _subdir_of(plan: Plan) -> str:
    return subdir_of(plan.machine.platform)
