"""Requirements in pip's words, turned into specs, wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from gpuenv.channels.index_files import name_in_url
from gpuenv.errors import FormatError
from gpuenv.targets.requirement_lines import RequirementLine, RequirementList

__all__ = ["notes_of_list", "specs_of_list"]

_INDEX = re.compile(r"-i\b|--index-url|--extra-index-url")
_CONSTRAINT = re.compile(r"-c\b|--constraint")
_HASH = re.compile(r"\s--hash[= ]")


def specs_of_list(found: RequirementList) -> tuple[str, ...]:
    """The requirements that an index or an address answers, each once, in the order in which they stand."""
    return tuple(dict.fromkeys(spec for line in found.lines if (spec := _spec(line)) is not None))


def _spec(line: RequirementLine) -> str | None:
    requirement = line.requirement
    if requirement is not None:
        return str(requirement) if requirement.url is None or _wheel_name(requirement.url) else None
    name = _wheel_name(line.url) if line.url else None
    return f"{name} @ {line.url}" if name else None


def _wheel_name(url: str) -> str | None:
    """The project of a wheel at an address, since only wheels are installed from addresses."""
    try:
        return str(parse_wheel_filename(name_in_url(url))[0])
    except (InvalidWheelFilename, FormatError):
        return None


def notes_of_list(found: RequirementList) -> tuple[str, ...]:
    """What of a list is no spec, and stays behind."""
    return tuple(dict.fromkeys((*_of_lines(found.lines), *_of_options(found.options), *_of_problems(found))))


def _of_lines(lines: Iterable[RequirementLine]) -> Iterator[str]:
    for line in lines:
        if _spec(line) is None:
            what = line.file or line.url or (line.requirement.url if line.requirement else None) or line.text
            yield f"`{_shown(line.requirement, str(what))}` is not carried over: it is no wheel on an index"
    if any(_HASH.search(line.text) for line in lines):
        yield "the hashes are not carried over: the files are chosen anew, with hashes of their own"


def _shown(requirement: Requirement | None, place: str) -> str:
    return f"{requirement.name} @ {place}" if requirement else place


def _of_options(options: Iterable[str]) -> Iterator[str]:
    for option in options:
        if _INDEX.match(option):
            yield "the index that it names is not carried over: name it in `UV_DEFAULT_INDEX` or `UV_INDEX`"
        elif _CONSTRAINT.match(option):
            yield f"the constraints `{option}` are not carried over: add those that matter as packages"
        else:
            yield f"the option `{option[:100]}` is not carried over"


def _of_problems(found: RequirementList) -> Iterator[str]:
    for problem in found.left_out:
        yield "; ".join((f"not carried over: {problem.message}", *problem.reasons))
    yield from found.notes
