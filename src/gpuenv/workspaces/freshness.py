"""Whether a lock still answers what its project asks for; nothing is planned for that."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from gpuenv.errors import GpuenvError, IntegrityError
from gpuenv.model import Lock, Request, Sources
from gpuenv.workspaces.channel_words import printable_request
from gpuenv.workspaces.manifest import LOCK_NAME, MANIFEST_NAME, read_workspace
from gpuenv.workspaces.other_files import read_request
from gpuenv.workspaces.wanted_lock import request_of_source

__all__ = ["locking_command", "of_requests", "refuse_stale", "what_changed"]


def what_changed(lock: Lock, path: Path) -> tuple[str, ...]:
    """What the `gpuenv.toml` beside the lock at `path`, or else the file that it was made from, says otherwise now.

    Empty where all is as it was locked, and where there is no such file. FormatError for one that breaks its format.
    """
    manifest = path.parent / MANIFEST_NAME
    if manifest.is_file():
        workspace = read_workspace(manifest)
        missing = [word for word in workspace.machines if word not in lock.machines]
        wanted = printable_request(workspace.request)
        changes = [*of_requests(lock.request, wanted, f"`{MANIFEST_NAME}`")]
        changes += [f"`{MANIFEST_NAME}` names the machine `{word}`, the lock does not" for word in missing]
        return tuple(changes)
    return tuple(_of_source(lock, path))


def refuse_stale(lock: Lock, path: Path) -> None:
    """IntegrityError, which says what changed, where the lock at `path` is not what its project asks for."""
    changed = what_changed(lock, path)
    if changed:
        raise IntegrityError(
            f"`{path.name}` is older than what the project asks for",
            reasons=changed,
            hints=(f"bring it up to date: `{locking_command(path)}`",),
        )


def locking_command(path: Path) -> str:
    """The command that makes the lock at `path` anew."""
    return "gpuenv lock" if path.name == LOCK_NAME else f"gpuenv lock --lock {shlex.quote(path.name)}"


def _of_source(lock: Lock, path: Path) -> Iterator[str]:
    source = lock.source
    if source is None or not (path.parent / source.file).is_file():
        return
    machines = tuple(machine for one in lock.plans for machine in one.plan.machines)
    try:
        found = read_request(path.parent / source.file, extras=source.extras, groups=source.groups, machines=machines)
    except GpuenvError as error:
        yield "; ".join((error.message, *error.reasons))
        return
    wanted = request_of_source(source, lock.request, found, path.parent)[0]
    yield from of_requests(lock.request, printable_request(wanted), f"`{source.file}`")


def of_requests(locked: Request, wanted: Request, name: str) -> Iterator[str]:
    """In what a request differs from the one that was locked; `name` says where it stands."""
    yield from _of_specs(locked.specs, wanted.specs, name)
    told = (
        ("python", wanted.python or "any", locked.python or "any"),
        ("gpu", wanted.gpu.value, locked.gpu.value),
        ("allow-degraded", str(wanted.allow_degraded).lower(), str(locked.allow_degraded).lower()),
        ("index-policy", wanted.indexes.value, locked.indexes.value),
        ("channels", _listed(wanted.channels), _listed(locked.channels)),
        ("only", _kind(wanted), _kind(locked)),
    )
    for key, now, then in told:
        if now != then:
            yield f"`{key}` is {now} in {name} and {then} in the lock"


def _listed(channels: tuple[str, ...]) -> str:
    return ", ".join(channels) or "none"


def _kind(request: Request) -> str:
    return "not said" if request.sources is Sources.ALL else request.sources.value


def _of_specs(locked: tuple[str, ...], wanted: tuple[str, ...], name: str) -> Iterator[str]:
    for spec in wanted:
        if spec not in locked:
            yield f"{name} asks for `{spec}`, the lock does not"
    for spec in locked:
        if spec not in wanted:
            yield f"the lock has `{spec}`, which {name} does not ask for"
