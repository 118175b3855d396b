"""Libraries of which a package loads one, by the CUDA in use: `libbitsandbytes_cuda117.so` to `_cuda128.so`.

They lie in one place and are named alike but for a CUDA number, in the file's name or in that of a directory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from gpuenv.artifacts.cuda_lines import cuda_in_text, line_in_name
from gpuenv.model import Evidence, Needs
from gpuenv.versions import CudaVersion

__all__ = ["choose_for", "family_of", "find_alternatives", "not_loaded", "settle_alternatives"]


def find_alternatives(paths: Iterable[str]) -> dict[str, CudaVersion]:
    """Those among the paths that are alternatives, each with the CUDA that it is for."""
    families: dict[str, dict[str, CudaVersion]] = defaultdict(dict)
    for path in paths:
        line = line_in_name(path)
        if line:
            families[family_of(path)][path] = line.oldest
    found: dict[str, CudaVersion] = {}
    for members in families.values():
        if len(set(members.values())) > 1:
            found |= members
    return found


def family_of(path: str) -> str:
    """A path with a sign in place of each number that a CUDA version is written with."""
    for start, stop in reversed(cuda_in_text(path)):
        path = f"{path[:start]}#{path[stop:]}"
    return path


def choose_for(cuda: CudaVersion, members: Iterable[CudaVersion]) -> CudaVersion | None:
    """Which of the alternatives is loaded beside this CUDA: the one for it, or else the newest older one of the same
    major; None when there is neither.
    """
    fitting = [member for member in members if member.major == cuda.major and member <= cuda]
    return max(fitting, default=None)


def not_loaded(alternatives: Mapping[str, CudaVersion], cuda: CudaVersion) -> frozenset[str]:
    """Those of the alternatives (by path or name) that are not loaded beside this CUDA; none where none fits it."""
    families: dict[str, list[CudaVersion]] = defaultdict(list)
    for path, version in alternatives.items():
        families[family_of(path)].append(version)
    chosen = {family: choose_for(cuda, members) for family, members in families.items()}
    return frozenset(
        path for path, version in alternatives.items() if (one := chosen[family_of(path)]) and version != one
    )


def settle_alternatives(needs: Needs, cuda: CudaVersion | None) -> Needs:
    """The needs with only those alternatives that are loaded beside the CUDA in use (that of the installed torch).

    They stay as they are without one, and where none of them is for its major.
    """
    alternatives = {library.name: library.loaded_for for library in needs.libraries or () if library.loaded_for}
    dropped = not_loaded(alternatives, cuda) if cuda else frozenset()
    if not dropped:
        return needs
    loaded = [version for name, version in alternatives.items() if name not in dropped]
    return msgspec.structs.replace(
        needs,
        libraries=tuple(library for library in needs.libraries or () if library.name not in dropped),
        cuda=min(loaded),
        cuda_newest=max(loaded),
        evidence=(*needs.evidence, Evidence(what="CUDA in use", value=str(cuda), source="the environment")),
    )
