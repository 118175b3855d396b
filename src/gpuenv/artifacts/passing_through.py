"""Whether a package computes through another one: what it requires and imports, and what of that counts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuenv.artifacts.cuda_lines import line_in_name
from gpuenv.artifacts.imports import is_aside, is_bridge
from gpuenv.artifacts.sorted_reading import METADATA, SortedReading
from gpuenv.facts.frameworks import Framework, find_framework, gpu_modules
from gpuenv.facts.libraries import find_library
from gpuenv.model import ArtifactKind, Evidence, GpuSupport

__all__ = ["MOST_SAID", "NAMES_A_GPU", "find_through", "is_through"]

NAMES_A_GPU = re.compile(r"(?:^|[-_.])(?:gpu|cuda)(?=[-_.]|$)")
"""In the names of builds for GPUs, where there are others."""

MOST_SAID = 20
"""How many signs of one sort are told."""


def find_through(seen: SortedReading, *, strict: bool) -> Iterator[Evidence]:
    """The GPU packages that it works through. A package that computes in machine code of its own (`strict`) and only
    imports one, say to take its arrays, computes without it; and what asks for one that works through others (the
    CPU build of TensorFlow for Keras) may be what they work through.
    """
    said = 0
    for one in seen.asked:
        row = find_framework(one.name)
        counts = not (row.depends_for_cpu or (strict and is_through(row))) if row else _is_named_for_gpus(one.name)
        if not counts or (row and row is seen.framework) or one.is_for_developers:
            continue
        if (said := said + 1) > MOST_SAID:
            return
        yield Evidence(what="requires", value=one.text, source=METADATA)
    if strict and not said:
        return
    for module, path in seen.reading.imports.items():
        if _is_foreign(module, path, seen) and said < MOST_SAID:
            said += 1
            yield Evidence(what="imports", value=module, source=path)


def is_through(row: Framework | None) -> bool:
    """Whether a GPU package has others compute for it."""
    return row is not None and row.gpu_support is GpuSupport.THROUGH


def _is_named_for_gpus(name: str) -> bool:
    """Whether a package that no table knows is one of several builds, for a GPU (`openmm-cuda-12`)."""
    return find_library(name) is None and bool(NAMES_A_GPU.search(name) or line_in_name(name))


def _is_foreign(module: str, path: str, seen: SortedReading) -> bool:
    """Whether an import is of another GPU package and from a file that counts."""
    row = gpu_modules().get(module)
    own = _package_of(path, seen.artifact.kind)
    if row is None or row is seen.framework or own == module.partition(".")[0]:
        return False
    return not is_aside(path) and not is_bridge(path)


def _package_of(path: str, kind: ArtifactKind) -> str:
    """The top package that a source lies in."""
    inside = path.rpartition("site-packages/")[2]
    if kind is ArtifactKind.SDIST:
        # Below `name-version/`, and there perhaps in `src`.
        inside = re.sub(r"^(?:src|lib|python)/", "", inside.partition("/")[2])
    return inside.partition("/")[0].removesuffix(".py")
