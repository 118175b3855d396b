"""The GPU layer as conda records, solved by rattler. A solve of some hundred records takes a few milliseconds.

Preference is encoded where rattler looks: the highest version, then the highest build number; and where a GPU build
may be taken, CPU builds carry `track_features`, which rattler ranks below every build without.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from gpuenv.channels.catalog import Build
from gpuenv.channels.conda.running import run_rattler
from gpuenv.errors import ToolError
from gpuenv.plans.candidates import Candidate, Candidates, Tier

if TYPE_CHECKING:
    from rattler import Gateway, MatchSpec, PackageName, RepoDataRecord
    from rattler.platform import Platform

__all__ = ["MadeRecords", "Solution", "Unsolvable", "matches", "offers", "solve_layer"]

MadeRecords = dict[tuple[int, bool], "RepoDataRecord"]
"""Candidates as rattler's records, by their identity and whether they are ranked below all others."""

_TIMEOUT = timedelta(seconds=60)
_CHANNEL = "https://gpu.invalid/"
_LINES = 10_000
"""More than any CUDA line's part of a build number."""
_MOST_NUMBER = 1 << 40
"""Beyond it a number has no room for the CUDA line."""


class Unsolvable(Exception):  # noqa: N818  (an answer, not an error)
    """No set of builds satisfies the specs; the text is rattler's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """What was picked: builds that the rules judged, by package name, and all else that comes from conda channels."""

    picks: dict[str, Candidate]
    others: tuple[RepoDataRecord, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Records:
    """The candidates as rattler asks for them (`rattler.RepoDataSource`), and whatever else the channels have.

    With `newest` only the newest releases of packages that are not judged; `is_part` tells whether that left any out.
    """

    candidates: Candidates
    worst: Tier
    prefer_gpu: bool
    gpu_only: Collection[str]
    made: MadeRecords
    taken: dict[str, Candidate] = field(default_factory=dict)
    failure: Exception | None = None
    given: set[tuple[str, str]] = field(default_factory=set)
    specs: dict[str, list[MatchSpec]] = field(default_factory=dict)
    newest: bool = True
    is_part: bool = False

    async def fetch_package_records(self, platform: Platform, name: PackageName) -> list[RepoDataRecord]:
        """The records of one package; those of the catalog are all `noarch`."""
        # For `nvidia::cuda-version` in a record rattler asks for a package of that name.
        key, subdir = name.normalized.rpartition("::")[2], str(platform)
        if (key, subdir) in self.given:
            return []
        self.given.add((key, subdir))
        try:
            judged = await self.candidates.fetch(key)
            if judged is None:
                found, is_part = await self.candidates.plain_records(key, subdir, newest=self.newest)
                self.is_part = self.is_part or is_part
                return found
            return [record for record in self.admitted(key, judged) if record.subdir == subdir]
        except Exception as error:
            # rattler would tell of it in its own words, or take it for a package that is not there.
            self.failure = error
            raise

    def package_names(self, platform: Platform) -> list[str]:
        """The names of all packages that are judged."""
        return sorted(self.candidates) if str(platform) == "noarch" else []

    def admitted(self, name: str, judged: list[Candidate]) -> list[RepoDataRecord]:
        """The records of the builds that may be taken, in the order of preference that rattler obeys."""
        admitted = self._may_be_taken(name, judged)
        has_gpu = self.prefer_gpu and any(one.build.gpu for one in admitted)
        return [self._record(one, shun_cpu=has_gpu) for one in admitted]

    def refuse_at_once(self) -> None:
        """Unsolvable where one of the specs has no build that may be taken: a solver takes seconds to find that out."""
        for name, specs in self.specs.items():
            if name not in self.candidates:
                continue
            admitted = self._may_be_taken(name, self.candidates[name])
            for spec in specs:
                if not any(one.build.record is None or spec.matches(one.build.record) for one in admitted):
                    raise Unsolvable(f"no candidates were found for {spec}")

    def _may_be_taken(self, name: str, judged: list[Candidate]) -> list[Candidate]:
        return [one for one in judged if one.tier <= self.worst and (one.build.gpu or name not in self.gpu_only)]

    def kept(self) -> Iterator[RepoDataRecord]:
        """The records of packages that stay where they can, as far as they may be taken; where a spec asks for another
        build now, one of the same release.
        """
        view = self.candidates.view
        for one in self.candidates.setting.kept if view else ():
            self.candidates.judge(one.name)
            judged = self.candidates.get(one.name)
            records = view.records(one.name) if judged is None and view else self.admitted(one.name, judged or [])
            asked = self.specs.get(one.name, ())
            there = [
                record
                for record in records
                if str(record.version) == one.version and all(record.matches(spec) for spec in asked)
            ]
            same = [record for record in there if (record.file_name, record.subdir) == (one.filename, one.subdir)]
            yield from same or (sorted(there, key=lambda record: record.build_number)[-1:] if asked else ())

    def _record(self, one: Candidate, *, shun_cpu: bool) -> RepoDataRecord:
        # A build that is there for the sake of another package is taken where nothing else fits.
        shunned = (shun_cpu and not one.build.gpu) or one.build.beside is not None
        record = self.made.get((id(one), shunned))
        if record is None:
            several = self.candidates.has_several_lines(one.build.project)
            record = _record(one, known=self.candidates.knows, shunned=shunned, by_line=several)
            self.made[id(one), shunned] = record
        self.taken[record.url] = one
        return record


@cache
def _gateway() -> Gateway:
    from rattler import Gateway

    return Gateway()


def solve_layer(
    candidates: Candidates,
    specs: Iterable[str],
    *,
    worst: Tier,
    prefer_gpu: bool,
    bounds: Iterable[str] = (),
    gpu_only: Collection[str] = (),
    made: MadeRecords | None = None,
    thorough: bool = True,
) -> Solution:
    """The newest set of builds that satisfies `specs`, from candidates no worse than `worst`.

    `bounds` hold for packages that others pull in; the packages in `gpu_only` may not fall to a CPU build. `made` keeps
    the records for further solves of the same candidates; without `thorough` only the newest releases of packages that
    are not judged take part. Raises `Unsolvable` when there is no such set, and what kept a channel from being read.
    """
    wanted, bounds = [*specs], [*bounds]
    source = _Records(
        candidates=candidates,
        worst=worst,
        prefer_gpu=prefer_gpu,
        gpu_only=gpu_only,
        made={} if made is None else made,
        specs=_by_name(wanted),
    )
    source.refuse_at_once()
    try:
        found = _solve(source, wanted, bounds)
    except Unsolvable:
        if not (source.is_part and thorough):
            raise
        found = None
    if found is None or (thorough and source.is_part and not _is_newest(found, source)):
        # An older release of what comes along may be what a newer one of something else needs.
        source.newest = False
        source.given.clear()
        found = _solve(source, wanted, bounds)
    return found


def _solve(source: _Records, specs: list[str], bounds: list[str]) -> Solution:
    from rattler import ChannelPriority, GenericVirtualPackage, MatchSpec, PackageName, Subdir, Version, solve
    from rattler.exceptions import GatewayError, SolverError
    from rattler.package import BuildString

    candidates = source.candidates
    solving = solve(
        sources=[source],
        gateway=_gateway(),
        specs=[MatchSpec(spec) for spec in specs],
        constraints=[MatchSpec(bound) for bound in bounds],
        platforms=[Subdir(subdir) for subdir in candidates.subdirs],
        virtual_packages=[
            GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
            for name, version, build in candidates.virtual_packages
        ],
        locked_packages=[*source.kept()],
        # Which channels count for a name was decided when its records were asked for.
        channel_priority=ChannelPriority.Disabled,
        timeout=_TIMEOUT,
    )
    try:
        picked = run_rattler(solving)
    except (SolverError, GatewayError) as error:
        if source.failure:
            raise source.failure from None
        if "cancelled" in str(error):
            raise ToolError("rattler found no answer within a minute", reasons=tuple(specs)) from error
        raise Unsolvable(str(error).strip()) from error
    judged = {record.name.normalized: source.taken[record.url] for record in picked if record.url in source.taken}
    return Solution(picks=judged, others=tuple(record for record in picked if record.url not in source.taken))


def _by_name(specs: list[str]) -> dict[str, list[MatchSpec]]:
    from rattler import MatchSpec

    wanted: dict[str, list[MatchSpec]] = {}
    for spec in specs:
        match = MatchSpec(spec)
        wanted.setdefault(match.name.normalized if match.name else "", []).append(match)
    return wanted


def _is_newest(found: Solution, source: _Records) -> bool:
    """Whether each judged package that was asked for has the newest release that its specs and the rules admit."""
    for name, matching in source.specs.items():
        pick = found.picks.get(name)
        records = source.admitted(name, source.candidates.get(name, []))
        admitted = [one.version for one in records if all(spec.matches(one) for spec in matching)]
        if pick and pick.build.record and admitted and max(admitted) > pick.build.record.version:
            return False
    return True


def _record(
    candidate: Candidate, *, known: Callable[[str], bool], shunned: bool, by_line: bool = False
) -> RepoDataRecord:
    from rattler import PackageRecord, RepoDataRecord
    from rattler.package import BuildString

    build = candidate.build
    if build.record is not None:
        return _preferred(build, shunned=shunned, by_line=by_line)
    record = PackageRecord(
        build.project,
        build.version,
        BuildString(build.build),
        build.number,
        "noarch",
        noarch="generic",
        # What neither the catalog nor a channel has is left to uv.
        depends=[depend for depend in build.depends if known(depend.split()[0])],
        constrains=list(build.constrains),
    )
    if shunned:
        record.track_features = ["cpu"]
    file_name = f"{build.project}-{build.version}-{build.build}-{build.wheel or 'meta'}.conda"
    return RepoDataRecord(record, file_name, f"{_CHANNEL}noarch/{file_name}", _CHANNEL)


def _preferred(build: Build, *, shunned: bool, by_line: bool) -> RepoDataRecord:
    """A copy of a channel's record with the order of preference in it, which channels leave open: builds for the GPU
    before those for the CPU, and with `by_line` of those with one build number the one for the newest CUDA.
    """
    from rattler import RepoDataRecord

    assert build.record is not None
    record = RepoDataRecord(build.record, build.record.file_name, build.record.url, build.record.channel)
    cuda = build.needs.cuda_newest
    if by_line and build.number < _MOST_NUMBER:
        record.build_number = build.number * _LINES + (cuda.major * 100 + cuda.minor if build.gpu and cuda else 0)
    own = [] if build.gpu else build.record.track_features
    record.track_features = [*own, "cpu"] if shunned else own
    return record


def offers(spec: str, package: tuple[str, str, str]) -> bool:
    """Whether a virtual package (name, version, build) is one that `spec` admits."""
    from rattler import MatchSpec, PackageRecord
    from rattler.package import BuildString

    name, version, build = package
    return MatchSpec(spec).matches(PackageRecord(name, version, BuildString(build), 0, "noarch", noarch="generic"))


def matches(spec: str, candidate: Candidate) -> bool:
    """Whether a candidate is one that `spec` (a MatchSpec) admits."""
    from rattler import MatchSpec

    record = candidate.build.record or _record(candidate, known=lambda _: False, shunned=False)
    return MatchSpec(spec).matches(record)
