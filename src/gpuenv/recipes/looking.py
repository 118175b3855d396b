"""Looks into a package that was just built, with the same readers that look into any other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpuenv.artifacts.conda_packages import read_conda
from gpuenv.artifacts.needs import needs_of, without_system_cuda
from gpuenv.artifacts.outside_libraries import brought_files
from gpuenv.artifacts.required import parse_match_spec
from gpuenv.artifacts.sources import LocalSource
from gpuenv.errors import FormatError
from gpuenv.model import Artifact, ArtifactKind, LibraryCode, Needs, Reading
from gpuenv.recipes.rendering import Rendered
from gpuenv.rules.code import main_library

__all__ = ["Looked", "look", "needs_among"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One package that was built: what was asked for, where it is, and what was read in it."""

    rendered: Rendered
    path: Path
    subdir: str
    reading: Reading
    needs: Needs

    @property
    def main(self) -> LibraryCode | None:
        """The library that decides where it runs; None where it has no GPU code."""
        return main_library(self.needs.libraries or ())

    @property
    def has_code(self) -> bool:
        """Whether it carries GPU code."""
        return any(library.groups for library in self.needs.libraries or ())

    @property
    def native(self) -> bool:
        """Whether it carries native files at all."""
        return any(file.kind in {"elf", "pe", "mach-o"} for file in self.reading.files)


def look(rendered: Rendered, path: Path) -> Looked:
    """Reads the package at `path` whole; FormatError where it is none or a part could not be read."""
    reading = read_conda(LocalSource(path), Artifact(kind=ArtifactKind.CONDA, name=rendered.name))
    told = tuple(file.problem for file in reading.files if file.problem) + reading.problems
    if not reading.complete or told:
        raise FormatError(f"what was built as `{path.name}` could not be read whole", reasons=told[:5])
    return Looked(rendered=rendered, path=path, subdir=path.parent.name, reading=reading, needs=needs_of(reading))


def needs_among(looked: Looked, others: Sequence[Looked]) -> Needs:
    """What a package needs when what its siblings (outputs of the same variant) bring along is there with it."""
    siblings = _required_siblings(looked, {one.rendered.name: one for one in others if one is not looked})
    if not siblings:
        return looked.needs
    requires = dict.fromkeys((*looked.reading.requires, *(text for one in siblings for text in one.reading.requires)))
    needs = needs_of(msgspec.structs.replace(looked.reading, requires=tuple(requires)))
    return without_system_cuda(needs, frozenset(name for one in siblings for name in brought_files(one.reading.files)))


def _required_siblings(looked: Looked, by_name: Mapping[str, Looked]) -> list[Looked]:
    found: dict[str, Looked] = {}
    waiting = [looked]
    while waiting:
        for text in waiting.pop().reading.requires:
            name = parse_match_spec(text).name
            if name in by_name and name not in found:
                found[name] = by_name[name]
                waiting.append(by_name[name])
    return list(found.values())
