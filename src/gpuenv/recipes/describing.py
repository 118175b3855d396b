"""What is told of a package that was built."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpuenv.model import BuiltKind, BuiltPackage
from gpuenv.recipes.contradictions import images_of
from gpuenv.recipes.naming import Judged

__all__ = ["describe_built", "describe_companion"]


def describe_built(
    judged: Judged, path: Path, index: dict[str, Any], *, stamped: Sequence[str], warnings: Sequence[str]
) -> BuiltPackage:
    """A package of the recipe, as it is in `path` now."""
    main = judged.looked.main if judged.kind is BuiltKind.GPU else None
    images = images_of(main) if main else ()
    spans = judged.bounds.spans if judged.bounds else None
    return _described(
        path,
        index,
        judged.kind,
        cuda=judged.cuda,
        sass=tuple(str(image) for image in images if not image.is_ptx),
        ptx=tuple(str(image) for image in images if image.is_ptx),
        runs_on=tuple(map(str, spans or ())),
        stamped=tuple(stamped),
        variant={key: str(value) for key, value in sorted(judged.looked.rendered.variant.items())},
        warnings=tuple(warnings),
    )


def describe_companion(path: Path, kind: BuiltKind) -> BuiltPackage:
    """A package without files that goes with them."""
    return _described(path, _index_of(path), kind)


def _described(path: Path, index: dict[str, Any], kind: BuiltKind, **more: Any) -> BuiltPackage:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return BuiltPackage(
        file=f"{path.parent.name}/{path.name}",
        kind=kind,
        name=index["name"],
        version=index["version"],
        build=index["build"],
        build_number=index["build_number"],
        subdir=path.parent.name,
        depends=tuple(index.get("depends", ())),
        constrains=tuple(index.get("constrains", ())),
        flags=tuple(index.get("flags", ())),
        size_bytes=path.stat().st_size,
        sha256=sha256,
        **more,
    )


def _index_of(path: Path) -> dict[str, Any]:
    import io
    import tarfile

    from gpuenv.artifacts.unpacking import Compression, unpack

    with zipfile.ZipFile(path) as archive:
        info = next(name for name in archive.namelist() if name.startswith("info-"))
        plain = b"".join(unpack([archive.read(info)], Compression.ZSTD))
    with tarfile.open(fileobj=io.BytesIO(plain)) as members:
        file = members.extractfile("info/index.json")
        assert file is not None
        index: dict[str, Any] = json.load(file)
    return index
