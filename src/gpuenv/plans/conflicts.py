"""What `uv` says of requirements that exclude each other, in words of our own; its text stays for `--verbose`.

uv (0.13) derives a conflict step by step: `Because A==1 depends on B<2 and you require B>=2, we can conclude that ...`.
What stands before `we can conclude` are facts, what follows are conclusions, which are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from gpuenv.errors import NoPlanError
from gpuenv.plans.wording import listed

__all__ = ["in_own_words", "is_of_uv", "naming_what_conda_brings"]

_UVS = "`uv` finds no set of packages that fits together"
_MOST_REASONS = 6

_SPEC = r"(?:[=!<>~]{1,3}[\w.*+!]+,?){0,9}"


def _package(group: str) -> str:
    """A pattern for a package with extras and versions, as uv writes it."""
    return rf"(?P<{group}>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?(?P<{group}_spec>{_SPEC})"


_DEPENDS = re.compile(rf"(?<![\w.-]){_package('who')} depends? on {_package('what')}", re.ASCII)
_MARKER = re.compile(r"\{[^{}]*\}")
_SEVERAL = "all of: "
_ITS_NEED = re.compile(rf" ?depend on {_package('what')}", re.ASCII)
_WORD = re.compile(rf"{_package('who')}\Z", re.ASCII)
_FACTS = re.compile(r"(?:Because|And because|and because) (.*?)(?:,? we can conclude that|$)", re.DOTALL)
_REQUIRED = re.compile(r"you require (.+?)(?= and (?:all of|[\w.-]+\S* (?:depends?|has|have))|$)", re.DOTALL)
_NO_WHEELS = re.compile(
    rf"(?:all versions of )?{_package('who')} (?:has|have) no (?:usable wheels|wheels with a matching)", re.ASCII
)
_LIMITED = re.compile(rf"only {_package('who')} (?:is|are) available", re.ASCII)
_NO_VERSION = re.compile(rf"there (?:is|are) no versions? of {_package('who')}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Dependency:
    """`who` in some versions needs `what`, in uv's notation."""

    who: str
    who_spec: str
    what: str
    what_spec: str


def is_of_uv(conflict: NoPlanError) -> bool:
    """Whether an error is a conflict that uv found."""
    return conflict.message == _UVS


def in_own_words(conflict: NoPlanError, typed: Mapping[str, str], *, place: str) -> NoPlanError:
    """The error with the conflict in a sentence, and who needs what; the error itself where uv said something else.

    `typed` has what the user typed by the canonical name of the distribution; `place` is what wheels were wanted for.
    """
    said = _MARKER.sub("", " ".join(" ".join(conflict.reasons).split()))
    facts = [found[1] for found in _FACTS.finditer(said.partition(" hint: ")[0])]
    required = list(dict.fromkeys(name for fact in facts for name in _required(fact)))
    if not is_of_uv(conflict) or not facts or not required:
        return conflict
    needs = [one for fact in facts for one in _dependencies(fact)]
    asked = [f"`{typed.get(name, name)}`" for name in required]
    without_wheels = {canonicalize_name(found["who"]) for fact in facts for found in _NO_WHEELS.finditer(fact)}
    # What is there in some releases only, as a package that conda brings, excludes those that need others.
    ends = {*required, *without_wheels, *_limited(said)}
    met = [one for one in needs if canonicalize_name(one.what) in ends or _is_asked_by_several(one, needs)]
    without = ends - {canonicalize_name(one.who) for one in met}
    reasons = (*_told(met), *dict.fromkeys(_not_there(facts, without, place)))
    if not reasons:
        return conflict
    message = f"nothing satisfies {asked[0]}" if len(asked) == 1 else f"{listed(asked)} do not fit together"
    return NoPlanError(
        message,
        reasons=reasons[:_MOST_REASONS],
        hints=(*conflict.hints, "leave one out, or loosen its bounds") if len(asked) > 1 else conflict.hints,
        details="\n".join((*conflict.reasons, conflict.details)).strip(),
    )


@contextmanager
def naming_what_conda_brings(provided: Mapping[str, str]) -> Iterator[None]:
    """Inside, a conflict of `uv`'s gets a hint on each distribution that conda packages bring in another version than
    is needed. `provided` has their versions by canonical name.
    """
    try:
        yield
    except NoPlanError as conflict:
        limited = _limited(" ".join(" ".join(conflict.reasons).split())) if is_of_uv(conflict) else set()
        hints = tuple(
            f"conda packages bring {name} {version}: leave it to the wheels, or take it from channels that are newer"
            for name, version in provided.items()
            if name in limited
        )
        if not hints:
            raise
        raise NoPlanError(
            conflict.message, reasons=conflict.reasons, hints=(*conflict.hints, *hints), details=conflict.details
        ) from conflict


def _limited(said: str) -> set[str]:
    """The distributions of which uv knows some releases only."""
    return {canonicalize_name(found["who"]) for found in _LIMITED.finditer(said)}


def _required(fact: str) -> Iterator[str]:
    """The names of what the user requires, as far as a fact tells."""
    for found in _REQUIRED.finditer(fact):
        for text in found[1].split(" and "):
            try:
                yield canonicalize_name(Requirement(text.strip(" ,")).name)
            except InvalidRequirement:
                continue


def _dependencies(fact: str) -> Iterator[_Dependency]:
    for found in _DEPENDS.finditer(fact):
        yield _Dependency(found["who"], found["who_spec"], found["what"], found["what_spec"])
    for part in fact.split(_SEVERAL)[1:]:
        need = _ITS_NEED.search(part)
        for text in part[: need.start()].split() if need else ():
            if need and (one := _WORD.match(text)):
                yield _Dependency(one["who"], one["who_spec"], need["what"], need["what_spec"])


def _is_asked_by_several(one: _Dependency, needs: list[_Dependency]) -> bool:
    """Whether another package than `who` needs the same, too: then the two may exclude each other."""
    return any(other.what == one.what and other.who != one.who for other in needs)


def _told(needs: list[_Dependency]) -> Iterator[str]:
    """Who needs what: the oldest and the newest releases of one package where they differ."""
    pairs: dict[tuple[str, str], list[_Dependency]] = {}
    for one in needs:
        pairs.setdefault((one.who, one.what), []).append(one)
    for group in pairs.values():
        ordered = sorted(group, key=lambda one: _lowest(one.who_spec))
        for one in dict.fromkeys((ordered[0], ordered[-1])):
            wanted = one.what_spec.rstrip(",").removeprefix("==") or "in any release"
            yield f"{one.who}{_versions(one.who_spec)} needs {one.what} {wanted}"


def _lowest(spec: str) -> Version:
    found = re.search(r"[\d][\w.!+]*", spec)
    try:
        return Version(found[0]) if found else Version("0")
    except InvalidVersion:
        return Version("0")


def _versions(spec: str) -> str:
    """`>=1.15.0rc1,<=1.15.3` as ` 1.15.0 to 1.15.3`. uv begins a range with the first prerelease that could be."""
    parts = dict(re.findall(r"(==|>=|<=|<|>)([\w.*+!]+)", spec))
    low, high = parts.get(">="), parts.get("<=")
    if "==" in parts:
        return f" {parts['==']}"
    if low and high:
        return f" {Version(low).base_version} to {high}"
    if low:
        return f" from {Version(low).base_version} on"
    return f" up to {high}" if high else f" {spec}".rstrip(" ,")


def _not_there(facts: list[str], names: set[str], place: str) -> Iterator[str]:
    """What of these has no wheel there, or no release at all."""
    for fact in facts:
        for found in _NO_WHEELS.finditer(fact):
            if canonicalize_name(found["who"]) in names:
                yield f"{found['who']}{_versions(found['who_spec'])} has no wheel for {place}, only sources or others"
        for found in _NO_VERSION.finditer(fact):
            if canonicalize_name(found["who"]) in names:
                yield f"there is no {found['who']} {found['who_spec']}".rstrip()
