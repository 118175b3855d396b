"""conda's `environment.yml`: its specs, the part for pip, its channels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gpuenv.errors import FormatError
from gpuenv.targets.requirement_lines import requirements_of_lines
from gpuenv.targets.text_files import read_text_file
from gpuenv.targets.yaml_text import as_list, as_mapping, as_text, read_yaml
from gpuenv.versions import CudaVersion
from gpuenv.workspaces.conda_specs import CondaSpec, read_conda_spec, spec_of_conda
from gpuenv.workspaces.from_requirements import notes_of_list, specs_of_list
from gpuenv.workspaces.imported import CondaPart, Imported, MachineRequirements, cuda_of
from gpuenv.workspaces.manifest import python_and_specs

__all__ = ["conda_import", "python_elsewhere", "read_conda_environment"]

_NO_OTHERS = "nodefaults"
"""Among the channels of a file this word stands for: not those of conda's configuration."""


def read_conda_environment(path: Path) -> Imported:
    """What an `environment.yml` asks for; FormatError for a file that is none."""
    document = as_mapping(read_yaml(read_text_file(path), where=str(path)), f"`{path}`")
    if "dependencies" not in document:
        raise FormatError(f"`{path}` is not an environment.yml", reasons=("it has no `dependencies`",))
    specs: list[str] = []
    lines: list[str] = []
    for index, entry in enumerate(as_list(document["dependencies"], f"`dependencies` in `{path}`")):
        where = f"`dependencies[{index}]` in `{path}`"
        if isinstance(entry, dict):
            lines += [as_text(line, where) for line in as_list(as_mapping(entry, where).get("pip"), where)]
        else:
            specs.append(as_text(entry, where))
    channels = [as_text(one, "a channel") for one in as_list(document.get("channels"), f"`channels` in `{path}`")]
    is_alone = _NO_OTHERS in channels
    listed = requirements_of_lines(lines, base=path.parent, name=f"`pip` in {path}")
    notes = [*notes_of_list(listed)]
    if document.get("variables"):
        names = ", ".join(as_mapping(document["variables"], f"`variables` in `{path}`"))
        notes.append(f"the variables of the file are not carried over: {names}")
    return conda_import(
        specs,
        channels=[one for one in channels if one.strip() and one != _NO_OTHERS],
        only_own=is_alone,
        further=specs_of_list(listed),
        notes=notes,
        where=str(path),
    )


def conda_import(
    typed: Iterable[str],
    *,
    channels: Sequence[str],
    only_own: bool = False,
    further: Iterable[str] = (),
    notes: Iterable[str] = (),
    where: str,
    requires: MachineRequirements | None = None,
) -> Imported:
    """Conda's specs and `further` ones in Python's words as one import. FormatError for what is no spec."""
    own = [text.strip() for text in typed if text.strip()]
    found = [_spec(text, where) for text in own]
    by_wheel = _AsWheels.of(found)
    cuda = [one for one in found if one.name == "__cuda"]
    part = CondaPart(
        specs=tuple(dict.fromkeys(one.typed for one in found if _is_asked_of_channels(one))),
        wheels=tuple(dict.fromkeys(further)),
        channels=tuple(dict.fromkeys(channels)),
        only_own=only_own,
        notes=(*by_wheel.notes, *_channels_left(channels, found)),
    )
    return Imported(
        specs=tuple(dict.fromkeys((*by_wheel.specs, *further))),
        python=by_wheel.python,
        conda=part,
        notes=tuple(dict.fromkeys(notes)),
        requires=requires or MachineRequirements(cuda=_cuda(cuda[-1]) if cuda else None),
    )


def _spec(text: str, where: str) -> CondaSpec:
    found = read_conda_spec(text)
    if found is None:
        raise FormatError(f"`{text[:80]}` in `{where}` is not a spec of conda")
    return found


def _is_asked_of_channels(found: CondaSpec) -> bool:
    """Virtual packages are of the machine. A plain version of Python is the one that the request names."""
    if found.name.startswith("__"):
        return False
    version, ranges = python_and_specs(_python_text(found))
    is_plain = found.build is None and not ranges and (version or "").count(".") < 2
    return found.name != "python" or found.channel is not None or not is_plain


def _cuda(found: CondaSpec) -> CudaVersion:
    return cuda_of(found.version.lstrip("=<>!~ ").partition(",")[0].removesuffix(".*"), f"`{found.typed}`")


@dataclass(slots=True, kw_only=True)
class _AsWheels:
    """Conda's specs as wheels of the same projects."""

    specs: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    python: str | None = None

    @classmethod
    def of(cls, found: Iterable[CondaSpec]) -> _AsWheels:
        """Each of them where there is such a wheel, and a note where there is none."""
        made = cls()
        for one in found:
            if one.name == "python":
                made.python, of_python = python_and_specs(_python_text(one))
                made.specs += of_python
            elif one.name not in {"__cuda", "pip", "conda"}:
                spec, note = spec_of_conda(one)
                made.specs += [spec] if spec else []
                made.notes += [note] if note else []
        return made


def _channels_left(channels: Sequence[str], found: Iterable[CondaSpec]) -> Iterator[str]:
    named = dict.fromkeys((*channels, *(one.channel for one in found if one.channel)))
    if named:
        yield f"packages come as wheels, so the channels are not asked: {', '.join(named)}"


def python_elsewhere(typed: str) -> tuple[str, ...]:
    """A spec of conda on Python as specs on one that no channel has: ranges stay, patches and builds do not."""
    found = read_conda_spec(typed)
    return python_and_specs(_python_text(found))[1] if found and found.name == "python" else ()


def _python_text(found: CondaSpec) -> str | None:
    """Conda's `=3.11` and `3.11.*` mean one minor version; a range stays one."""
    text = found.version.strip()
    if text.startswith("=") and not text.startswith("=="):
        text = text[1:].strip()
    return text.removesuffix("*").removesuffix(".") or None
