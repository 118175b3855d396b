"""The hand-written half of the catalog: one TOML file per project, which says how its wheels become builds."""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from pathlib import Path

import msgspec

from gpuenv.channels.catalog.releases import wheel_names
from gpuenv.errors import FormatError
from gpuenv.model import GpuSupport, Jit, Noun, from_builtins

__all__ = [
    "BuildRule",
    "Metapackage",
    "Opening",
    "Project",
    "ProjectIndex",
    "Wheel",
    "find_project",
    "nearest_names",
    "project_names",
]


class BuildRule(Noun, frozen=True, kw_only=True):
    """How releases of one wheel become builds of a project.

    `label` begins the build string; `{cuda}` in it becomes the digits of the CUDA line. `versions` (PEP 440) and
    `platforms` say for which releases and where the rule holds. `extras` are asked for with the wheel; `without`
    names requirements to leave out (then the rest of the extras is asked for one by one). `requires` are repairs:
    requirements that the release's own metadata lacks; `python` (PEP 440) likewise. `depends` are further conda
    dependencies, in which `{version}` stands for the release. `number` is the build number: the higher wins among
    builds of one version. `own_code` is False where every kernel is compiled at run time; `code_from` names other
    wheels of the same version that hold the kernels. `through` names the package that this build works through: when
    a request names any such package, builds for the others are left out. A build with `beside` is there only for
    requests that name that package as well. In `requires`, `{line}` stands for the CUDA line of the release.
    `runs_without_gpu` marks a GPU build that also computes where there is no GPU. `linked_in` marks one that shares no
    CUDA library with other packages, so that its CUDA line binds the driver and nothing else in the environment.
    """

    label: str
    wheel: str
    gpu: bool = False
    versions: str = ""
    platforms: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    build_requires: tuple[str, ...] = ()
    depends: tuple[str, ...] = ()
    python: str = ""
    own_code: bool = True
    code_from: tuple[str, ...] = ()
    through: str | None = None
    beside: str | None = None
    cuda: str | None = None
    system_cuda: str | None = None
    jit: Jit | None = None
    lowest_capability: str | None = None
    variables: dict[str, str] = {}
    number: int = 0
    withdrawn: str | None = None
    source: str | None = None
    note: str | None = None
    runs_without_gpu: bool = False
    linked_in: bool = False


class Opening(Noun, frozen=True, kw_only=True):
    """Which wheels of a project are opened for their GPU code on one platform: the last patch of each minor release
    from `since` on, of the newest `minors` of them (None: of all), and the releases in `also`.
    """

    platform: str = "linux-x86_64"
    minors: int | None = None
    since: str = "0"
    also: tuple[str, ...] = ()


class Wheel(Noun, frozen=True, kw_only=True):
    """Which releases of one name on the package index the catalog lists, and which of their wheels are opened.

    `since` is the oldest release that counts, `only` names exactly those that do, `last_only` means the newest.
    """

    name: str
    since: str = "0"
    only: tuple[str, ...] = ()
    last_only: bool = False
    open: tuple[Opening, ...] = ()


class Metapackage(Noun, frozen=True, kw_only=True):
    """A name without files that pulls others in. `{version}` in `depends` is the version of the project's release.

    `of_cuda` makes one version for each CUDA line instead, where `{version}` is the line; `version` a single one.
    """

    name: str
    depends: tuple[str, ...] = ()
    of_cuda: bool = False
    version: str | None = None


class ProjectIndex(Noun, frozen=True, kw_only=True):
    """An index of a project's own, which serves `wheels` in more builds than PyPI has.

    `{line}` in `url` stands for one of `lines`: `cpu`, or a CUDA version as `cu126`; without lines there is one page
    per wheel. Projects whose wheels go together name one index: the first has the address, the others its name alone.
    `source` says where the address was read.
    """

    name: str
    url: str = ""
    lines: tuple[str, ...] = ()
    wheels: tuple[str, ...] = ()
    source: str | None = None


class GpuNote(Noun, frozen=True, kw_only=True):
    """What to tell those who want the GPU build of a project on a system where there is none (any more)."""

    platforms: tuple[str, ...]
    text: str
    hints: tuple[str, ...] = ()


class Unavailable(Noun, frozen=True, kw_only=True):
    """A name that people know and that cannot be had as wheels: why, and what would provide it."""

    name: str
    platforms: tuple[str, ...] = ()
    reason: str
    hints: tuple[str, ...] = ()


class Project(Noun, frozen=True, kw_only=True):
    """One project: its names in both worlds, its kind of GPU support, and its builds.

    `library` marks what other packages stand on: it is judged only where a GPU could use it. `listed` is False for a
    wheel that the catalog holds releases of, for the solver, without a file of its own: users who ask for it by name
    get what the index has. `indexes` are the project's own. `wheels` say what `gpuenv catalog build` reads for it.
    """

    name: str
    summary: str = ""
    documentation: str = ""
    aliases: tuple[str, ...] = ()
    gpu_support: GpuSupport = GpuSupport.NONE
    library: bool = False
    listed: bool = True
    wheels: tuple[Wheel, ...] = ()
    builds: tuple[BuildRule, ...] = ()
    metapackages: tuple[Metapackage, ...] = ()
    unavailable: tuple[Unavailable, ...] = ()
    gpu_notes: tuple[GpuNote, ...] = ()
    indexes: tuple[ProjectIndex, ...] = ()


@cache
def _projects() -> dict[str, Project]:
    found: dict[str, Project] = {}
    for file in sorted(Path(__file__).with_name("projects").glob("*.toml")):
        try:
            project = from_builtins(tomllib.loads(file.read_text("utf-8")), Project)
        except (FormatError, tomllib.TOMLDecodeError) as error:
            raise FormatError(f"the catalog file `{file.name}` is damaged", reasons=(str(error),)) from error
        found[project.name] = project
    return found


@cache
def _by_name() -> dict[str, Project]:
    names: dict[str, Project] = {}
    for project in _projects().values():
        own = (project.name, *project.aliases, *(extra.name for extra in project.metapackages))
        names |= dict.fromkeys((*own, *(gone.name for gone in project.unavailable)), project)
    for project in _projects().values():
        for rule in project.builds:
            names.setdefault(rule.wheel, project)
    for wheel in wheel_names():
        if wheel not in names:
            names[wheel] = msgspec.structs.replace(_LIBRARY, name=wheel, builds=(BuildRule(label="", wheel=wheel),))
    return names


_LIBRARY = Project(name="", library=True, listed=False)


def find_project(name: str) -> Project | None:
    """The project that goes by `name` in either world (`pytorch`, `torch`, `tensorflow-gpu`, `nvidia-nccl-cu12`)."""
    return _by_name().get(name)


def forget_loaded() -> None:
    """Lets the names be found anew, since which there are depends on the releases."""
    _by_name.cache_clear()


def project_names() -> tuple[str, ...]:
    """The names of the projects that have a file of their own, sorted."""
    return tuple(sorted(_projects()))


def nearest_names(name: str) -> tuple[str, ...]:
    """Up to three names of the catalog that look like `name`."""
    people_type = [known for known in _by_name() if not known.startswith("nvidia-")]
    return tuple(difflib.get_close_matches(name, people_type, n=3, cutoff=0.72))
