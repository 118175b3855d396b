"""What a package file says of itself for the index of its channel, and whether the file is whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_components import CondaComponents
from gpuenv.artifacts.conda_index import CONDA_ENDINGS, CondaIndex, parse_index
from gpuenv.artifacts.conda_info import INDEX, RUN_EXPORTS, read_info
from gpuenv.artifacts.sources import LocalSource
from gpuenv.errors import FormatError

__all__ = ["Packed", "read_packed"]

_KINDS = ("weak", "strong", "weak_constrains", "strong_constrains", "noarch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """`run_exports` are by kind (CEP 12), empty for none."""

    path: Path
    index: CondaIndex
    run_exports: dict[str, Any]


def read_packed(path: Path) -> Packed:
    """What the package says of itself. FormatError where it is no conda package, where a checksum in it is wrong, or
    where it is named otherwise or lies in another directory than it says.
    """
    source = LocalSource(path)
    info = read_info(source, (INDEX, RUN_EXPORTS), to_end=True)
    if INDEX not in info:
        raise FormatError(f"it has no `info/{INDEX}`")
    index = parse_index(info[INDEX])
    if path.name.endswith(".conda"):
        parts = CondaComponents(source)
        for part in ("info", "pkg"):
            for _ in parts.stream(part):
                pass
        if parts.dist != index.dist:
            raise FormatError(f"its parts are named `{parts.dist}`, and it says of itself that it is `{index.dist}`")
    ending = next(ending for ending in CONDA_ENDINGS if path.name.endswith(ending))
    if path.name.removesuffix(ending) != index.dist:
        raise FormatError(f"it says of itself that it is `{index.dist}`")
    # Python packages for any Python may be for one platform alone (CEP 20).
    subdir = index.subdir or ("noarch" if index.noarch else None)
    if subdir and subdir != path.parent.name:
        raise FormatError(f"it says that it is for `{subdir}` and lies in `{path.parent.name}`")
    return Packed(path=path, index=index, run_exports=_run_exports(info.get(RUN_EXPORTS, b"")))


def _run_exports(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content) if content else {}
    except (ValueError, RecursionError):
        return {}
    if isinstance(told, list):
        return {"weak": told}
    return {kind: told[kind] for kind in _KINDS if told.get(kind)} if isinstance(told, dict) else {}
