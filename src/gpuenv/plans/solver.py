"""The GPU layer as conda records, solved by rattler. A solve of some hundred records takes a few milliseconds.

Preference is encoded where rattler looks: the highest version, then the highest build number; and where a GPU build
may be taken, CPU builds carry `track_features`, which rattler ranks below every build without.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from gpuenv.errors import ToolError
from gpuenv.plans.candidates import Candidate, Tier

if TYPE_CHECKING:
    from rattler import Gateway, PackageName, RepoDataRecord
    from rattler.platform import Platform

__all__ = ["MadeRecords", "Unsolvable", "matches", "solve_layer"]

MadeRecords = dict[tuple[int, bool], "RepoDataRecord"]
"""Candidates as rattler's records, by their identity and whether they are ranked below all others."""

_TIMEOUT = timedelta(seconds=60)
_LET_GO_SECONDS = 1.0
_CHANNEL = "https://gpu.invalid/"


class Unsolvable(Exception):  # noqa: N818  (an answer, not an error)
    """No set of builds satisfies the specs; the text is rattler's."""


class _Records:
    """The candidates as rattler asks for them (`rattler.RepoDataSource`)."""

    def __init__(self, records: Iterable[RepoDataRecord]) -> None:
        self.by_name: dict[str, list[RepoDataRecord]] = {}
        for record in records:
            self.by_name.setdefault(record.name.normalized, []).append(record)

    async def fetch_package_records(self, platform: Platform, name: PackageName) -> list[RepoDataRecord]:
        """The records of one package; all of them are `noarch`."""
        return self.by_name.get(name.normalized, []) if str(platform) == "noarch" else []

    def package_names(self, platform: Platform) -> list[str]:
        """The names of all packages."""
        return sorted(self.by_name) if str(platform) == "noarch" else []


@cache
def _gateway() -> Gateway:
    from rattler import Gateway

    return Gateway()


def solve_layer(
    candidates: Mapping[str, list[Candidate]],
    specs: Iterable[str],
    *,
    worst: Tier,
    prefer_gpu: bool,
    bounds: Iterable[str] = (),
    gpu_only: Collection[str] = (),
    made: MadeRecords | None = None,
) -> dict[str, Candidate]:
    """The newest set of builds that satisfies `specs`, by package name, from candidates no worse than `worst`.

    `bounds` hold for packages that others pull in; the packages in `gpu_only` may not fall to a CPU build. `made` keeps
    the records for further solves of the same candidates. Raises `Unsolvable` when there is no such set.
    """
    from rattler import MatchSpec, solve

    admitted = {
        name: [one for one in builds if one.tier <= worst and (one.build.gpu or name not in gpu_only)]
        for name, builds in candidates.items()
    }
    made = {} if made is None else made
    by_file: dict[str, Candidate] = {}
    records = []
    for builds in admitted.values():
        shun_cpu = prefer_gpu and any(one.build.gpu for one in builds)
        for one in builds:
            # A build that is there for the sake of another package is taken where nothing else fits.
            shunned = (shun_cpu and not one.build.gpu) or one.build.beside is not None
            record = made.get((id(one), shunned))
            if record is None:
                record = made[id(one), shunned] = _record(one, known=admitted.keys(), shunned=shunned)
            by_file[record.file_name] = one
            records.append(record)
    picked = _run(
        solve(
            sources=[_Records(records)],
            gateway=_gateway(),
            specs=[MatchSpec(spec) for spec in specs],
            constraints=[MatchSpec(bound) for bound in bounds],
            platforms=["noarch"],
            virtual_packages=[],
            timeout=_TIMEOUT,
        )
    )
    if isinstance(picked, Exception):
        if "cancelled" in str(picked):
            raise ToolError("rattler found no answer within a minute", reasons=tuple(specs))
        raise Unsolvable(str(picked).strip())
    return {record.name.normalized: by_file[record.file_name] for record in picked}


def _run(solving: Awaitable[list[RepoDataRecord]]) -> list[RepoDataRecord] | Exception:
    """What rattler answers. Where a loop runs already, as in a notebook, it is asked from a thread of its own."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(solving)
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(_run_here, solving).result()


def _run_here(solving: Awaitable[list[RepoDataRecord]]) -> list[RepoDataRecord] | Exception:
    from rattler import Version

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        held = sys.getrefcount(loop)
        answer = runner.run(_answer(solving))
        # A thread of rattler lets go of the loop a moment after it answered, and would bring the process down if
        # Python ended in that moment (seen as signals 6 and 11 in half of all runs of a short program).
        end = time.monotonic() + _LET_GO_SECONDS
        while sys.getrefcount(loop) > held and time.monotonic() < end:
            time.sleep(0.0001)
            # What the thread let go of without Python's lock is only given back when rattler is called again.
            Version("1")
        return answer


async def _answer(solving: Awaitable[list[RepoDataRecord]]) -> list[RepoDataRecord] | Exception:
    from rattler.exceptions import SolverError

    # An error that went up through the loop would keep hold of it.
    try:
        found: list[RepoDataRecord] = await solving
    except SolverError as error:
        return Exception(str(error))
    return found


def _record(candidate: Candidate, *, known: Iterable[str], shunned: bool) -> RepoDataRecord:
    from rattler import PackageRecord, RepoDataRecord
    from rattler.package import BuildString

    build = candidate.build
    record = PackageRecord(
        build.project,
        build.version,
        BuildString(build.build),
        build.number,
        "noarch",
        noarch="generic",
        # What the catalog holds no releases of is left to uv.
        depends=[depend for depend in build.depends if depend.split()[0] in known],
        constrains=list(build.constrains),
    )
    if shunned:
        record.track_features = ["cpu"]
    file_name = f"{build.project}-{build.version}-{build.build}-{build.wheel or 'meta'}.conda"
    return RepoDataRecord(record, file_name, f"{_CHANNEL}noarch/{file_name}", _CHANNEL)


def matches(spec: str, candidate: Candidate) -> bool:
    """Whether a candidate is one that `spec` (a MatchSpec) admits."""
    from rattler import MatchSpec

    return MatchSpec(spec).matches(_record(candidate, known=(), shunned=False))
