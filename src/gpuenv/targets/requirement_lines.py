"""Read requirements files line by line, as pip's documentation describes them ("Requirements File Format").

`uv` resolves such a file whole. What is read here is what `uv` cannot be left alone with: local projects and
repositories, whose build would run their code; lines that are none; and which indexes the file names.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from gpuenv.channels.index import Asking
from gpuenv.errors import FormatError, GpuenvError, RequestError, UnavailableError
from gpuenv.targets.text_files import read_text_file
from gpuenv.targets.wanted import SDIST_ENDINGS

__all__ = ["RequirementLine", "RequirementList", "read_project", "read_requirements", "requirements_of_lines"]

_COMMENT = re.compile(r"(^|\s+)#.*$")
_INCLUDE = re.compile(r"(?:-r|--requirement)(?:\s*=?\s*)(?P<value>\S.*)")
_CONSTRAINT = re.compile(r"(?:-c|--constraint)(?:\s*=?\s*)(?P<value>\S.*)")
_EDITABLE = re.compile(r"(?:-e|--editable)(?:\s*=?\s*)(?P<value>\S.*)")
_INDEX = re.compile(r"(?:-i|--index-url|--extra-index-url)(?:\s*=?\s*)(?P<value>\S+)")
_LINKS = re.compile(r"(?:-f|--find-links)(?:\s*=?\s*)(?P<value>\S+)")
_OF_INDEXES = re.compile(r"-i|--index-url|--extra-index-url|-f|--find-links|--no-index|--pre|--trusted-host|--prefer")
_PER_LINE = re.compile(r"\s+--?(hash|config-settings|global-option|install-option|C)\b.*", re.DOTALL)
_EXTRAS = re.compile(r"(?P<path>.*?)\[(?P<extras>[\w.,\s-]*)\]", re.ASCII)
_VCS = re.compile(r"(git|hg|svn|bzr)\+", re.ASCII)
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}", re.ASCII)
_DEEPEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementLine:
    """One requirement; `text` is the line for `uv`.

    One of these says what it asks for: `requirement` (PEP 508), `file` (a package on disk), `url` (one without a name).
    """

    text: str
    requirement: Requirement | None = None
    file: Path | None = None
    url: str | None = None


@dataclass(slots=True, kw_only=True)
class RequirementList:
    """All lines of a file and of those that it includes. `options` are lines that are no requirement.

    `left_out` are problems with lines that `uv` must not see; with any, the file cannot be given to it as it is.
    `notes` say what stands in their place. `depth` counts the projects that one stands in another's requirements.
    Paths of packages start from `base`: pip takes those in a file from where it runs, wherever the file is.
    """

    lines: list[RequirementLine] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    indexes: list[str] = field(default_factory=list)
    left_out: list[GpuenvError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    depth: int = 0
    base: Path = Path()

    @property
    def text(self) -> str:
        """Options and requirements as one file without includes."""
        return "\n".join([*self.options, *(line.text for line in self.lines)]) + "\n"

    def asking(self, *, offline: bool) -> Asking:
        """How the indexes are asked for one line alone."""
        lines = tuple(option for option in self.options if _OF_INDEXES.match(option))
        return Asking(lines=lines, addresses=tuple(self.indexes), offline=offline)

    @property
    def is_as_written(self) -> bool:
        """Whether `uv` may be given the file itself."""
        return not (self.left_out or self.notes)


def read_requirements(path: Path) -> RequirementList:
    """The requirements in a file and in those that it includes.

    RequestError where a file is missing; FormatError where it is no text. Lines that are no requirements are problems
    of the list.
    """
    found = RequirementList()
    _read(path, found, seen=())
    return found


def requirements_of_lines(lines: Iterable[str], *, base: Path, name: str, depth: int = 0) -> RequirementList:
    """The requirements in lines that stand elsewhere, such as the `pip` part of `environment.yml`, which its tool reads
    in the directory `base`: paths in them start from there.
    """
    found = RequirementList(depth=depth, base=base)
    for number, line in enumerate(lines, 1):
        _take(_COMMENT.sub("", line).strip(), found, base=base, where=f"{name}, entry {number}", seen=())
    return found


def read_project(path: Path, extras: Iterable[str] = (), *, depth: int = 0) -> RequirementList:
    """The requirements of a project, from its `pyproject.toml`.

    UnavailableError where only its build would tell them; FormatError for a file that breaks its format.
    """
    if depth > _DEEPEST:
        raise FormatError(f"`{path}` requires itself")
    try:
        document = tomllib.loads(read_text_file(path))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FormatError(f"`{path}` is not TOML", reasons=(str(error),)) from error
    project: Any = document.get("project")
    if not isinstance(project, dict) or "dependencies" in _texts(project.get("dynamic")):
        raise UnavailableError(
            f"what `{path.parent}` requires is only known when it is built",
            reasons=("its `pyproject.toml` does not list `dependencies`",),
            hints=("build a wheel and check that, or list the requirements in a `requirements.txt`",),
        )
    optional = project.get("optional-dependencies")
    optional = optional if isinstance(optional, dict) else {}
    lists = [project.get("dependencies", []), *(optional.get(extra, []) for extra in extras)]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise FormatError(f"`dependencies` in `{path}` is not a list of texts")
    texts = [text for one in lists for text in one]
    found = requirements_of_lines(texts, base=path.parent, name=str(path), depth=depth)
    if _names_sources(document):
        found.notes.append(f"what `tool.uv` in `{path}` says of indexes and sources is left aside; `uv.lock` has it")
    return found


def _names_sources(document: dict[str, Any]) -> bool:
    tool = document.get("tool")
    uv = tool.get("uv") if isinstance(tool, dict) else None
    return isinstance(uv, dict) and bool({"sources", "index", "index-url", "extra-index-url"} & uv.keys())


def _texts(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def _read(path: Path, found: RequirementList, *, seen: tuple[Path, ...]) -> None:
    resolved = path.resolve()
    if resolved in seen or len(seen) >= _DEEPEST:
        return
    for number, line in _logical_lines(read_text_file(path)):
        _take(line, found, base=path.parent, where=f"{path}, line {number}", seen=(*seen, resolved))


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers: joined where they end in a backslash, without comments."""
    held = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = held + raw
        if line.endswith("\\") and not raw.lstrip().startswith("#"):
            held = line[:-1] + " "
            continue
        held = ""
        yield number, _COMMENT.sub("", line).strip()
    if held:
        yield text.count("\n") + 1, _COMMENT.sub("", held).strip()


def _take(line: str, found: RequirementList, *, base: Path, where: str, seen: tuple[Path, ...]) -> None:
    if not line:
        return
    if included := _INCLUDE.fullmatch(line):
        value = _unquoted(included["value"])
        if "://" in value:
            found.options.append(line)
        elif not (base / value).is_file():
            raise RequestError(
                f"there is no file `{base / value}`", reasons=(f"{where} names it",), hints=("check the path",)
            )
        else:
            _read(base / value, found, seen=seen)
    elif constraint := _CONSTRAINT.fullmatch(line):
        value = _unquoted(constraint["value"])
        found.options.append(line if "://" in value else f"-c {(base / value).resolve()}")
    elif editable := _EDITABLE.fullmatch(line):
        _take_sources(_unquoted(editable["value"]), found, where=where)
    elif line.startswith("-"):
        _take_option(line, found, base=base)
    else:
        _take_requirement(line, found, where=where)


def _unquoted(text: str) -> str:
    return text.strip().strip("\"'")


def _take_option(line: str, found: RequirementList, *, base: Path) -> None:
    if index := _INDEX.fullmatch(line):
        found.indexes.append(_VARIABLE.sub(lambda one: os.environ.get(one[1], one[0]), index["value"]))
    links = _LINKS.fullmatch(line)
    if links and "://" not in links["value"] and (base / links["value"]).is_dir():
        line = f"--find-links {(base / links['value']).resolve()}"
    found.options.append(line)


def _take_requirement(line: str, found: RequirementList, *, where: str) -> None:
    wanted = _PER_LINE.sub("", line).strip()
    try:
        requirement = Requirement(wanted)
    except InvalidRequirement as error:
        _take_place(line, wanted, found, where=where, reason=str(error).splitlines()[0])
        return
    if requirement.url and (_VCS.match(requirement.url) or requirement.url.startswith("file:")):
        _take_sources(requirement.url, found, where=where, text=line)
        return
    found.lines.append(RequirementLine(text=line, requirement=requirement))


def _take_place(line: str, wanted: str, found: RequirementList, *, where: str, reason: str) -> None:
    """A line without a package's name: an address, a path, or a mistake."""
    if wanted.startswith(("http://", "https://")):
        found.lines.append(RequirementLine(text=line, url=wanted.partition(";")[0].strip()))
    elif (
        _VCS.match(wanted)
        or "/" in wanted
        or "\\" in wanted
        or wanted.startswith(".")
        or (found.base / wanted).is_file()
    ):
        _take_sources(wanted, found, where=where, text=line)
    else:
        found.left_out.append(RequestError(f"`{wanted}` is not a requirement", reasons=(f"{where}: {reason}",)))


def _take_sources(value: str, found: RequirementList, *, where: str, text: str | None = None) -> None:
    """A package file on disk is a requirement; of a project on disk its own requirements are; of a repository none."""
    if _VCS.match(value):
        found.left_out.append(
            UnavailableError(
                f"`{value.partition('#')[0]}` is not looked at",
                reasons=(f"{where}: it comes from a repository, and would have to be built first",),
                hints=("build a wheel of it and check that",),
            )
        )
        return
    with_extras = _EXTRAS.fullmatch(value.partition(";")[0].strip())
    place = with_extras["path"] if with_extras else value.partition(";")[0].strip()
    extras = [one.strip() for one in with_extras["extras"].split(",")] if with_extras else []
    path = found.base / _as_path(place)
    if path.is_file() and path.name.endswith((".whl", *SDIST_ENDINGS)):
        # The list may be read elsewhere than where its paths start.
        full = (text or place).replace(place, str(path.resolve()), 1) if found.base != Path() else text or str(path)
        found.lines.append(RequirementLine(text=full, file=path))
        return
    if not path.is_dir():
        found.left_out.append(RequestError(f"there is no `{place}`", reasons=(where,), hints=("check the path",)))
        return
    _take_project(path, extras, found, where=where)


def _take_project(path: Path, extras: list[str], found: RequirementList, *, where: str) -> None:
    project = path / "pyproject.toml"
    try:
        if not project.is_file():
            raise UnavailableError(
                f"what `{path}` requires is only known when it is built",
                reasons=(f"{where}: it has no `pyproject.toml`",),
                hints=("build a wheel of it and check that",),
            )
        own = read_project(project, extras, depth=found.depth + 1)
    except GpuenvError as error:
        found.left_out.append(error)
        return
    found.lines += own.lines
    found.left_out += own.left_out
    found.notes += [f"`{path}` is a project on disk: only what it requires is looked at", *own.notes]


def _as_path(place: str) -> Path:
    if place.startswith("file:"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(place).path))
    return Path(place)
