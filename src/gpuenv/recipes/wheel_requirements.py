"""Requirements of a wheel (PEP 508) as conda writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from gpuenv.channels.catalog import find_project
from gpuenv.channels.destinations import Destination
from gpuenv.errors import FormatError

__all__ = ["Mapped", "conda_name", "conda_versions", "map_requirements"]

_ORDER = {">": 0, ">=": 0, "~=": 1, "==": 2, "===": 2, "!=": 3, "<": 4, "<=": 4}
_OF_NVIDIA = ("nvidia-",)
_PYTHONS = tuple(f"3.{minor}" for minor in range(8, 16))


@dataclass(slots=True, kw_only=True)
class Mapped:
    """Requirements in conda's words, and remarks on what conda has no words for. `by_python` says that they are those
    of one Python, since others have others.
    """

    depends: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    by_python: bool = False


def conda_name(name: str) -> str:
    """What a distribution is called in conda's world: as the catalog says (`torch` is `pytorch`), else as it is spelled
    here, in lower case. conda tells dots, `-` and `_` in names apart, and has packages called `ruamel.yaml` and
    `typing_extensions`. NVIDIA's own wheels keep their names, since conda packages of the same libraries have other
    files.
    """
    plain = canonicalize_name(name)
    project = find_project(plain)
    if project is None:
        return name.lower()
    if project.library or not project.listed or plain.startswith(_OF_NVIDIA):
        return plain
    return project.name if any(rule.wheel == plain for rule in project.builds) else plain


def map_requirements(
    texts: Iterable[str], destination: Destination, *, any_python: bool, pythons: Sequence[str] | None = None
) -> Mapped:
    """The requirements that hold without an extra at the destination. With `any_python` the package is for all of
    `pythons`; where a marker tells these apart, it becomes one for the destination's Python alone.
    """
    mapped = Mapped()
    wanted = [_parsed(text) for text in texts]
    if any_python and any(_varies(one, destination, pythons or _PYTHONS) for one in wanted):
        mapped.by_python = True
        mapped.notes.append(
            f"its requirements depend on the Python, so the package is for Python {destination.python} alone"
        )
    merged: dict[str, _Merged] = {}
    for one in wanted:
        if one.marker is None or one.marker.evaluate({**destination.marker_environment, "extra": ""}):
            _take(one, mapped, merged)
        elif "extra" not in str(one.marker) and _holds_elsewhere(one, destination):
            mapped.notes.append(f"left out, since it is for other systems: `{one}`")
    mapped.depends = [f"{one.name} {','.join(dict.fromkeys(one.versions))}".strip() for one in merged.values()]
    return mapped


def _parsed(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        reasons = (str(error)[:200],)
        raise FormatError(f"the wheel has a requirement that is none: `{text[:200]}`", reasons=reasons) from error


def _varies(one: Requirement, destination: Destination, pythons: Sequence[str]) -> bool:
    """Whether a requirement holds for some of the Pythons and not for others."""
    if one.marker is None:
        return False
    places = (replace(destination, python=python) for python in pythons)
    return len({one.marker.evaluate({**place.marker_environment, "extra": ""}) for place in places}) > 1


def _holds_elsewhere(one: Requirement, destination: Destination) -> bool:
    assert one.marker
    others = ("linux-x86_64", "windows-x86_64", "macos-aarch64")
    return any(
        one.marker.evaluate({**Destination(platform=other, python=destination.python).marker_environment, "extra": ""})
        for other in others
        if other != destination.platform
    )


@dataclass(frozen=True, slots=True)
class _Merged:
    """All that is required of one package. `name` is the first spelling that occurs."""

    name: str
    versions: list[str] = field(default_factory=list)


def _take(one: Requirement, mapped: Mapped, merged: dict[str, _Merged]) -> None:
    name = conda_name(one.name)
    if canonicalize_name(name) != canonicalize_name(one.name):
        mapped.notes.append(f"`{one.name}` is the conda package `{name}`")
    if one.extras:
        extras = ",".join(sorted(one.extras))
        mapped.notes.append(f"conda has no extras: `{one.name}[{extras}]` became `{name}`")
    if one.url:
        mapped.notes.append(f"conda packages name no addresses: `{one.name}` is required in any version")
    same = merged.setdefault(canonicalize_name(name), _Merged(name))
    same.versions.extend([conda_versions(one.specifier)] if one.specifier else [])


def conda_versions(specifier: SpecifierSet) -> str:
    """Bounds (PEP 440) as a version of a MatchSpec: `>=1.20,<2`; `~=1.4.2` is `>=1.4.2,1.4.*`."""
    clauses = sorted(specifier, key=lambda one: (_ORDER.get(one.operator, 9), Version(_plain(one))))
    return ",".join(part for clause in clauses for part in _clause(clause))


def _plain(one: Specifier) -> str:
    try:
        return str(Version(one.version.removesuffix(".*")))
    except ValueError:
        return "0"


def _clause(one: Specifier) -> Sequence[str]:
    if one.operator == "~=":
        series = one.version.rpartition(".")[0]
        return (f">={one.version}", f"{series}.*")
    if one.operator == "==" and one.version.endswith(".*"):
        return (one.version,)
    return (f"{'==' if one.operator == '===' else one.operator}{one.version}",)
