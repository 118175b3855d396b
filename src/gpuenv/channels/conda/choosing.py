"""The package of channels that a machine would get for a spec, by its metadata, before anything is read of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.utils import canonicalize_name

from gpuenv.artifacts.conda_index import pythons_of
from gpuenv.channels.assumptions import with_assumptions
from gpuenv.channels.catalog import Build, find_project
from gpuenv.channels.conda.gpu_builds import builds_of_records, gpu_builds
from gpuenv.channels.conda.view import ChannelView
from gpuenv.errors import NoPlanError, RequestError
from gpuenv.model import Machine, Verdict
from gpuenv.rules import check
from gpuenv.versions import CudaVersion

if TYPE_CHECKING:
    from rattler import MatchSpec, RepoDataRecord

__all__ = ["ChosenPackage", "choose_package"]

_MOST_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenPackage:
    """One file of a channel; `url` may have a login in it."""

    name: str
    version: str
    url: str = field(repr=False)
    sha256: str | None = None
    size_bytes: int | None = None


def choose_package(spec: str, view: ChannelView, *, python: str, machine: Machine | None = None) -> ChosenPackage:
    """What `machine` with `python` (3.11) would get for a spec of conda: the newest GPU build that may run there, else
    one for the CPU, else one that does not run. Without a machine the newest GPU build.

    RequestError for what is no spec, NoPlanError where the channels have no such package.
    """
    wanted = _match_spec(spec)
    records = _records(spec, wanted, view)
    if not records:
        raise _absent(spec, wanted, view)
    chosen = _best(records, python, machine)
    return ChosenPackage(
        name=chosen.name.normalized,
        version=str(chosen.version),
        url=chosen.url,
        sha256=chosen.sha256.hex() if chosen.sha256 else None,
        size_bytes=chosen.size,
    )


def _match_spec(spec: str) -> MatchSpec:
    from rattler import MatchSpec
    from rattler.exceptions import InvalidMatchSpecError, InvalidPackageNameError

    try:
        return MatchSpec(spec)
    except (InvalidMatchSpecError, InvalidPackageNameError) as error:
        raise RequestError(
            f"`{spec}` is not a package spec",
            reasons=tuple(str(error).splitlines()[:1]),
            hints=("conda's form is `NAME`, `NAME=VERSION`, `NAME>=VERSION` or `NAME=VERSION=BUILD`",),
        ) from error


def _records(spec: str, wanted: MatchSpec, view: ChannelView) -> list[RepoDataRecord]:
    """The records that the spec admits, under the name that the channels have for the package (`torch`: `pytorch`)."""
    name = _name(wanted)
    project = find_project(name) or find_project(canonicalize_name(name))
    names = dict.fromkeys((name, canonicalize_name(name), *((project.name,) if project else ())))
    there = next((one for one in names if view.has(one)), name)
    meant = wanted if there == name else _match_spec(there + spec.strip()[len(name) :])
    return [record for record in view.records(there) if meant.matches(record)]


def _name(wanted: MatchSpec) -> str:
    return str(wanted.name.normalized if wanted.name else "")


def _best(records: Sequence[RepoDataRecord], python: str, machine: Machine | None) -> RepoDataRecord:
    """What runs there by the metadata, on the GPU, newest; what does not run at all where nothing else is there."""
    fitting = [record for record in records if python in (pythons_of(record.depends) or [python])]
    candidates = fitting or list(records)
    builds = gpu_builds(candidates[0].name.normalized, candidates) or builds_of_records(candidates)
    here = with_assumptions(machine, python) if machine else None
    known: dict[int, bool] = {}

    def runs(build: Build) -> bool:
        key = id(build.needs)
        if here is not None and key not in known:
            known[key] = all(finding.verdict is not Verdict.FAILS for finding in check(build.needs, here))
        return here is None or known[key]

    def rank(number: int) -> tuple[Any, ...]:
        build, record = builds[number], candidates[number]
        cuda = build.needs.cuda_newest or CudaVersion("0.0")
        return runs(build), build.gpu, record.version, record.build_number, cuda, record.file_name

    return candidates[max(range(len(candidates)), key=rank)]


def _absent(spec: str, wanted: MatchSpec, view: ChannelView) -> NoPlanError:
    name = _name(wanted)
    channels = ", ".join(f"`{place.name}`" for place in view.channels.places)
    versions = dict.fromkeys(str(one.version) for one in sorted(view.records(name), key=lambda one: one.version))
    has = [f"it has {name} {', '.join([*versions][-_MOST_NAMED:])}"] if versions else []
    near = () if versions else view.nearest_names(name)
    return NoPlanError(
        f"no channel has `{spec}`",
        reasons=(f"asked for {view.subdir} and noarch: {channels}", *has),
        hints=(f"did you mean {' or '.join(f'`{one}`' for one in near)}?",) if near else (),
    )
