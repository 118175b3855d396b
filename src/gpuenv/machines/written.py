"""Machines that people write: what `--machine` takes.

It names a file, or is the short form, `key=value` with commas between (`description.KEYS` has the keys)::

    gpu=2xV100,driver=535.129.03,os=linux,memory=64GiB
    gpu=A100-80GB,gpu=T4,driver=570.133.07        a mixed machine
    gpu=H300,capability=9.0,gpu_memory=100GiB     a GPU that the list does not have
    gpu=none                                      no GPU, no driver
    os=linux                                      nobody said whether there is a GPU

`gpu_memory` and `capability` belong to the `gpu` before them, or to the first one when they come before it.
"""

from __future__ import annotations

from pathlib import Path

from gpuenv.errors import RequestError
from gpuenv.machines.builder import DescriptionBuilder
from gpuenv.machines.description import EXAMPLE
from gpuenv.machines.machine_file import load_machine
from gpuenv.machines.overrides import apply_overrides
from gpuenv.machines.quantities import quoted
from gpuenv.model import Machine

__all__ = ["apply_overrides", "parse_machine"]

_WHERE = "--machine"


def parse_machine(text: str) -> Machine:
    """The machine that `text` describes, or that the file it names holds (see `machine_file`).

    RequestError for an unknown key or GPU, a malformed value, a contradiction, a missing or broken file, nothing.
    """
    stripped = text.strip()
    if not stripped:
        raise RequestError("`--machine` is empty", hints=(EXAMPLE,))
    if _names_a_file(stripped):
        return load_machine(Path(stripped).expanduser())
    builder = DescriptionBuilder(where=_WHERE)
    for item in stripped.split(","):
        if item.strip():
            builder.add(*_key_and_value(item))
    return builder.description(name=stripped).machine()


def _names_a_file(text: str) -> bool:
    if text.lower().endswith((".json", ".toml")):
        return True
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):
        return False


def _key_and_value(item: str) -> tuple[str, str]:
    key, separator, value = item.partition("=")
    if not separator:
        is_path = "/" in item or "\\" in item
        raise RequestError(
            f"{_WHERE}: {quoted(item)} is neither a file nor `key=value`",
            hints=(EXAMPLE,) if is_path else (f"write `gpu={item.strip()}` if it is a GPU", EXAMPLE),
        )
    return key, value
