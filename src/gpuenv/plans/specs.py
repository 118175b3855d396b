"""What users type, in conda's words or Python's, taken apart: GPU packages for the solver, the rest for `uv`."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from gpuenv.artifacts.required import marker_environment
from gpuenv.channels.catalog import Project, find_project, nearest_names
from gpuenv.channels.catalog.requires import conda_version
from gpuenv.channels.conda.spec_words import channel_in_front
from gpuenv.errors import NoPlanError, RequestError

if TYPE_CHECKING:
    from gpuenv.plans.channel_specs import ChannelSpecs

__all__ = ["GpuSpec", "Wanted", "read_specs", "spec_name"]

_NAME = re.compile(
    r"\s*(?:(?P<channel>[^\s:\[\]]+)::)?(?P<name>[A-Za-z0-9_][A-Za-z0-9_.-]*?)(?=[\s=<>!~\[@;]|$)(?P<rest>.*)",
    re.DOTALL,
)
_EXTRAS = re.compile(r"\s*\[([A-Za-z0-9_.,\s-]*)\](.*)", re.DOTALL)
_LOCAL = re.compile(r"\s*={1,3}\s*([\d.]+)\+(?:cpu|cu(\d+))\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSpec:
    """One spec on a package of the catalog. `conda` is the MatchSpec text under the catalog's name.

    `wheel` is set when a wheel's own name was typed (`cupy-cuda12x`), which leaves only the builds of that wheel,
    `extra` likewise for an extra that makes a build (`jax[cuda12]`); `extras` are others, passed on to the wheel.
    `from_channel` marks one on a package that a conda channel has, whether the catalog knows it or not.
    """

    typed: str
    name: str
    conda: str
    project: Project
    wheel: str | None = None
    extra: str | None = None
    extras: tuple[str, ...] = ()
    from_channel: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A request taken apart. `python` is a conda version spec for the interpreter, where one was typed.

    `bounds` are plain requirements that the GPU layer must respect as well (`numpy <2`), as conda specs.
    """

    gpu: tuple[GpuSpec, ...]
    plain: tuple[str, ...]
    bounds: tuple[str, ...] = ()
    python: str | None

    @property
    def of_catalog(self) -> tuple[GpuSpec, ...]:
        """The specs on packages of the catalog."""
        return tuple(spec for spec in self.gpu if not spec.from_channel)

    @property
    def needs_wheels(self) -> bool:
        """Whether some of it comes as wheels."""
        return bool(self.plain or self.of_catalog)


def read_specs(specs: tuple[str, ...], platform: str | None = None, *, channels: ChannelSpecs | None = None) -> Wanted:
    """`specs` taken apart; RequestError for one that is neither conda's nor Python's, NoPlanError for a name that is
    known but cannot be had. Markers are decided for `platform` (`linux-x86_64`), or else for this computer. `channels`
    says which of them conda channels have.
    """
    gpu: list[GpuSpec] = []
    plain: list[str] = []
    bounds: list[str] = []
    python: str | None = None
    left_out: list[str] = []
    for typed in specs:
        there = channels.find(typed) if channels is not None else None
        if there is not None:
            gpu += there
            left_out += () if there else (typed,)
            continue
        name, rest = _split(typed)
        if name == "python":
            python = _python_spec(typed, rest)
            continue
        project = find_project(name)
        if project is None or not project.listed or rest.lstrip().startswith("@"):
            requirement = _python_requirement(typed, name, rest)
            plain.append(requirement)
            specifier = Requirement(requirement).specifier
            if project and specifier:
                bounds.append(f"{project.name} {conda_version(specifier)}")
            continue
        _refuse_unavailable(project, name)
        gpu.append(_gpu_spec(typed, name, rest, project, platform))
    if not (gpu or plain):
        reasons = tuple(f"the marker of `{typed.strip()}` does not hold there" for typed in left_out)
        raise RequestError("nothing was asked for", reasons=reasons, hints=("name a package: `gpuenv plan pytorch`",))
    return Wanted(gpu=tuple(gpu), plain=tuple(plain), bounds=tuple(bounds), python=python)


def spec_name(typed: str) -> str:
    """The package that a spec is about, under the name that the catalog or Python's tools have for it."""
    name = _name_and_rest(typed.rpartition("::")[2])[0]
    project = find_project(name)
    metapackages = {extra.name for extra in project.metapackages} if project else set()
    return name if project is None or name in metapackages else project.name


def _split(typed: str) -> tuple[str, str]:
    moved = channel_in_front(typed)
    found = _NAME.fullmatch(moved)
    if found and found["channel"]:
        raise RequestError(
            f"`{typed}` names the channel `{found['channel']}`, and the request is for wheels only",
            hints=(f"leave the channel out: `{moved.partition('::')[2]}`",),
        )
    name, rest = _name_and_rest(typed)
    if name.startswith("__"):
        raise RequestError(
            f"`{typed}` asks for what machines offer to conda packages, and the request has no channels",
            hints=("name a channel, `-c conda-forge`, or leave it out",),
        )
    if name.startswith("_"):
        raise RequestError(
            f"`{typed}` is a name of conda's only, and the request has no channels",
            hints=("name a channel that has it: `-c conda-forge`",),
        )
    return name, rest


def _name_and_rest(typed: str) -> tuple[str, str]:
    found = _NAME.fullmatch(typed)
    if found is None:
        raise _not_a_spec(typed, "it does not begin with the name of a package")
    name = found["name"].lower()
    # What begins with `_` is never a name of Python's.
    canonical = name if name.startswith("_") else canonicalize_name(name)
    return (name if find_project(name) else canonical), found["rest"]


def _python_spec(typed: str, rest: str) -> str:
    from rattler import VersionSpec
    from rattler.exceptions import InvalidVersionSpecError

    text = rest.strip().lstrip("=") if re.fullmatch(r"\s*==?\s*\d+(\.\d+)?\s*", rest) else rest.strip()
    text = f"{text}.*" if re.fullmatch(r"\d+(\.\d+)?", text) else text or "*"
    try:
        VersionSpec(text)
    except InvalidVersionSpecError as error:
        raise _not_a_spec(typed, str(error)) from error
    return text


def _refuse_unavailable(project: Project, name: str) -> None:
    for gone in project.unavailable:
        if gone.name == name:
            raise NoPlanError(f"`{name}` cannot be had as a wheel", reasons=(gone.reason,), hints=gone.hints)


def _gpu_spec(typed: str, name: str, rest: str, project: Project, platform: str | None) -> GpuSpec:
    own_names = {project.name, *project.aliases, *(extra.name for extra in project.metapackages)}
    metapackages = {extra.name for extra in project.metapackages}
    record = name if name in metapackages else project.name
    extras = _EXTRAS.fullmatch(rest)
    wanted_extras: tuple[str, ...] = ()
    if extras and "=" not in extras[1]:
        wanted_extras = tuple(canonicalize_name(extra) for extra in re.split(r"[,\s]+", extras[1]) if extra)
        rest = extras[2]
    extra, passed_on = _divide_extras(typed, project, wanted_extras)
    return GpuSpec(
        typed=typed,
        name=record,
        conda=_conda_text(typed, record, _with_build(rest, project), platform),
        project=project,
        wheel=None if name in own_names else name,
        extra=extra,
        extras=passed_on,
    )


def _with_build(rest: str, project: Project) -> str:
    """`==2.5.1+cu124`, as PyTorch's wheels call themselves, in conda's words: a version and a build."""
    local = _LOCAL.fullmatch(rest)
    if local is None:
        return rest.replace("===", "==", 1) if rest.lstrip().startswith("===") else rest
    names_line = any("{cuda}" in rule.label for rule in project.builds)
    build = f"cuda{local[2] if names_line else ''}*" if local[2] else "cpu*"
    return f" =={local[1]} {build}"


def _divide_extras(typed: str, project: Project, extras: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """`jax[cuda12]` asks for the builds that the catalog makes with that extra; other extras are passed on."""
    chosen: dict[str, None] = {}
    passed_on: list[str] = []
    for extra in extras:
        if any(extra in rule.extras for rule in project.builds):
            chosen[extra] = None
        elif extra == "cuda" and any("cuda12" in rule.extras for rule in project.builds):
            # JAX's own extra `cuda` still means CUDA 12 (metadata of 0.12.0.1).
            chosen["cuda12"] = None
        else:
            passed_on.append(extra)
    builds = {frozenset(extra for extra in chosen if extra in rule.extras) for rule in project.builds}
    if chosen and frozenset(chosen) not in builds:
        raise RequestError(
            f"`{typed}` asks for several builds of `{project.name}` at once",
            reasons=tuple(f"the extra `{extra}` is one of its own" for extra in chosen),
            hints=tuple(f"take one: `{project.name}[{extra}]`" for extra in chosen),
        )
    return next(iter(chosen), None), tuple(passed_on)


def _conda_text(typed: str, record: str, rest: str, platform: str | None) -> str:
    text = f"{record}{rest if rest[:1] in {'', ' ', '[', '='} else ' ' + rest}".strip()
    if ";" in rest:
        try:
            requirement = Requirement(f"x{rest}")
        except InvalidRequirement as error:
            raise _not_a_spec(typed, str(error)) from error
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        environment = marker_environment(platform, running) if platform else None
        if requirement.marker and not requirement.marker.evaluate(environment):
            raise _not_a_spec(typed, "its marker does not hold there; leave the package out")
        text = f"{record} {conda_version(requirement.specifier)}"
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    try:
        MatchSpec(text)
    except InvalidMatchSpecError as error:
        raise _not_a_spec(typed, str(error)) from error
    return text


def _python_requirement(typed: str, name: str, rest: str) -> str:
    try:
        return str(Requirement(typed.strip()))
    except InvalidRequirement:
        pass
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError

    try:
        spec = MatchSpec(f"{name}{rest}")
    except InvalidMatchSpecError as error:
        raise _not_a_spec(typed, str(error)) from error
    if spec.build:
        raise RequestError(
            f"`{typed}` names a build of `{name}`, and only packages of the catalog have builds to choose from",
            hints=(f"leave the build out: `{name}`",),
        )
    version = "" if spec.version is None else str(spec.version)
    parts = [_to_pep440(part.strip()) for part in version.split(",") if part.strip() not in {"", "*"}]
    try:
        return str(Requirement(f"{name}{','.join(parts)}"))
    except InvalidRequirement as error:
        raise _not_a_spec(typed, f"`{version}` has no form that Python's tools know") from error


def _to_pep440(part: str) -> str:
    if part.startswith("="):
        return part if part.startswith("==") else f"=={part[1:].rstrip('.*')}.*"
    if part[0].isdigit():
        return f"=={part}"
    return part


def _not_a_spec(typed: str, reason: str) -> RequestError:
    near = nearest_names(typed.split("=", maxsplit=1)[0].strip().lower())
    return RequestError(
        f"`{typed}` is not a package spec",
        reasons=tuple(reason.splitlines()[:1]),
        hints=(
            "conda's form is `NAME`, `NAME=VERSION`, `NAME>=VERSION`, `NAME=VERSION=BUILD` or `NAME[version='>=1']`",
            *((f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else ()),
        ),
    )
