"""A machine in a file.

`.json`: a recorded host (`gpuenv info --record`), or a `Machine` as gpuenv prints it. `.toml`: written by hand, with
the keys of the short form at the top, in tables, or both::

    name = "cluster node"
    memory = "256GiB"

    [system]                      # or os, arch, glibc at the top
    os = "linux"                  # linux, windows, macos, wsl
    arch = "x86_64"               # x86_64, aarch64, ppc64le
    glibc = "2.28"

    [driver]                      # or driver = "535.129.03", cuda = "12.2" at the top
    version = "535.129.03"        # or "none", "nouveau"
    cuda = "12.2"

    [cpu]                         # or cores at the top
    cores = 32

    [[gpu]]                       # or gpu = "2xV100", gpu = ["V100", "T4"] at the top
    name = "V100"
    count = 2
    memory = "32GiB"
    capability = "7.0"

Versions are text, since 450.80 and 450.8 are one number but two drivers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from gpuenv.errors import FormatError, RequestError
from gpuenv.machines.builder import DescriptionBuilder
from gpuenv.machines.described_gpus import WrittenGpu
from gpuenv.machines.description import KEYS
from gpuenv.machines.quantities import read_count
from gpuenv.model import JSON_VERSION, Machine, from_json

__all__ = ["load_machine"]

_TABLES: dict[str, dict[str, str]] = {
    "system": {"os": "os", "arch": "arch", "glibc": "glibc"},
    "driver": {"version": "driver", "cuda": "cuda"},
    "cpu": {"cores": "cores"},
}
"""For each table of a TOML file its keys, and the keys of the short form that they stand for."""

_GPU_KEYS = dict.fromkeys(("name", "count", "memory", "capability"), "")
_TOP = KEYS | {"system": "a table with os, arch, glibc", "cpu": "a table with cores"}


def load_machine(path: Path) -> Machine:
    """The machine in a file; RequestError when the file is missing, broken or says something impossible."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not text"
        raise RequestError(f"machine file `{path}` cannot be read", reasons=(reason,)) from error
    if path.suffix.lower() == ".json" or (path.suffix.lower() != ".toml" and text.lstrip().startswith("{")):
        return _from_json(text, path)
    return _from_toml(text, path)


# ---- JSON ----------------------------------------------------------------------------------------------------


def _from_json(text: str, path: Path) -> Machine:
    try:
        content = msgspec.json.decode(text)
        if isinstance(content, dict) and "recording" in content:
            return _from_recording(path)
        machine = from_json(text, Machine)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _broken(path, "JSON", str(error)) from error
    except FormatError as error:
        raise _broken(path, "JSON", error.message) from error
    if machine.version > JSON_VERSION:
        raise _broken(path, "JSON", f"it has version {machine.version}, this gpuenv reads up to {JSON_VERSION}")
    return machine


def _from_recording(path: Path) -> Machine:
    from gpuenv.machines.probe import probe
    from gpuenv.machines.recording import load_recording

    return probe(load_recording(path))


def _broken(path: Path, language: str, reason: str) -> RequestError:
    return RequestError(f"machine file `{path}` holds no machine in {language}", reasons=(reason,))


# ---- TOML ----------------------------------------------------------------------------------------------------


def _from_toml(text: str, path: Path) -> Machine:
    try:
        content = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise _broken(path, "TOML", str(error)) from error
    builder = DescriptionBuilder(where=path.name)
    for key, value in content.items():
        if key in _TABLES and isinstance(value, dict):
            _add_table(builder, key, value)
        elif builder.known_key(key, _TOP) == "gpu":
            for gpu in value if isinstance(value, list) else [value]:
                _add_gpu(builder, gpu)
        else:
            builder.add(key, _plain(value, builder.where, key))
    if not content:
        raise _broken(path, "TOML", "it is empty")
    return builder.description(name=path.stem).machine()


def _add_table(builder: DescriptionBuilder, table: str, content: Mapping[str, Any]) -> None:
    known = {key: KEYS[meaning] for key, meaning in _TABLES[table].items()}
    for key, value in content.items():
        name = builder.known_key(key, known, place=f"{table}.")
        builder.add(_TABLES[table][name], _plain(value, builder.where, f"{table}.{key}"))


def _add_gpu(builder: DescriptionBuilder, gpu: Any) -> None:
    if not isinstance(gpu, dict):
        builder.add("gpu", _plain(gpu, builder.where, "gpu"))
        return
    said = {
        builder.known_key(key, _GPU_KEYS, place="gpu."): _plain(value, builder.where, f"gpu.{key}")
        for key, value in gpu.items()
    }
    where = f"{builder.where}, `gpu`"
    builder.add_gpu(
        WrittenGpu(
            name=said.get("name"),
            where=where,
            count=read_count(said.get("count", "1"), where, "GPUs"),
            memory=said.get("memory"),
            capability=said.get("capability"),
        )
    )


def _plain(value: Any, where: str, key: str) -> str:
    """The text of a text or whole number. A fraction is refused, since a version loses its zeros in one."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        raise RequestError(
            f"{where}: `{key}` is a number, where text is needed", hints=(f'write `{key} = "{value}"` in quotes',)
        )
    names = {bool: "true or false", dict: "a table", list: "a list"}
    raise RequestError(
        f"{where}: `{key}` is {names.get(type(value), 'a date or time')}, where text or a whole number is needed"
    )
