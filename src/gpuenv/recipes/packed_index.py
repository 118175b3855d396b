"""The `info/index.json` of a package file, and whether the file is whole, without unpacking what it installs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpuenv.artifacts.conda_components import CondaComponents
from gpuenv.artifacts.conda_index import CONDA_ENDINGS, CondaIndex, parse_index
from gpuenv.artifacts.sources import LocalSource
from gpuenv.artifacts.tar_members import Limits, walk_tar
from gpuenv.artifacts.unpacking import Compression, unpack
from gpuenv.errors import FormatError

__all__ = ["read_packed_index"]

_INDEX = "info/index.json"
_LIMITS = Limits(unpacked_bytes=1 << 30)
_MOST_BYTES = 1 << 20


def read_packed_index(path: Path) -> CondaIndex:
    """What the package says of itself. FormatError where it is no conda package, where a checksum in it is wrong, or
    where it is named otherwise or lies in another directory than it says.
    """
    source = LocalSource(path)
    if path.name.endswith(".conda"):
        parts = CondaComponents(source)
        packed = parts.stream("info")
        index = _find(unpack(packed, Compression.ZSTD))
        for part in ("info", "pkg"):
            for _ in parts.stream(part):
                pass
        if parts.dist != index.dist:
            raise FormatError(f"its parts are named `{parts.dist}`, and it says of itself that it is `{index.dist}`")
    else:
        index = _find(unpack(source.stream(0, source.size_bytes), Compression.BZIP2))
    ending = next(ending for ending in CONDA_ENDINGS if path.name.endswith(ending))
    if path.name.removesuffix(ending) != index.dist:
        raise FormatError(f"it says of itself that it is `{index.dist}`")
    subdir = "noarch" if index.noarch else index.subdir
    if subdir and subdir != path.parent.name:
        raise FormatError(f"it says that it is for `{subdir}` and lies in `{path.parent.name}`")
    return index


def _find(chunks: Iterable[bytes]) -> CondaIndex:
    found: CondaIndex | None = None
    for member in walk_tar(chunks, limits=_LIMITS):
        if member.path == _INDEX and found is None:
            if member.size_bytes > _MOST_BYTES:
                raise FormatError(f"its `{_INDEX}` has {member.size_bytes} bytes")
            found = parse_index(b"".join(member.chunks))
    if found is None:
        raise FormatError(f"it has no `{_INDEX}`")
    return found
