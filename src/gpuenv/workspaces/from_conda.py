"""conda's `environment.yml`: its specs, the part for pip, its channels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gpuenv.errors import FormatError
from gpuenv.targets.requirement_lines import requirements_of_lines
from gpuenv.targets.text_files import read_text_file
from gpuenv.targets.yaml_text import as_list, as_mapping, as_text, read_yaml
from gpuenv.versions import CudaVersion
from gpuenv.workspaces.conda_specs import CondaSpec, read_conda_spec, spec_of_conda
from gpuenv.workspaces.from_requirements import notes_of_list, specs_of_list
from gpuenv.workspaces.imported import Imported, MachineRequirements, cuda_of
from gpuenv.workspaces.manifest import python_and_specs

__all__ = ["conda_import", "read_conda_environment"]


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
    listed = requirements_of_lines(lines, base=path.parent, name=f"`pip` in {path}")
    notes = [*notes_of_list(listed)]
    if document.get("variables"):
        names = ", ".join(as_mapping(document["variables"], f"`variables` in `{path}`"))
        notes.append(f"the variables of the file are not carried over: {names}")
    return conda_import(specs, channels=channels, further=specs_of_list(listed), notes=notes, where=str(path))


def conda_import(
    typed: Iterable[str],
    *,
    channels: Iterable[str],
    further: Iterable[str] = (),
    notes: Iterable[str] = (),
    where: str,
    requires: MachineRequirements | None = None,
) -> Imported:
    """Conda's specs and `further` ones in Python's words as one import. FormatError for what is no spec."""
    specs: list[str] = []
    told = [*notes]
    python: str | None = None
    cuda: CudaVersion | None = None
    named = [*channels]
    for text in filter(str.strip, typed):
        found = read_conda_spec(text)
        if found is None:
            raise FormatError(f"`{text[:80]}` in `{where}` is not a spec of conda")
        if found.channel:
            named.append(found.channel)
        if found.name == "python":
            python, of_python = python_and_specs(_python_text(found))
            specs += of_python
        elif found.name == "__cuda":
            cuda = cuda_of(found.version.lstrip("=<>!~ ").partition(",")[0].removesuffix(".*"), f"`{text}`")
        elif found.name not in {"pip", "conda"}:
            spec, note = spec_of_conda(found)
            specs += [spec] if spec else []
            told += [note] if note else []
    used = tuple(one for one in dict.fromkeys(named) if one != "nodefaults")
    if used:
        told.append(f"packages come as wheels, so the channels are not asked: {', '.join(used)}")
    return Imported(
        specs=tuple(dict.fromkeys((*specs, *further))),
        python=python,
        channels=used,
        notes=tuple(dict.fromkeys(told)),
        requires=requires or MachineRequirements(cuda=cuda),
    )


def _python_text(found: CondaSpec) -> str | None:
    """Conda's `=3.11` and `3.11.*` mean one minor version; a range stays one."""
    text = found.version.strip()
    if text.startswith("=") and not text.startswith("=="):
        text = text[1:].strip()
    return text.removesuffix("*").removesuffix(".") or None
