"""`expand`: the files behind one target, for one machine."""

from __future__ import annotations

import os
from dataclasses import replace

from gpuenv.channels.destinations import Destination, destination_of
from gpuenv.channels.index import Asking
from gpuenv.errors import GpuenvError, RequestError
from gpuenv.model import ArtifactKind, Machine
from gpuenv.targets.in_channels import ChannelPackages
from gpuenv.targets.named import expand_address, expand_file_name, expand_requirement
from gpuenv.targets.wanted import Expansion, WantedFile, conda_file, kind_of_name
from gpuenv.targets.words import (
    Address,
    InChannel,
    IndexFileName,
    LocalFile,
    LockFile,
    OnIndex,
    RequirementsFile,
    Target,
)

__all__ = ["expand"]


def expand(
    target: Target,
    *,
    machine: Machine | None = None,
    python: str | None = None,
    platform: str | None = None,
    offline: bool = False,
    channels: ChannelPackages | None = None,
) -> Expansion:
    """The files behind `target` for `machine`; without one for `platform` (`linux-x86_64`), without both for this
    computer. `python` (3.11) goes before the machine's own, which goes before the running one.
    With `offline` the index answers from what `uv` has in its cache. `channels` are those that specs of conda are
    asked of.

    What could not be found out is a problem of the answer; nothing is raised for it. A directory is no list of files,
    and its answer is empty.
    """
    try:
        destination = destination_of(machine, python=python, platform=platform)
        if isinstance(target, LockFile):
            from gpuenv.targets.locks import expand_lock

            return expand_lock(
                target.path,
                target.kind,
                destination,
                is_python_asked=bool(python or (machine and machine.python)),
                is_platform_asked=bool(machine or platform),
                offline=offline,
            )
        if isinstance(target, InChannel):
            asked = channels or ChannelPackages(offline=offline)
            return asked.expand(target.spec, target.channel, destination, machine)
        return _expand(target, destination, machine, Asking(offline=offline))
    except GpuenvError as error:
        return Expansion(problems=(error,))


def _expand(target: Target, destination: Destination, machine: Machine | None, asking: Asking) -> Expansion:
    match target:
        case LocalFile():
            return _local(target)
        case Address(url, name):
            return expand_address(url, name=name)
        case IndexFileName(filename):
            return expand_file_name(filename, destination, asking=asking)
        case RequirementsFile(path):
            from gpuenv.targets.requirements import resolve_requirements

            return resolve_requirements(path, destination, offline=asking.offline)
        case OnIndex(requirement, typed):
            return _on_index(requirement, typed, destination, machine, asking)
        case _:
            return Expansion()


def _local(target: LocalFile) -> Expansion:
    path = target.path
    kind = kind_of_name(path.name)
    if kind is ArtifactKind.CONDA:
        return Expansion(files=(conda_file(str(path)),))
    return Expansion(files=(WantedFile(name=path.name, filename=path.name, kind=kind, path=path),))


def _on_index(
    requirement: str, typed: str, destination: Destination, machine: Machine | None, asking: Asking
) -> Expansion:
    is_directory = os.path.isdir(typed)  # noqa: PTH112  (it raises nothing for a strange name)
    try:
        found = expand_requirement(
            requirement, destination, cuda=machine.driver.cuda if machine else None, asking=asking
        )
    except RequestError as error:
        if is_directory:
            hints = (f"to look into the directory here, write `./{typed}`", *error.hints)
            raise RequestError(error.message, reasons=error.reasons, hints=hints, details=error.details) from error
        raise
    if is_directory:
        note = f"`{typed}` is the package on the index; the directory here is `./{typed}`"
        return replace(found, notes=(*found.notes, note))
    return found
