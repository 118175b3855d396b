"""When projects' own indexes are asked, and what is said of it: only where they could better the plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from packaging.version import Version

from gpuenv.channels.catalog import Project
from gpuenv.model import IndexPolicy, Reporter
from gpuenv.plans.candidates import Candidate, Tier
from gpuenv.plans.layer import Layer
from gpuenv.plans.setting import Setting
from gpuenv.plans.solver import matches
from gpuenv.plans.specs import GpuSpec

__all__ = ["ProjectIndexes"]


@dataclass(slots=True, kw_only=True)
class ProjectIndexes:
    """The projects' own indexes of one plan; each is asked at most once, with all that is asked for by then."""

    policy: IndexPolicy
    offline: bool
    report: Reporter
    silent: dict[str, str] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()

    def widen(self, specs: tuple[GpuSpec, ...], setting: Setting, *, layer: Layer | None = None) -> bool:
        """Whether more builds are known now, in the setting's knowledge. Without a layer they are asked for anyway."""
        projects = {spec.project.name: spec.project for spec in specs if spec.project.indexes}
        if self.policy is IndexPolicy.PYPI or projects.keys() <= self.asked:
            return False
        if layer is not None and not any(_could_help(one, layer, specs, setting) for one in projects.values()):
            return False
        from gpuenv.channels.project_indexes import with_project_indexes

        self.asked = frozenset(projects)
        self.report.step("asking the projects' own indexes")
        answer = with_project_indexes(
            projects.values(),
            setting.platform,
            setting.first.python or "",
            policy=self.policy,
            offline=self.offline,
            machines=setting.machines,
            wanted=dict(_wanted(specs, layer)),
            report=self.report,
        )
        self.silent = answer.silent
        knowledge = setting.knowledge
        knowledge.further = {**knowledge.further, **answer.builds}
        return bool(answer.builds)

    def notes(self) -> Iterator[str]:
        """A word on those that did not answer."""
        for name, reason in self.silent.items():
            yield f"the project index `{name}` was left out: {reason}"


def _could_help(project: Project, layer: Layer, specs: tuple[GpuSpec, ...], setting: Setting) -> bool:
    """Whether a build from elsewhere could be better than the one picked: newer, on the GPU, whole, or far smaller."""
    pick = layer.picks.get(project.name)
    if pick is None:
        return True
    build = pick.build
    if not setting.prefers_gpu:
        from gpuenv.channels.project_index_builds import has_cuda_on_pypi

        return has_cuda_on_pypi(project, build.wheel, Version(build.version), setting.platform)
    if not build.gpu or pick.tier is not Tier.WHOLE:
        return True
    admitted = _admitted(project.name, specs, layer.candidates.get(project.name, ()))
    return any(Version(one.build.version) > Version(build.version) for one in admitted)


def _admitted(name: str, specs: tuple[GpuSpec, ...], candidates: Iterable[Candidate]) -> list[Candidate]:
    texts = [spec.conda for spec in specs if spec.name == name]
    return [one for one in candidates if one.build.wheel and all(matches(text, one) for text in texts)]


def _wanted(specs: tuple[GpuSpec, ...], layer: Layer | None) -> Iterator[tuple[str, str]]:
    """For a project of which not every release was asked for, the span of those that were (PEP 440)."""
    if layer is None:
        return
    for name in dict.fromkeys(spec.project.name for spec in specs):
        candidates = layer.candidates.get(name, [])
        admitted = _admitted(name, specs, candidates)
        if admitted and len(admitted) < len([one for one in candidates if one.build.wheel]):
            versions = sorted({Version(one.build.version) for one in admitted})
            yield name, f">={versions[0]},<={versions[-1]}"
