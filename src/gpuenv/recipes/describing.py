"""What is told of a package that was built."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gpuenv.model import BuiltKind, BuiltPackage, Needs
from gpuenv.recipes.naming import Judged
from gpuenv.rules.code import main_library
from gpuenv.targets.cuda_constraints import CudaConstraints, images_of
from gpuenv.versions import CudaVersion

__all__ = ["describe_built", "describe_package"]


def describe_built(judged: Judged, path: Path, index: Mapping[str, Any], *, warnings: Sequence[str]) -> BuiltPackage:
    """A package of the recipe, as it is in `path` now."""
    needs = judged.looked.needs if judged.kind is BuiltKind.GPU else None
    return describe_package(
        path,
        index,
        judged.kind,
        cuda=judged.cuda,
        needs=needs,
        constraints=judged.constraints or CudaConstraints(),
        variant={key: str(value) for key, value in sorted(judged.looked.rendered.variant.items())},
        warnings=tuple(warnings),
    )


def describe_package(
    path: Path,
    index: Mapping[str, Any],
    kind: BuiltKind,
    *,
    cuda: CudaVersion | None = None,
    needs: Needs | None = None,
    constraints: CudaConstraints | None = None,
    variant: Mapping[str, str] | None = None,
    warnings: tuple[str, ...] = (),
) -> BuiltPackage:
    """A package in `path`, in a directory named as the channel's, that says of itself what `index` does."""
    main = main_library(needs.libraries or ()) if needs else None
    images = images_of(main) if main else ()
    asked = constraints or CudaConstraints()
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
        cuda=cuda,
        sass=tuple(str(image) for image in images if not image.is_ptx),
        ptx=tuple(str(image) for image in images if image.is_ptx),
        runs_on=tuple(map(str, asked.spans or ())),
        stamped=asked.specs,
        variant=dict(variant or {}),
        warnings=warnings,
    )
