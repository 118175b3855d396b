"""Packages without files beside those of a recipe: `NAME-gpu`, which asks for a GPU build, and `NAME-mutex`, of which
an environment has one build, so that it has one kind of `NAME`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from gpuenv.artifacts.conda_archive import write_conda_package
from gpuenv.artifacts.conda_metadata import metadata_files, platform_fields
from gpuenv.errors import RequestError
from gpuenv.model import BuiltKind
from gpuenv.recipes.naming import STEP
from gpuenv.recipes.stamping import Stamp, stamped_index

__all__ = ["MUTEX_VERSION", "make_metapackage", "make_mutexes", "mutex_spec", "pattern_of"]

MUTEX_VERSION = "1.0"
"""It stays the same over all releases of the package, since builds of all of them share it."""

Written = tuple[Path, dict[str, Any]]
"""A package below the directory to work in, and its `index.json`."""

_PATTERNS = ("cuda*", "gpu*", "*cuda*", "*gpu*", "cu*")


def pattern_of(gpu: Sequence[str], others: Sequence[str]) -> str:
    """A glob that all build strings of GPU builds match and none of the others; RequestError where there is none."""
    for pattern in _PATTERNS:
        if all(fnmatchcase(one, pattern) for one in gpu) and not any(fnmatchcase(one, pattern) for one in others):
            return pattern
    raise RequestError(
        "the recipe's own build strings do not tell GPU builds from CPU builds, which a metapackage needs",
        reasons=(f"for the GPU: {', '.join(gpu)}", f"for the CPU: {', '.join(others) or 'none'}"),
        hints=("let them begin with `cuda` and `cpu`, or leave `build.string` out",),
    )


def make_metapackage(
    name: str, version: str, *, pattern: str, number: int, subdir: str, work: Path, v3: bool
) -> Written:
    """The package `NAME-gpu` of a version, which brings the GPU build of `NAME`."""
    spec = f'{name}[version="=={version}",flags=["cuda"]]' if v3 else f"{name} =={version} {pattern}"
    summary = f"{name} {version} for NVIDIA GPUs"
    stamp = Stamp(build=f"cuda_{number}", build_number=number, depends=(spec,), flags=("cuda",) if v3 else (), v3=v3)
    return _written(f"{name}-gpu", version, summary, stamp, subdir=subdir, work=work)


def mutex_spec(name: str, kind: BuiltKind) -> str:
    """What a build of `NAME` asks of its mutex."""
    return f"{name}-mutex =={MUTEX_VERSION} {'cuda' if kind is BuiltKind.GPU else 'cpu'}_*"


def make_mutexes(name: str, *, subdir: str, work: Path) -> tuple[Written, Written]:
    """The two builds of the package `NAME-mutex`. They stay in the legacy form, which every client reads."""
    cpu = Stamp(build="cpu_0", build_number=0)
    gpu = Stamp(build=f"cuda_{STEP}", build_number=STEP)
    summary = f"of which there is one build in an environment, as of {name}"
    made = [_written(f"{name}-mutex", MUTEX_VERSION, summary, one, subdir=subdir, work=work) for one in (cpu, gpu)]
    return made[0], made[1]


def _written(name: str, version: str, summary: str, stamp: Stamp, *, subdir: str, work: Path) -> Written:
    now = int(time.time())
    index = stamped_index({"name": name, "version": version, "timestamp": now * 1000, **platform_fields(subdir)}, stamp)
    dist = f"{name}-{version}-{stamp.build}"
    target = work / "finished" / subdir / f"{dist}.conda"
    info = metadata_files(index=index, about={"summary": summary})
    write_conda_package(target, dist=dist, info=info, files=(), timestamp=now, size_bytes=0)
    return target, index
