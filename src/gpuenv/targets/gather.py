"""From the words of a user to readings: one group for each word, whose artifacts belong together or do not."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from gpuenv.artifacts.distributions import Distribution
from gpuenv.artifacts.installed import find_distributions, is_environment, read_environment
from gpuenv.channels.uv import find_uv
from gpuenv.errors import GpuenvError, RequestError, UnavailableError
from gpuenv.model import ArtifactKind, Machine
from gpuenv.targets.expand import expand
from gpuenv.targets.look import as_seen_from, look_into_file
from gpuenv.targets.means import Looked, Means
from gpuenv.targets.wanted import WantedFile, kind_of_name
from gpuenv.targets.words import Directory, LockFile, OnIndex, RequirementsFile, parse_target

__all__ = ["Group", "gather", "look_into_each"]

_NAMED_INSTEAD = (
    *("uv.lock", "pylock.toml", "pixi.lock", "conda-lock.yml"),
    *("requirements.txt", "pyproject.toml", "environment.yml"),
)
_MOST_NAMED = 4
_PINNED = re.compile(r"([\w.-]+?)\s*[=<>!~\[;@ ]", re.ASCII)
_LOGIN = re.compile(r"(?<=://)[^/\s]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one word stands for; `target` is the word, without a login that stood in it. `together` says that the
    artifacts are to be in one environment.
    """

    target: str
    looked: tuple[Looked, ...] = ()
    together: bool = False
    problems: tuple[GpuenvError, ...] = ()
    notes: tuple[str, ...] = ()


def gather(
    words: Sequence[str],
    means: Means,
    *,
    machine: Machine | None = None,
    prefix: Path | None = None,
    platform: str | None = None,
    python: str | None = None,
) -> tuple[Group, ...]:
    """The readings behind each word, for `machine` or for `platform`, in their order. Nothing is raised for a word.

    With `prefix` the words are names of packages in that environment, all of them without words; RequestError or
    UnavailableError where there is no environment.
    """
    if prefix is not None:
        try:
            return (_in_environment(prefix, means, names=tuple(words)),)
        except RequestError as error:
            hints = error.hints or ("`gpuenv list` lists the environments that have a name",)
            raise RequestError(error.message, reasons=error.reasons, hints=hints) from error

    def one(word: str) -> Group:
        try:
            return _gather_one(word, means, machine=machine, platform=platform, python=python)
        except GpuenvError as error:
            return Group(target=_without_login(word), problems=(error,))

    # A single word is looked up here, so that an interruption ends the `uv` that does it.
    if len(words) == 1:
        return (one(words[0]),)
    # Python's `sysconfig`, which finding uv needs, is not safe to be used first by several threads at once.
    find_uv()
    return tuple(means.each(one, words))


def _gather_one(word: str, means: Means, *, machine: Machine | None, platform: str | None, python: str | None) -> Group:
    target = parse_target(word, from_channels=bool(means.channels.words))
    if isinstance(target, Directory):
        return _in_directory(target.path, word, means)
    shown = _without_login(word)
    means.report.step(f"looking for {shown}")
    expansion = expand(
        target, machine=machine, python=python, platform=platform, offline=means.offline, channels=means.channels
    )
    looked, problems = look_into_each(expansion.files, means)
    return Group(
        target=shown,
        looked=looked,
        # A name with extras stands for the package and what they add.
        together=isinstance(target, RequirementsFile | LockFile | OnIndex),
        problems=(*expansion.problems, *problems),
        notes=expansion.notes,
    )


def _without_login(word: str) -> str:
    """As typed, which may be an address within a requirement, but for user name and password."""
    return _LOGIN.sub("", word)


def look_into_each(files: Sequence[WantedFile], means: Means) -> tuple[tuple[Looked, ...], tuple[GpuenvError, ...]]:
    """What is in each of the files, several at once, and what could not be looked into. A file that broke off is among
    both.
    """

    def one(file: WantedFile) -> Looked | GpuenvError:
        # Of two files one may be listed under the hash of the other.
        key = f"{file.sha256} {file.path or file.url}"
        with means.alone_with(key):
            known = means.known.get(key)
            if known is not None:
                return as_seen_from(file, known)
            try:
                looked = means.known[key] = look_into_file(file, means)
            except GpuenvError as error:
                return error
            return looked

    found = means.each(one, files)
    looked = tuple(one for one in found if isinstance(one, Looked))
    failed = tuple(one for one in found if isinstance(one, GpuenvError))
    return looked, (*failed, *(_broken_off(one) for one in looked if not one.reading.complete))


def _broken_off(looked: Looked) -> UnavailableError:
    reading = looked.reading
    return UnavailableError(
        f"`{reading.artifact.filename or reading.artifact.name}` was read in part only",
        reasons=reading.problems[-1:],
        hints=("try again: what was read is kept, and the rest is read then",),
    )


def _in_directory(place: Path, word: str, means: Means) -> Group:
    """An environment; or a directory of packages, such as `dist`, each for itself."""
    try:
        if is_environment(place):
            return _in_environment(place, means, target=word)
        files = tuple(
            WantedFile(name=path.name, filename=path.name, kind=kind_of_name(path.name), path=path)
            for path in sorted(place.iterdir())
            if path.is_file() and kind_of_name(path.name) in {ArtifactKind.WHEEL, ArtifactKind.CONDA}
        )
    except OSError as error:
        raise UnavailableError(f"cannot read `{place}`", reasons=(error.strerror or str(error),)) from error
    if not files:
        _refuse_directory(place)
    looked, problems = look_into_each(files, means)
    return Group(target=word, looked=looked, problems=problems)


def _refuse_directory(place: Path) -> None:
    """RequestError for a directory that is no environment, with what in it can be named instead."""
    try:
        find_distributions(place)
    except RequestError as error:
        inside = [one for one in _NAMED_INSTEAD if (place / one).is_file()]
        inside += [one.name for one in sorted(place.iterdir()) if (one / "pyvenv.cfg").is_file()]
        dist = place / "dist"
        inside += ["dist"] if dist.is_dir() and any(dist.glob("*.whl")) else []
        if not inside:
            raise
        told = tuple(f"name what is in it: `{place / one}`" for one in inside[:_MOST_NAMED])
        raise RequestError(
            f"`{place}` is neither an environment nor a directory of packages", reasons=error.reasons, hints=told
        ) from error


def _in_environment(prefix: Path, means: Means, *, names: tuple[str, ...] = (), target: str = "") -> Group:
    means.report.step(f"reading the packages in {prefix}")
    known = means.environments.get(prefix)
    if known is None:
        environment = find_distributions(prefix)
        readings = read_environment(environment.distributions, cache=means.cache)
        known = means.environments[prefix] = (environment, readings)
    environment, readings = known
    chosen, problems = _named(names, environment.distributions)
    looked = tuple(
        Looked(reading=reading)
        for one, reading in zip(environment.distributions, readings, strict=True)
        if chosen is None or one.key in chosen
    )
    return Group(
        target=target or str(prefix), looked=looked, together=True, problems=problems, notes=environment.problems
    )


def _named(
    names: tuple[str, ...], distributions: Sequence[Distribution]
) -> tuple[set[str] | None, tuple[GpuenvError, ...]]:
    if not names:
        return None, ()
    there = {canonicalize_name(one.key): one.key for one in distributions}
    wanted = {name: canonicalize_name(name) for name in names}
    problems = tuple(_not_installed(name, list(there)) for name, key in wanted.items() if key not in there)
    return {there[key] for key in wanted.values() if key in there}, problems


def _not_installed(name: str, there: list[str]) -> RequestError:
    if found := _PINNED.match(name):
        return RequestError(
            f"`{name}` is no name of an installed package",
            hints=(f"name it without a version: `{found[1]}`",),
        )
    near = difflib.get_close_matches(canonicalize_name(name), there, n=2)
    hints = (f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()
    return RequestError(f"`{name}` is not installed in the environment", hints=hints)
