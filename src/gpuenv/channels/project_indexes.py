"""Builds from projects' own indexes, for a plan: asked for all at once, within a time limit, and never failing.

answer = with_project_indexes(projects, "linux-x86_64", "3.11", machines=(machine,))
answer.builds["pytorch"], answer.answered, answer.silent
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from gpuenv import settings
from gpuenv.artifacts.cuda_lines import line_in_name
from gpuenv.artifacts.wheel_names import admitted_pythons
from gpuenv.channels.catalog.builds import Build
from gpuenv.channels.catalog.projects import Project, find_project
from gpuenv.channels.project_index_answers import Answers
from gpuenv.channels.project_index_builds import Place, has_cuda_on_pypi, index_build
from gpuenv.channels.project_index_cache import IndexCache, KeptPage, KeptRequirements
from gpuenv.channels.project_index_pages import Page, members_of, pages_of
from gpuenv.channels.project_index_releases import CPU, IndexedRelease, releases_on, worth_reading
from gpuenv.channels.project_index_variants import NOT_LOCKABLE, described, list_addresses
from gpuenv.errors import FormatError
from gpuenv.model import IndexPolicy, Machine, Reporter, Silence

__all__ = ["IndexAnswer", "with_project_indexes"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexAnswer:
    """What projects' own indexes have. `builds` are those by project; `asked` and `answered` are lines of indexes
    (`pytorch/cu126`), whether the answer came from the network or was kept. `silent` says why an index did not answer,
    or a line where others of the index did. `incomplete` counts releases that had to be left out, since what they
    require was not told in time.
    """

    builds: dict[str, tuple[Build, ...]] = field(default_factory=dict)
    asked: tuple[str, ...] = ()
    answered: tuple[str, ...] = ()
    silent: dict[str, str] = field(default_factory=dict)
    incomplete: int = 0


def with_project_indexes(
    projects: Iterable[Project],
    platform: str,
    python: str,
    *,
    policy: IndexPolicy = IndexPolicy.ALL,
    offline: bool = False,
    machines: Sequence[Machine] = (),
    wanted: Mapping[str, str] = _NOTHING,
    report: Reporter | None = None,
) -> IndexAnswer:
    """What the own indexes of `projects` have for a platform and Python. Never raises for the world's fault.

    Lines of a CUDA that a rule refuses on one of `machines` are not asked. `wanted` are PEP 440 specifiers by project,
    so that older releases are looked at where they are asked for. With `offline` only what was kept counts, however
    old it is. The whole takes at most `settings.PROJECT_INDEX_SECONDS` and a little.
    """
    pages = [] if policy is IndexPolicy.PYPI else list(pages_of(projects, platform, machines))
    if not pages:
        return IndexAnswer()
    cache = IndexCache(settings.cache_directory() / "indexes")
    with Answers(cache, offline=offline, report=report or Silence()) as answers:
        contents = answers.pages(pages)
        silent, answered = _who_answered(pages, contents)
        files = {page: contents[page].files for page in pages if page.name in answered}
        releases = {
            page: releases_on(listed, wheel=page.wheel, line=page.line, platform=platform, python=python)
            for page, listed in files.items()
        }
        chosen = _in_turn(releases, wanted, platform)
        said = answers.requirements(chosen)
        lists = list_addresses(chosen, files)
        documents = answers.documents({address: chosen[release] for release, address in lists.items()})
    told = {release: documents.get(address) for release, address in lists.items()}
    return IndexAnswer(
        builds=_builds(chosen, said, told, _places(pages, platform, python)),
        asked=tuple(dict.fromkeys(page.name for page in pages)),
        answered=answered,
        silent=silent,
        incomplete=len(chosen) - len(said),
    )


def _who_answered(pages: Sequence[Page], contents: Mapping[Page, KeptPage]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which lines did not answer and why, and which did. One page that is missing makes its line silent, since wheels
    of a line go together; an index of which no line answered is named once.
    """
    problems: dict[str, str] = {}
    lines: dict[str, list[str]] = {}
    for page in pages:
        lines.setdefault(page.index, []).append(page.name)
        if problem := contents[page].problem:
            problems.setdefault(page.name, problem)
    answered = tuple(dict.fromkeys(page.name for page in pages if page.name not in problems))
    for index, names in lines.items():
        if all(name in problems for name in names):
            first = problems[names[0]]
            problems = {name: problem for name, problem in problems.items() if name not in names} | {index: first}
    return problems, answered


def _in_turn(
    releases: Mapping[Page, tuple[IndexedRelease, ...]], wanted: Mapping[str, str], platform: str
) -> dict[IndexedRelease, Page]:
    """The releases that a plan may take, the newest of each page first, so that each page has some when time is up."""
    ranked: list[tuple[int, IndexedRelease, Page]] = []
    for page, found in releases.items():
        project = find_project(page.project)
        assert project is not None
        useful = (
            one for one in found if one.line != CPU or has_cuda_on_pypi(project, page.wheel, one.version, platform)
        )
        chosen = worth_reading(useful, wanted.get(page.project, ""))
        ranked += [(rank, release, page) for rank, release in enumerate(chosen)]
    ranked.sort(key=lambda one: one[0])
    return {release: page for _, release, page in ranked}


def _builds(
    chosen: Mapping[IndexedRelease, Page],
    said: Mapping[IndexedRelease, KeptRequirements],
    told: Mapping[IndexedRelease, bytes | None],
    places: Mapping[str, Place],
) -> dict[str, tuple[Build, ...]]:
    found: dict[str, list[Build]] = {}
    for release, page in chosen.items():
        place = places[page.index]
        what = described(release, told[release]) if release.label else release
        if release not in said or what is None:
            continue
        admitted = admitted_pythons(said[release].requires_python)
        if admitted is not None and place.python not in admitted:
            continue
        project = find_project(page.project)
        assert project is not None
        try:
            build = index_build(project, what, said[release], place, withdrawn=NOT_LOCKABLE if release.label else None)
        except FormatError:
            # Metadata that make no sense are no reason to do without everything else.
            continue
        if build:
            found.setdefault(page.project, []).append(build)
    return {name: tuple(builds) for name, builds in found.items()}


def _places(pages: Sequence[Page], platform: str, python: str) -> dict[str, Place]:
    found: dict[str, Place] = {}
    for index in dict.fromkeys(page.index for page in pages):
        group = tuple(dict.fromkeys(project.name for project, _ in members_of(index)))
        lines = {page.line: cuda for page in pages if page.index == index and (cuda := line_in_name(page.line))}
        ordered = tuple(sorted(lines, key=lambda line: lines[line].oldest))
        found[index] = Place(index=index, platform=platform, python=python, group=group, lines=ordered)
    return found
