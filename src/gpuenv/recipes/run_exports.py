"""`run_exports.json` of a channel's directory: what packages ask of those that are built with them (CEP 12)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_components import CondaComponents
from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.tar_members import Limits, walk_tar
from gpuenv.artifacts.unpacking import Compression, unpack

__all__ = ["write_run_exports"]

_FILE = "info/run_exports.json"
_LIMITS = Limits(unpacked_bytes=1 << 30)
_MOST_BYTES = 1 << 20
_KINDS = ("weak", "strong", "weak_constrains", "strong_constrains", "noarch")


def write_run_exports(directory: Path) -> None:
    """Writes the file for the packages in a directory of whole packages, beside them.

    A package without run exports has an empty entry: only then a client need not look into the package itself.
    """
    found: dict[str, dict[str, Any]] = {"packages": {}, "packages.conda": {}}
    for path in sorted(directory.iterdir()):
        if path.name.endswith(CONDA_ENDINGS):
            group = "packages.conda" if path.name.endswith(".conda") else "packages"
            found[group][path.name] = {"run_exports": _run_exports(path)}
    document = {"info": {"subdir": directory.name, "version": 1}, **found}
    (directory / "run_exports.json").write_text(json.dumps(document), "utf-8")


def _run_exports(path: Path) -> dict[str, Any]:
    source = LocalSource(path)
    if path.name.endswith(".conda"):
        content = _find(unpack(CondaComponents(source).stream("info"), Compression.ZSTD))
    else:
        content = _find(unpack(source.stream(0, source.size_bytes), Compression.BZIP2))
    try:
        told = json.loads(content) if content else {}
    except ValueError:
        return {}
    if isinstance(told, list):
        return {"weak": told}
    return {kind: told[kind] for kind in _KINDS if told.get(kind)} if isinstance(told, dict) else {}


def _find(chunks: Iterable[bytes]) -> bytes:
    for member in walk_tar(chunks, limits=_LIMITS):
        if member.path == _FILE and member.size_bytes <= _MOST_BYTES:
            return b"".join(member.chunks)
    return b""
