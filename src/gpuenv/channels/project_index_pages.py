"""Which pages of projects' own indexes are of use to a plan: one for each wheel on each line of an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpuenv import settings
from gpuenv.artifacts.cuda_lines import line_in_name
from gpuenv.channels.catalog.projects import Project, ProjectIndex, find_project, project_names
from gpuenv.channels.project_index_releases import CPU
from gpuenv.model import Machine, Needs, Verdict
from gpuenv.rules import check

__all__ = ["Page", "members_of", "pages_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """The page of one wheel on one line of an index; `address` is that of the line, with the login that it may have."""

    index: str
    line: str
    address: str
    project: str
    wheel: str

    @property
    def name(self) -> str:
        """The line with its index, as it is shown."""
        return f"{self.index}/{self.line}" if self.line else self.index

    @property
    def key(self) -> str:
        """What its content is kept under."""
        return f"{self.address} {self.wheel}"


def pages_of(projects: Iterable[Project], platform: str, machines: Sequence[Machine]) -> Iterator[Page]:
    """The pages that could add builds of `projects`, and of the project that has the address, which the others of an
    index are made for. Lines of a CUDA that a rule refuses on one of `machines` are left out.
    """
    named: set[str] = set()
    asked_for: set[str] = set()
    for project in projects:
        asked_for.add(project.name)
        named.update(index.name for index in project.indexes)
    for name in sorted(named):
        members = members_of(name)
        owner = next((index for _, index in members if index.url), None)
        address = settings.project_index(name)
        if owner is None or address == "":
            continue
        taking_part = [(one, index) for one, index in members if one.name in asked_for or index is owner]
        for line in owner.lines or ("",):
            if not _is_useful(line, platform, machines, [one for one, _ in taking_part]):
                continue
            place = _address(address or owner.url, line)
            for one, index in taking_part:
                for wheel in index.wheels:
                    yield Page(index=name, line=line, address=place, project=one.name, wheel=wheel)


def members_of(name: str) -> list[tuple[Project, ProjectIndex]]:
    """The projects that an index serves, and what each says of it."""
    found = (find_project(project) for project in project_names())
    return [(one, index) for one in found if one for index in one.indexes if index.name == name]


def _address(url: str, line: str) -> str:
    if "{line}" in url:
        return url.replace("{line}", line)
    return f"{url.rstrip('/')}/{line}" if line else url


def _is_useful(line: str, platform: str, machines: Sequence[Machine], projects: Sequence[Project]) -> bool:
    """Whether builds of a line could be in a plan: of a CUDA that no rule refuses on any of the machines; CPU builds
    where those on PyPI bring CUDA libraries along.
    """
    if not line:
        return True
    if line == CPU:
        rules = (rule for one in projects for rule in one.builds if rule.gpu)
        return any(not rule.platforms or platform in rule.platforms for rule in rules)
    cuda = line_in_name(line)
    if cuda is None or platform.startswith("macos"):
        return False
    needs = Needs(subject=line, uses_gpu=True, cuda=cuda.oldest, cuda_newest=cuda.newest, libraries=())
    return all(finding.verdict is not Verdict.FAILS for machine in machines for finding in check(needs, machine))
