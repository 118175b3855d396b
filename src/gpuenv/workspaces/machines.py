"""The machines of a workspace: from the words that name them to what is known of each, as a lock holds it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from gpuenv.errors import RequestError
from gpuenv.machines import probe_here
from gpuenv.machines.written import parse_machine
from gpuenv.model import Gpu, Machine
from gpuenv.workspaces.manifest import HERE

__all__ = ["machine_key", "machines_named", "same_machine"]


def machines_named(words: Iterable[str], base: Path) -> tuple[Machine, ...]:
    """The machines that `words` name; paths in them start from `base`. RequestError where one names none."""
    return tuple(_without_passing_things(_named(word, base)) for word in dict.fromkeys(words))


def _named(word: str, base: Path) -> Machine:
    if word == HERE:
        return msgspec.structs.replace(probe_here(), name=HERE)
    if not word.lower().endswith((".json", ".toml")) and not _is_file(base / word):
        return parse_machine(word)
    path = Path(word).expanduser()
    try:
        machine = parse_machine(str(path if path.is_absolute() else base / path))
    except RequestError as error:
        raise RequestError(
            error.message, reasons=(*error.reasons, f"`{word}` names it"), hints=error.hints, details=error.details
        ) from error
    return msgspec.structs.replace(machine, name=word)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _without_passing_things(machine: Machine) -> Machine:
    """The machine without what changes from day to day or tells one board of a kind from another."""
    gpus = machine.gpus if machine.gpus is None else tuple(map(_without_identity, machine.gpus))
    return msgspec.structs.replace(machine, environ={}, notes=(), gpus=gpus)


def _without_identity(gpu: Gpu) -> Gpu:
    return msgspec.structs.replace(gpu, uuid=None, pci_id=None)


def machine_key(machine: Machine) -> tuple[object, ...]:
    """What tells machines apart for a plan: system, C library, driver and GPUs. Equal keys, equal answers."""
    driver, system = machine.driver, machine.system
    assumed = machine.sources.get("system.glibc") == "assumed"
    gpus = None if machine.gpus is None else tuple(map(_gpu_key, machine.gpus))
    return (
        machine.platform,
        None if assumed else system.glibc,
        system.jetson,
        system.wsl,
        *(driver.state, driver.version, driver.cuda, driver.module),
        gpus,
    )


def _gpu_key(gpu: Gpu) -> tuple[object, ...]:
    return gpu.vendor, gpu.name, gpu.compute_capability, gpu.board, gpu.mig, gpu.usable


def same_machine(one: Machine, other: Machine) -> bool:
    """Whether both get the same answer to every request."""
    return machine_key(one) == machine_key(other)
