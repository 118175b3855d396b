"""What a conda package says of itself in `info/index.json`, and what its requirements say about Python and glibc."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from gpuenv.artifacts.wheel_names import NEWEST_PYTHON_MINOR
from gpuenv.errors import FormatError
from gpuenv.model import Artifact
from gpuenv.versions import LibcVersion

__all__ = [
    "CONDA_ENDINGS",
    "CondaIndex",
    "describe_artifact",
    "glibc_of",
    "parse_index",
    "platforms_of",
    "pythons_of",
    "split_dist",
    "subdir_of",
]

CONDA_ENDINGS = (".conda", ".tar.bz2")
"""How the names of conda packages end."""

_SYSTEMS = {"linux": "linux", "win": "windows", "osx": "macos"}
_PROCESSORS = {"64": "x86_64", "32": "i686", "arm64": "aarch64"}
_NAMES_ELSEWHERE = {long: short for short, long in _PROCESSORS.items()}
_NAMES_ON_LINUX = _NAMES_ELSEWHERE | {"aarch64": "aarch64"}
_NAME = re.compile(r"[\w.-]{1,256}", re.ASCII)
_VERSION = re.compile(r"[\w.+!~-]{0,256}", re.ASCII)
_MOST_REQUIREMENTS = 10_000
_MOST_REQUIREMENT_CHARACTERS = 1000
_OLDER_PYTHONS = ((2, 6), (2, 7), *((3, minor) for minor in range(6)))
_PYTHONS = tuple((3, minor) for minor in range(6, NEWEST_PYTHON_MINOR + 1))
# Asked for to tell whether there is an upper bound; without one, those count that exist.
_FAR_AHEAD = tuple((3, minor) for minor in range(NEWEST_PYTHON_MINOR + 1, 100))
_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<|=)?\s*(\d{1,6}(?:\.\d{1,6})*)(.*)", re.ASCII)


class CondaIndex(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of `index.json` that matter here (conda's package metadata, CEP 34); old packages lack some.

    `platform` and `arch` are what packages said before `subdir`.
    """

    name: str
    version: str
    build: str = ""
    subdir: str | None = None
    platform: str | None = None
    arch: str | None = None
    noarch: str | bool | None = None
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()

    @property
    def dist(self) -> str:
        """The name of its file without the ending."""
        return f"{self.name}-{self.version}-{self.build}"


def parse_index(content: bytes) -> CondaIndex:
    """The index that `content` is; FormatError when it is not JSON of that shape or its names are no names."""
    try:
        index = msgspec.json.decode(content, type=CondaIndex)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise FormatError("its `info/index.json` is broken", reasons=(str(error),)) from error
    if not _NAME.fullmatch(index.name) or not all(map(_VERSION.fullmatch, (index.version, index.build))):
        raise FormatError("its `info/index.json` names no package, version and build")
    if not index.version:
        raise FormatError("its `info/index.json` has no version")
    texts = (*index.depends, *index.constrains)
    longest = max(map(len, texts), default=0)
    if (
        len(texts) > _MOST_REQUIREMENTS
        or longest > _MOST_REQUIREMENT_CHARACTERS
        or not all(map(str.isprintable, texts))
    ):
        raise FormatError("its `info/index.json` has requirements beyond reason")
    if index.subdir is not None and not _NAME.fullmatch(index.subdir):
        raise FormatError("its `info/index.json` names no platform")
    return index


def split_dist(dist: str) -> tuple[str, str, str] | None:
    """Name, version and build of `name-version-build`, None when it is not made like that."""
    parts = dist.rsplit("-", 2)
    if len(parts) != 3 or not all(parts) or not _NAME.fullmatch(parts[0]) or not all(map(_VERSION.fullmatch, parts)):
        return None
    return parts[0], parts[1], parts[2]


def describe_artifact(artifact: Artifact, index: CondaIndex) -> Artifact:
    """The artifact with what its index says; what was known before stays where the index says nothing."""
    return msgspec.structs.replace(
        artifact,
        name=index.name,
        version=index.version,
        build=index.build or artifact.build,
        platforms=platforms_of(subdir) if (subdir := _subdir(index)) else artifact.platforms,
        pythons=pythons_of(index.depends),
        glibc=glibc_of(index.depends),
    )


def _subdir(index: CondaIndex) -> str | None:
    # A package for any Python may be for one platform (CEP 20).
    if index.subdir or index.noarch:
        return index.subdir or "noarch"
    if not index.platform:
        return None
    bits = {"x86_64": "64", "x86": "32"}.get(index.arch or "", index.arch or "")
    return f"{index.platform}-{bits}"


def platforms_of(subdir: str) -> tuple[str, ...]:
    """The platform of a channel's directory: `linux-x86_64` for `linux-64`; empty for `noarch`, which runs anywhere."""
    if subdir == "noarch":
        return ()
    system, _, processor = subdir.partition("-")
    return (f"{_SYSTEMS.get(system, system)}-{_PROCESSORS.get(processor, processor)}",)


def subdir_of(platform: str) -> str:
    """The directory of a channel that is for a platform: `linux-64` for `linux-x86_64`, `osx-arm64` for
    `macos-aarch64`.
    """
    system, _, processor = platform.partition("-")
    names = _NAMES_ON_LINUX if system == "linux" else _NAMES_ELSEWHERE
    short = next((short for short, long in _SYSTEMS.items() if long == system), system)
    return f"{short}-{names.get(processor, processor)}"


def glibc_of(requirements: Iterable[str]) -> LibcVersion | None:
    """The oldest GNU C library that satisfies the requirements on `__glibc`, None without a lower bound."""
    floors = []
    for constraint in _constraints(requirements, {"__glibc"}):
        floors += re.findall(r">=?(\d{1,2}\.\d{1,3})(?!\d)", constraint)
    return max(map(LibcVersion.parse, floors), default=None)


def pythons_of(requirements: Iterable[str]) -> tuple[str, ...] | None:
    """The Python versions (`3.11`) that satisfy `python` and `python_abi`; None when any Python 3 does.

    Bounds within a minor version count for all of it: of Python 3.11 some patch release will do.
    """
    wanted = tuple(_constraints(requirements, {"python", "python_abi"}))

    def allowed(pythons: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        return [python for python in pythons if all(_allows(constraint, python) for constraint in wanted)]

    known, ahead = allowed(_PYTHONS), allowed(_FAR_AHEAD)
    if len(known) == len(_PYTHONS):
        return None
    has_no_end = len(ahead) == len(_FAR_AHEAD)
    found = [*allowed(_OLDER_PYTHONS), *known, *(() if has_no_end else ahead)]
    return tuple(f"{major}.{minor}" for major, minor in found) or None


def _constraints(requirements: Iterable[str], names: set[str]) -> Iterator[str]:
    """The version part of the MatchSpecs (CEP 29) for these names: `python 3.11.*` and `python >=3.9,<3.12` alike."""
    for requirement in requirements:
        found = re.match(r"\s*(?:[\w./-]+::)?([\w.-]+)\s*(.*)", requirement, re.ASCII)
        if found and found[1].lower() in names:
            bracketed = re.search(r"\[.*?\bversion=['\"]?([^'\"\]]+)", found[2])
            version = " ".join((bracketed[1] if bracketed else re.split(r"[\[#;]", found[2])[0]).split())
            # A space after a comma or an operator still belongs to the version; after it comes the build.
            yield re.sub(r" ?([,|]) ?|(?<=[<>=!~]) ", r"\1", version).split(" ")[0]


def _allows(constraint: str, python: tuple[int, int]) -> bool:
    """Whether some release of this minor version is allowed: `|` separates choices of clauses that `,` joins."""
    choices = constraint.replace("(", "").replace(")", "").split("|")
    return any(all(_clause_allows(clause, python) for clause in choice.split(",")) for choice in choices)


def _clause_allows(clause: str, python: tuple[int, int]) -> bool:
    found = _CLAUSE.fullmatch(clause.strip())
    if not found:
        return True
    operator, rest = found[1] or "", found[3]
    numbers = tuple(map(int, found[2].split(".")))
    bound = (*numbers, 0)[:2]
    if operator in {"", "="}:
        return python[: len(numbers)] == numbers[:2]
    if operator == "==":
        return python == bound
    if operator == "!=":
        return not (python == bound and rest in {"*", ".*"} and len(numbers) == 2)
    if operator == "~=":
        return python == bound if len(numbers) > 2 else bound <= python < (bound[0] + 1, 0)
    if operator in {">", ">="}:
        return python >= bound
    # Below 3.12.0a0 or 3.12 is none of 3.12; below 3.12.4 are some.
    is_exclusive = operator == "<" and not any(numbers[2:])
    return python < bound if is_exclusive else python <= bound
