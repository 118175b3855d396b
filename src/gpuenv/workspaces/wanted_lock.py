"""What a lock is to hold and where it goes: from words of a command, a `gpuenv.toml`, an imported file, or itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from gpuenv.errors import RequestError
from gpuenv.model import Lock, LockSource, Machine, Request
from gpuenv.workspaces.asking import located, request_of_import
from gpuenv.workspaces.channel_words import rebased
from gpuenv.workspaces.imported import CondaPart, Imported
from gpuenv.workspaces.machines import machines_named
from gpuenv.workspaces.manifest import HERE, LOCK_NAME, MANIFEST_NAME, Workspace, find_directory, read_workspace
from gpuenv.workspaces.other_files import read_request

__all__ = ["LockOptions", "WantedLock", "lock_place", "request_of_source", "wanted_lock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockOptions:
    """What a user said. `request` holds the specs, perhaps none, and the options of a request.

    `machines` are added to those that a project names; `usual_machine` is meant where nobody names any. `said` names
    the policies of the request (`gpu`, `allow_degraded`, `indexes`, `channels`, `sources`) that were said and are not
    merely the usual ones. `further_channels` are those of conda's configuration, which count for no project file.
    Paths of channels start at the current directory.
    """

    request: Request
    machines: tuple[str, ...] = ()
    usual_machine: str | None = None
    file: Path | None = None
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    said: frozenset[str] = frozenset()
    further_channels: tuple[str, ...] = ()

    @property
    def policies(self) -> dict[str, object]:
        """The fields of the request that were said, or are other than usual."""
        silent, request = Request(specs=()), self.request
        values = {name: getattr(request, name) for name in _POLICIES.values()}
        return {name: value for name, value in values.items() if name in self.said or value != getattr(silent, name)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLock:
    """What is to be locked, for which machines, and what was said by the file that it comes from.

    Paths of channels start at the lock's directory. `conda` is what a file of conda or pixi asks for.
    """

    request: Request
    words: tuple[str, ...]
    machines: tuple[Machine, ...]
    source: LockSource | None = None
    conda: CondaPart | None = None
    notes: tuple[str, ...] = ()


def lock_place(path: Path | None, start: Path) -> Path:
    """The lock that is meant: the one named, or that of the workspace around `start`, or a new one in `start`."""
    if path is not None:
        return path.absolute()
    return (find_directory(start) or start.absolute()) / LOCK_NAME


def wanted_lock(options: LockOptions, path: Path, old: Lock | None) -> WantedLock:
    """What the lock at `path` is to hold. `old` is what it holds now.

    RequestError where nothing says it, or two things say it at once.
    """
    manifest = path.parent / MANIFEST_NAME
    options = replace(options, request=rebased(options.request, Path.cwd(), path.parent))
    further = tuple(_seen_from(path.parent, word) for word in options.machines)
    usual = further or (_seen_from(path.parent, options.usual_machine or HERE),)
    if manifest.is_file():
        return _of_workspace(read_workspace(manifest), options, further)
    if options.file is not None:
        source = LockSource(
            file=_from(path.parent, options.file),
            extras=options.extras,
            groups=options.groups,
            further=options.request.specs,
            python=options.request.python,
            channels=options.request.channels,
            further_channels=options.further_channels,
        )
        return _of_source(source, options.request, usual, path.parent)
    if options.request.specs:
        channels = tuple(dict.fromkeys((*options.request.channels, *options.further_channels)))
        request = msgspec.structs.replace(options.request, channels=channels)
        return WantedLock(request=request, words=usual, machines=machines_named(usual, path.parent))
    if old is None:
        raise RequestError(
            "nothing says what to lock",
            reasons=(f"there is no `{MANIFEST_NAME}` here or above, and no package was named",),
            hints=("name packages: `gpuenv lock pytorch`", 'or write `packages = ["pytorch"]` to a `gpuenv.toml`'),
        )
    return _of_lock(old, options, further, path.parent)


def request_of_source(
    source: LockSource, policies: Request, found: Imported, directory: Path
) -> tuple[Request, tuple[str, ...]]:
    """The request of a lock in `directory` that was made from a file, and notes on what stays behind; `policies` holds
    what no such file says.
    """
    there = (directory / source.file).parent
    here = located(found, lambda one: rebased(one, there, directory))
    beside = msgspec.structs.replace(policies, specs=source.further, python=source.python, channels=source.channels)
    return request_of_import(here, beside, after=source.further_channels)


def _of_workspace(workspace: Workspace, options: LockOptions, further: tuple[str, ...]) -> WantedLock:
    if options.request.specs or options.file:
        raise RequestError(
            f"`{workspace.path}` says what is locked there",
            reasons=("packages named beside it would make a lock that does not match it",),
            hints=("add them to `packages` in it, or write another lock with `--lock FILE`",),
        )
    _refuse_other_policies(workspace, options)
    words = tuple(dict.fromkeys((*workspace.machines, *further))) or (HERE,)
    return WantedLock(request=workspace.request, words=words, machines=machines_named(words, workspace.directory))


def _refuse_other_policies(workspace: Workspace, options: LockOptions) -> None:
    said = options.policies
    for key, name in _POLICIES.items():
        value = said.get(name)
        if name in said and value != getattr(workspace.request, name):
            raise RequestError(
                f"`{workspace.path}` says what is locked there",
                reasons=(f"an option says `{key}` otherwise: {_in_words(value)}",),
                hints=(f"write `{key}` to `{MANIFEST_NAME}`",),
            )


def _of_source(source: LockSource, policies: Request, words: tuple[str, ...], directory: Path) -> WantedLock:
    machines = machines_named(words, directory)
    found = read_request(directory / source.file, extras=source.extras, groups=source.groups, machines=machines)
    unmet = (text for machine in machines for text in found.requires.unmet(machine))
    request, notes = request_of_source(source, policies, found, directory)
    there = (directory / source.file).parent
    return WantedLock(
        request=request,
        words=words,
        machines=machines,
        source=source,
        conda=located(found, lambda one: rebased(one, there, directory)).conda,
        notes=tuple(dict.fromkeys((*notes, *unmet))),
    )


def _of_lock(old: Lock, options: LockOptions, further: tuple[str, ...], directory: Path) -> WantedLock:
    """What the lock holds already, read anew where it comes from a file; with further machines."""
    words = tuple(dict.fromkeys((*old.machines, *further)))
    request = msgspec.structs.replace(old.request, **options.policies)
    source = old.source
    if source is not None and (directory / source.file).is_file():
        source = msgspec.structs.replace(source, python=options.request.python or source.python)
        if "channels" in options.policies:
            further = options.further_channels
            source = msgspec.structs.replace(source, channels=options.request.channels, further_channels=further)
        return _of_source(source, request, words, directory)
    return WantedLock(
        request=request,
        words=words,
        machines=machines_named(words, directory),
        source=source,
    )


def _seen_from(directory: Path, word: str) -> str:
    """The word for a machine as it stands in a lock in `directory`: a file by its path from there."""
    path = Path(word).expanduser()
    try:
        names_file = word != HERE and path.is_file()
    except (OSError, ValueError):
        names_file = False
    return _from(directory, path) if names_file else word


def _from(directory: Path, file: Path) -> str:
    """The file as seen from the lock's directory, so that both can move together."""
    try:
        return Path(os.path.relpath(file.absolute(), directory)).as_posix()
    except ValueError:
        return file.absolute().as_posix()


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


_POLICIES = {
    "python": "python",
    "gpu": "gpu",
    "allow-degraded": "allow_degraded",
    "index-policy": "indexes",
    "channels": "channels",
    "only": "sources",
}
"""The keys of a `gpuenv.toml` that are fields of a request."""
