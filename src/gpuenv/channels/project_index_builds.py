"""From a release on a project's own index to a build: what a solver and the rules work on.

Build strings are those of the catalog with a `1` at the end (`cuda126_py311_1`). Wheels of one line go together and
with none from elsewhere (torchvision of CUDA 12.6 refuses a torch of CUDA 13.0), so each build asks for its
neighbours by that string, and keeps others away by it. Builds from PyPI need no word of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from gpuenv.artifacts.cuda_lines import NVIDIA_PREFIXES, CudaLine, cuda_line
from gpuenv.artifacts.required import Required
from gpuenv.channels.catalog.builds import Build
from gpuenv.channels.catalog.projects import BuildRule, Project, find_project
from gpuenv.channels.catalog.releases import Release, releases_of
from gpuenv.channels.catalog.requires import conda_version, required
from gpuenv.channels.index_files import IndexFile
from gpuenv.channels.project_index_cache import KeptRequirements
from gpuenv.channels.project_index_releases import CPU, IndexedRelease
from gpuenv.model import Evidence, Jit, Needs
from gpuenv.versions import ComputeCapability

__all__ = ["Place", "has_cuda_on_pypi", "index_build"]

_GPU_NUMBER = 100
# Below the catalog's builds of the same version, and above them for a CPU build that saves its CUDA libraries.
_BELOW = 50
_ABOVE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where builds are for, and what they stand beside. `group` are the projects whose wheels the index serves
    together; `lines` are its CUDA lines, oldest first, of which a newer one is preferred.
    """

    index: str
    platform: str
    python: str
    group: tuple[str, ...]
    lines: tuple[str, ...]


def has_cuda_on_pypi(project: Project, wheel: str, version: Version, platform: str) -> bool:
    """Whether PyPI's wheel of this release holds CUDA on the platform, as the catalog knows."""
    return any(
        rule.gpu
        and rule.wheel == wheel
        and (not rule.platforms or platform in rule.platforms)
        and _holds(rule, version)
        for rule in project.builds
    )


def index_build(
    project: Project,
    release: IndexedRelease,
    said: KeptRequirements,
    place: Place,
    *,
    withdrawn: str | None = None,
) -> Build | None:
    """The build that a release is, of whose GPU code nothing is known. None for a CPU build that PyPI has as well,
    without CUDA libraries. FormatError where a requirement is none.
    """
    wanted = list(required(_as_release(release, said), place.platform, place.python))
    cuda = release.cuda if release.line else release.cuda or cuda_line(wanted)
    if cuda is None and not (
        release.line == CPU and has_cuda_on_pypi(project, release.wheel, release.version, place.platform)
    ):
        return None
    rule = _rule(project, release, gpu=cuda is not None, platform=place.platform)
    word = f"cuda{cuda.label}" if cuda else CPU
    label = rule.label.format(cuda=cuda.label) if cuda and "{cuda}" in rule.label else word
    tag = "py" if release.pythons is None else f"py{place.python.replace('.', '')}"
    neighbours = [name for name in place.group if name != project.name]
    file = release.file
    return Build(
        project=project.name,
        version=str(release.version),
        build="_".join(filter(None, (label, tag, release.label.replace(".", "_"), "1"))),
        wheel=release.wheel,
        number=_number(rule, release, place, gpu=cuda is not None),
        gpu=cuda is not None,
        library=project.library,
        needs=_needs(project, rule, release, place, cuda, wanted, withdrawn),
        requirements=(f"{release.wheel} @ {_quoted(file.url)}#sha256={file.sha256}", *_repairs(rule, release, cuda)),
        depends=tuple(dict.fromkeys(_depends(rule, wanted, word, cuda, neighbours, release))),
        constrains=tuple(f"{name} * {_build_of(word)}" for name in neighbours),
        build_requires=rule.build_requires,
        through=rule.through,
        beside=rule.beside,
        variables=dict(rule.variables),
        size_bytes=file.size_bytes,
        code_from=rule.code_from,
        index=f"{place.index}/{release.line}" if release.line else place.index,
        file=IndexFile(filename=file.filename, url=file.url, sha256=file.sha256, size_bytes=file.size_bytes),
    )


def _quoted(url: str) -> str:
    """The address without signs that would end it in a requirement."""
    return quote(url, safe="%/:?&=+~@!$*,-._[]")


def _as_release(release: IndexedRelease, said: KeptRequirements) -> Release:
    return Release(wheel=release.wheel, version=str(release.version), requires=said.requires, read="")


def _rule(project: Project, release: IndexedRelease, *, gpu: bool, platform: str) -> BuildRule:
    """How the catalog describes such builds of the project; the index may have them for more platforms."""
    rules = [rule for rule in project.builds if rule.gpu == gpu]
    same = [rule for rule in rules if rule.wheel == release.wheel and _holds(rule, release.version)]
    here = [rule for rule in same if not rule.platforms or platform in rule.platforms]
    return next(iter((*here, *same, *rules)), BuildRule(label="", wheel=release.wheel, gpu=gpu))


def _holds(rule: BuildRule, version: Version) -> bool:
    return SpecifierSet(rule.versions).contains(version, prereleases=True)


def _number(rule: BuildRule, release: IndexedRelease, place: Place, *, gpu: bool) -> int:
    if not gpu:
        return rule.number + _ABOVE
    rank = place.lines.index(release.line) if release.line in place.lines else 0
    return rule.number + _GPU_NUMBER - _BELOW + min(rank, _BELOW - 1)


def _repairs(rule: BuildRule, release: IndexedRelease, cuda: CudaLine | None) -> Iterator[str]:
    words = {"version": str(release.version), "line": cuda.oldest if cuda else ""}
    yield from (text.format_map(words) for text in rule.requires)


def _depends(
    rule: BuildRule,
    wanted: Sequence[Required],
    word: str,
    cuda: CudaLine | None,
    neighbours: Sequence[str],
    release: IndexedRelease,
) -> Iterator[str]:
    if cuda:
        yield f"cuda-version {cuda.conda_spec}"
    for text in rule.depends:
        name, _, rest = text.format(version=release.version, line=cuda.oldest if cuda else "").partition(" ")
        # The catalog says which build of a neighbour PyPI's build goes with; here it is the one of the same line.
        bounds = rest.partition(" ")[0] or "*"
        yield f"{name} {bounds} {_build_of(word)}" if name in neighbours else f"{name} {rest}".strip()
    for requirement in wanted:
        yield from _dependency(requirement, word, neighbours, gpu=cuda is not None, without=rule.without)


def _build_of(word: str) -> str:
    """The build strings of an index's line: `cuda126_py311_1`, `gpu_cuda126_py311_1`."""
    return f"*{word}_*_1"


def _dependency(
    requirement: Required, word: str, neighbours: Sequence[str], *, gpu: bool, without: Iterable[str]
) -> Iterator[str]:
    target = find_project(requirement.name)
    if target is None or requirement.name in without:
        return
    if requirement.name.startswith(NVIDIA_PREFIXES) and not gpu:
        return
    if target.library and not any(requirement.specifier.contains(row.version) for row in releases_of(requirement.name)):
        # A release of a library that the catalog does not know is left to uv.
        return
    bounds = conda_version(requirement.specifier)
    yield f"{target.name} {bounds} {_build_of(word)}" if target.name in neighbours else f"{target.name} {bounds}"


def _needs(
    project: Project,
    rule: BuildRule,
    release: IndexedRelease,
    place: Place,
    cuda: CudaLine | None,
    wanted: Sequence[Required],
    withdrawn: str | None,
) -> Needs:
    unread = cuda is not None and rule.own_code
    brings = any(requirement.name.startswith(NVIDIA_PREFIXES) for requirement in wanted)
    return Needs(
        subject=f"{project.name} {release.version}",
        gpu_support=project.gpu_support,
        uses_gpu=cuda is not None,
        runs_without_gpu=rule.runs_without_gpu,
        cuda=cuda.oldest if cuda else None,
        cuda_newest=cuda.newest if cuda else None,
        libraries=None if unread else (),
        jit=rule.jit or (Jit.SASS if project.library and cuda else None),
        platforms=(place.platform,),
        glibc=release.glibc,
        system_cuda=f"the CUDA {cuda} libraries" if cuda and rule.system_cuda and not brings else None,
        lowest_capability=ComputeCapability(rule.lowest_capability) if rule.lowest_capability and cuda else None,
        pythons=release.pythons,
        withdrawn=withdrawn or rule.withdrawn,
        evidence=(Evidence(what="release", value=release.file.filename, source=f"the index {place.index}"),),
    )
