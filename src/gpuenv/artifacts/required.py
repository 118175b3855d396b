"""Requirements as packages write them: of Python packages (PEP 508) with markers decided for a platform, of conda
packages (MatchSpecs).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from packaging.markers import InvalidMarker, Marker, UndefinedEnvironmentName
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion

from gpuenv.errors import FormatError

__all__ = [
    "EXTRA",
    "Required",
    "is_conditional",
    "marker_environment",
    "marker_holds",
    "parse_match_spec",
    "parse_requirement",
]

_SYSTEMS = {
    "linux": ("Linux", "linux", "posix"),
    "windows": ("Windows", "win32", "nt"),
    "macos": ("Darwin", "darwin", "posix"),
}
# A big plan looks at some ten thousand.
_MOST_KEPT = 1 << 16
# A list of all platforms in a marker comes to a few thousand.
_MOST_CHARACTERS = 10_000
# Spaces are matched without a way back: two stretches of them side by side would be tried in every division.
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*+(?:\[(?P<extras>[^\]]*)\]\s*+)?\(?(?P<rest>[^()]*)\)?")
_WITH_ADDRESS = re.compile(r"\s*+([A-Za-z0-9._-]++\s*+(?:\[[^\]]*\]\s*+)?)@")
# Only an `or` in parentheses may stand before the last `and`, which binds more tightly.
_LAST_EXTRA = re.compile(r"""(?:(?P<before>\([^()]*\)|(?:(?! or )[^()])*) and )?extra == ["'](?P<extra>[^"']+)["']""")
EXTRA = re.compile(r"""extra == ["']([^"']+)["']""")
_MATCH_SPEC = re.compile(r"(?:[^\s\[\]]*::)?(?P<name>[\w.-]+)\s*(?P<version>[^\s\[\]]*)")
_CONDITION = re.compile(r"\[.*\bwhen\s*=", re.DOTALL)
_CLAUSE = re.compile(r"(?P<operator>>=|<=|==|!=|~=|>|<|=|)(?P<version>\d[\w.!+-]*?)(?P<star>\.?\*)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Required:
    """One requirement of a release. Thousands are looked at for a plan, so only what is needed is parsed."""

    name: str
    extras: tuple[str, ...]
    specifier: SpecifierSet
    marker: str


@lru_cache(maxsize=_MOST_KEPT)
def parse_requirement(text: str) -> Required:
    """The requirement that `text` (PEP 508) is; FormatError when it is none."""
    if len(text) > _MOST_CHARACTERS:
        raise FormatError(f"`{text[:40]}…` is not a requirement", reasons=(f"it has {len(text)} characters",))
    wanted, _, marker = text.partition(";")
    url = _WITH_ADDRESS.match(wanted)
    found = _REQUIREMENT.fullmatch((url[1] if url else wanted).strip())
    if found is None:
        raise FormatError(f"`{text}` is not a requirement")
    extras = tuple(extra.strip() for extra in (found["extras"] or "").split(",") if extra.strip())
    try:
        specifier = SpecifierSet(found["rest"])
    except InvalidSpecifier as error:
        raise FormatError(f"`{text}` is not a requirement", reasons=(str(error),)) from error
    return Required(name=found["name"], extras=extras, specifier=specifier, marker=marker.strip())


@lru_cache(maxsize=_MOST_KEPT)
def marker_holds(marker: str, platform: str, python: str, extras: frozenset[str]) -> bool:
    """Whether a marker holds. Most end in `and extra == "…"`; what stands before it is the same for many of them.

    FormatError for what is no marker.
    """
    last = _LAST_EXTRA.fullmatch(marker)
    if last and "extra" not in (before := last["before"] or ""):
        return last["extra"] in extras and (not before or marker_holds(before, platform, python, frozenset()))
    environment = marker_environment(platform, python)
    named = extras.intersection(EXTRA.findall(marker))
    try:
        parsed = Marker(marker)
        return any(parsed.evaluate({**environment, "extra": extra}) for extra in named or ("",))
    except (InvalidMarker, InvalidVersion, InvalidSpecifier, UndefinedEnvironmentName, RecursionError) as error:
        raise FormatError(f"`{marker[:200]}` is not a marker", reasons=(str(error),)) from error


@lru_cache(maxsize=_MOST_KEPT)
def marker_environment(platform: str, python: str) -> dict[str, str]:
    """What markers are decided by (PEP 508), for CPython of the version `python` (3.11) on a platform."""
    system, _, arch = platform.partition("-")
    platform_system, sys_platform, os_name = _SYSTEMS[system]
    return {
        "platform_system": platform_system,
        "sys_platform": sys_platform,
        "os_name": os_name,
        "platform_machine": {("windows", "x86_64"): "AMD64", ("macos", "aarch64"): "arm64"}.get((system, arch), arch),
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


def is_conditional(text: str) -> bool:
    """Whether a MatchSpec is one under a condition (`when`, CEP 43), which is not asked of every machine."""
    return "when" in text and _CONDITION.search(text) is not None


def parse_match_spec(text: str) -> Required:
    """The name and version bounds of a conda MatchSpec (`libcublas >=12.6,<13.0a0`); its build, channel and what
    stands in brackets are left out, and alternatives (`|`) bound nothing. FormatError when it names no package.
    """
    found = _MATCH_SPEC.match(text.strip())
    if found is None:
        raise FormatError(f"`{text}` is not a MatchSpec")
    name, version = found["name"], found["version"]
    # `cudatoolkit=11.8=h37601d7_10` is written without spaces.
    if (version.startswith("=") and not version.startswith("==")) or "=" in version.lstrip("<>=!~"):
        version = "=" + version.lstrip("=").partition("=")[0] if version.startswith("=") else version
    return Required(name=name.lower(), extras=(), specifier=_conda_bounds(version.split("|")), marker="")


def _conda_bounds(alternatives: Iterable[str]) -> SpecifierSet:
    parts = list(alternatives)
    clauses = [_clause(part) for part in parts[0].split(",")] if len(parts) == 1 else []
    try:
        return SpecifierSet(",".join(filter(None, clauses)))
    except InvalidSpecifier:
        return SpecifierSet()


def _clause(text: str) -> str:
    found = _CLAUSE.fullmatch(text.strip())
    if found is None:
        return ""
    operator, version = found["operator"], found["version"].rstrip(".")
    if operator in {"", "="} and (found["star"] or operator):
        return f"=={version}.*"
    return f"{operator or '=='}{version}" + (".*" if found["star"] and operator in {"==", "!="} else "")
