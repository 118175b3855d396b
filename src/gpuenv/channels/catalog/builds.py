"""From releases and a project's rules to its builds on one platform: what a solver and the rules work on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING

import msgspec
from packaging.specifiers import SpecifierSet

from gpuenv.artifacts.alternatives import find_alternatives
from gpuenv.artifacts.cuda_lines import NVIDIA_PREFIXES, CudaLine, cuda_line, is_runtime, line_from_text
from gpuenv.artifacts.required import EXTRA, Required
from gpuenv.channels.catalog.projects import BuildRule, Project, find_project
from gpuenv.channels.catalog.releases import PlatformWheels, Release, library_code, releases_of
from gpuenv.channels.catalog.requires import conda_version, required
from gpuenv.channels.index_files import IndexFile
from gpuenv.facts.toolkits import load_toolkits
from gpuenv.model import Evidence, Jit, LibraryCode, Needs
from gpuenv.versions import ComputeCapability, LibcVersion

if TYPE_CHECKING:
    from rattler import RepoDataRecord

__all__ = ["Build", "builds_of"]

_NAME = re.compile(r"[A-Za-z0-9._-]+")
# Their releases follow the pins of who asks for them. Solved as well they made plans an eighth slower and no different
# (seven requests, 2026-11-25); conflicts show in cuBLAS, NCCL, cuDNN and nvJitLink.
_LEFT_TO_UV = re.compile(r"nvidia-(?:cuda-nvrtc|cuda-runtime|cufft|curand|cusolver|cusparse)(?:-cu\d+)?", re.ASCII)
_LAST_PYTHON = (3, 15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of a project on one platform. `requirements` (PEP 508) bring it, `depends` and `constrains` are
    conda's words for the solver; `needs` is what the rules judge. `index` names the project's own index that has it
    (`pytorch/cu126`), None for the user's; `file` is the one to install where that is known. `code_from` names the
    wheels of the same version that hold its GPU code, where it is not its own.

    A conda package has its `record`, the `channel` that it is from and no wheel; `look_inside` says that its metadata
    does not tell whether it carries GPU code.
    """

    project: str
    version: str
    build: str
    wheel: str = ""
    extras: tuple[str, ...] = ()
    number: int = 0
    gpu: bool = False
    library: bool = False
    needs: Needs
    requirements: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    constrains: tuple[str, ...] = ()
    build_requires: tuple[str, ...] = ()
    from_source: bool = False
    through: str | None = None
    beside: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    size_bytes: int | None = None
    note: str | None = None
    code_from: tuple[str, ...] = ()
    index: str | None = None
    file: IndexFile | None = None
    channel: str | None = None
    record: RepoDataRecord | None = None
    look_inside: bool = False

    @property
    def has_files(self) -> bool:
        """Whether it installs something, rather than only pull in others."""
        return bool(self.wheel) or self.record is not None


def builds_of(project: Project, platform: str, python: str) -> tuple[Build, ...]:
    """The builds of a project that exist for `platform`, judged as if for `python` (3.11), and its metapackages.

    Builds for other Pythons are among them; their needs say so, and a rule refuses them with that reason.
    """
    return _builds_of(project.name, platform, python)


def forget_loaded() -> None:
    """Lets the builds be made anew, since they depend on the releases."""
    _builds_of.cache_clear()


@cache
def _builds_of(name: str, platform: str, python: str) -> tuple[Build, ...]:
    # One plan asks for the same builds several times, and what the catalog says of them does not change.
    project = find_project(name)
    if project is None:
        return ()
    builds: list[Build] = []
    for rule in project.builds:
        wanted = SpecifierSet(rule.versions)
        for release in releases_of(rule.wheel):
            wheels = _wheels(release, platform)
            if wheels is None or (rule.platforms and platform not in rule.platforms):
                continue
            if wanted.contains(release.version, prereleases=True):
                builds.append(_build(project, rule, release, wheels, platform, python))
    return (*builds, *_metapackages(project, builds))


def _wheels(release: Release, platform: str) -> PlatformWheels | None:
    if release.pure or release.sdist_only:
        return PlatformWheels(pythons=_pythons(release.requires_python))
    return release.platforms.get(platform)


@cache
def _pythons(requires_python: str | None) -> tuple[str, ...] | None:
    if not requires_python:
        return None
    allowed = SpecifierSet(requires_python)
    # A bound such as >=3.8.1 admits 3.8, so the newest patch that could exist is asked about.
    return tuple(f"3.{minor}" for minor in range(6, _LAST_PYTHON[1] + 1) if allowed.contains(f"3.{minor}.99"))


def _build(
    project: Project, rule: BuildRule, release: Release, wheels: PlatformWheels, platform: str, python: str
) -> Build:
    requirements = list(required(release, platform, python, rule.extras))
    line = _line(rule, release, requirements)
    words = {"version": release.version, "line": line.oldest if line else ""}
    depends: list[str] = []
    constrains: list[str] = []
    if line and not rule.linked_in and (not project.library or rule.cuda or is_runtime(rule.wheel)):
        (depends if rule.gpu or project.library else constrains).append(f"cuda-version {line.conda_spec}")
    depends += [text.format_map(words) for text in rule.depends]
    depends += _dependencies(project, rule, requirements)
    if rule.wheel == "cuda-toolkit" and rule.extras:
        constrains += _constraints(release, platform, python)
    label = rule.label.format(cuda=line.label if line else "")
    return Build(
        project=project.name,
        version=release.version,
        build="_".join(filter(None, (label, _python_tag(release, wheels, python), "0"))),
        wheel=rule.wheel,
        extras=rule.extras,
        number=rule.number + (100 if rule.gpu else 0),
        gpu=rule.gpu,
        library=project.library,
        through=rule.through,
        beside=rule.beside,
        needs=_needs(project, rule, release, wheels, platform, line),
        requirements=_asked_for(rule, release, requirements, words),
        depends=tuple(dict.fromkeys(depends)),
        constrains=tuple(dict.fromkeys(constrains)),
        build_requires=rule.build_requires,
        from_source=release.sdist_only,
        variables=dict(rule.variables),
        size_bytes=wheels.size_bytes,
        note=rule.note,
        code_from=rule.code_from,
    )


def _line(rule: BuildRule, release: Release, requirements: list[Required]) -> CudaLine | None:
    if is_runtime(rule.wheel):
        return line_from_text(".".join(release.version.split(".")[:2]))
    return line_from_text(rule.cuda) if rule.cuda else cuda_line(requirements)


def _dependencies(project: Project, rule: BuildRule, requirements: list[Required]) -> Iterator[str]:
    for requirement in requirements:
        target = find_project(requirement.name)
        if target is None or target.name == project.name or requirement.name in rule.without:
            continue
        if target.library and (_LEFT_TO_UV.fullmatch(requirement.name) or not releases_of(requirement.name)):
            continue
        # A CPU build may carry CUDA libraries along, but which ones is no concern of a machine that cannot use them.
        if rule.gpu or project.library or not requirement.name.startswith(NVIDIA_PREFIXES):
            yield _dependency(requirement)


def _dependency(requirement: Required) -> str:
    target = find_project(requirement.name)
    return f"{target.name if target else requirement.name} {conda_version(requirement.specifier)}"


def _constraints(release: Release, platform: str, python: str) -> Iterator[str]:
    """What a set of libraries pins under its extras, for the libraries that the catalog knows."""
    known = tuple(text for text in release.requires if find_project(_NAME.match(text)[0]))  # type: ignore[index]
    extras = tuple(sorted({extra for text in known for extra in EXTRA.findall(text)}))
    for requirement in required(msgspec.structs.replace(release, requires=known), platform, python, extras):
        yield _dependency(requirement)


def _asked_for(
    rule: BuildRule, release: Release, requirements: list[Required], words: Mapping[str, object]
) -> tuple[str, ...]:
    extras = f"[{','.join(rule.extras)}]" if rule.extras else ""
    repairs = tuple(text.format_map(words) for text in rule.requires)
    if is_runtime(rule.wheel) and not extras:
        # The set itself holds no files, and others may want parts of another patch release of it.
        return (f"{rule.wheel}=={words['line']}.*", *repairs)
    if not rule.without:
        return (f"{rule.wheel}{extras}=={release.version}", *repairs)
    one_by_one = (
        f"{requirement.name}{requirement.specifier}"
        for requirement in requirements
        if "extra" in requirement.marker and requirement.name not in rule.without
    )
    return (f"{rule.wheel}=={release.version}", *one_by_one, *repairs)


def _python_tag(release: Release, wheels: PlatformWheels, python: str) -> str:
    if release.pure or release.sdist_only or wheels.pythons is None:
        return "py"
    built_for = python if python in wheels.pythons or not wheels.pythons else wheels.pythons[-1]
    return f"py{built_for.replace('.', '')}"


def _needs(
    project: Project,
    rule: BuildRule,
    release: Release,
    wheels: PlatformWheels,
    platform: str,
    line: CudaLine | None,
) -> Needs:
    return Needs(
        subject=f"{project.name} {release.version}",
        gpu_support=project.gpu_support,
        uses_gpu=rule.gpu or (project.library and (line is not None or rule.lowest_capability is not None)),
        runs_without_gpu=rule.runs_without_gpu,
        cuda=line.oldest if line else None,
        cuda_newest=line.newest if line else None,
        libraries=_code(rule, release, platform),
        jit=rule.jit or (Jit.SASS if project.library and line else None),
        platforms=tuple(sorted(release.platforms)),
        glibc=LibcVersion(wheels.glibc) if wheels.glibc else None,
        system_cuda=rule.system_cuda,
        lowest_capability=ComputeCapability(rule.lowest_capability) if rule.lowest_capability else None,
        pythons=_admitted(wheels.pythons, rule.python),
        withdrawn=rule.withdrawn or release.withdrawn,
        evidence=(Evidence(what="release", value=f"{release.wheel} {release.version}", source=f"read {release.read}"),),
    )


def _admitted(pythons: tuple[str, ...] | None, specifier: str) -> tuple[str, ...] | None:
    if not specifier:
        return pythons
    allowed = SpecifierSet(specifier)
    return tuple(python for python in pythons or _pythons(">=3.6") or () if allowed.contains(python))


def _code(rule: BuildRule, release: Release, platform: str) -> tuple[LibraryCode, ...] | None:
    if not (rule.gpu and rule.own_code):
        return ()
    holders = [release]
    if rule.code_from:
        holders = [row for wheel in rule.code_from for row in releases_of(wheel) if row.version == release.version]
    readings = [row.code.get(platform) for row in holders]
    if not readings or None in readings:
        return None
    return tuple(library for reading in readings if reading for library in _told_apart(library_code(reading)))


def _told_apart(libraries: tuple[LibraryCode, ...]) -> Iterator[LibraryCode]:
    """The libraries of one wheel; those of which one is loaded, by the CUDA in use, say for which."""
    alternatives = find_alternatives(library.name for library in libraries)
    for library in libraries:
        yield msgspec.structs.replace(library, loaded_for=alternatives.get(library.name))


def _metapackages(project: Project, builds: list[Build]) -> Iterator[Build]:
    versions = dict.fromkeys(build.version for build in builds)
    for extra in project.metapackages:
        lines = [str(toolkit.version) for toolkit in load_toolkits()]
        for version in (extra.version,) if extra.version else lines if extra.of_cuda else versions:
            yield Build(
                project=extra.name,
                version=version,
                build="0",
                needs=Needs(subject=f"{extra.name} {version}", libraries=()),
                depends=tuple(text.format(version=version) for text in extra.depends),
            )
