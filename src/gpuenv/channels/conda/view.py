"""The packages of conda channels as a solver sees them: by name, each name from the first channel that has it.

rattler's gateway reads the channels (repodata.json, its zstd form, shards; files and servers), keeps them in its cache
and makes Python objects only of the records of names that are asked for.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gpuenv.artifacts.conda_index import subdir_of
from gpuenv.channels.catalog import Build
from gpuenv.channels.conda.client import repodata_directory
from gpuenv.channels.conda.failures import explain_gateway
from gpuenv.channels.conda.gpu_builds import gpu_builds
from gpuenv.channels.conda.places import ChannelPlace, without_secrets
from gpuenv.channels.conda.running import run_rattler
from gpuenv.channels.conda.watching import while_they_answer

if TYPE_CHECKING:
    from rattler import Client, Gateway, RepoDataRecord, Subdir

__all__ = ["ChannelView", "Channels", "newest_releases"]

ENOUGH_BUILDS = 40
"""How many builds of a package that has nothing to do with GPUs are looked at first. In a channel of 500,000 records a
solve over all builds takes six times as long (2026-11-25).
"""


@dataclass(slots=True, kw_only=True)
class Channels:
    """The channels of a request, in order of priority, for every platform that it is about.

    With `strict` a name that one channel has is never taken from a later one. `placed` names packages that are to come
    from one channel (`conda-forge::numpy`). `offline` takes what was fetched before.
    """

    places: tuple[ChannelPlace, ...]
    strict: bool = True
    offline: bool = False
    placed: dict[str, ChannelPlace] = field(default_factory=dict)
    make_client: Callable[[], Client] | None = None
    resolve: Callable[[str], ChannelPlace]
    _views: dict[str, ChannelView] = field(default_factory=dict)
    _gateway: Gateway | None = None

    def view(self, platform: str) -> ChannelView:
        """The channels for a platform (`linux-x86_64`)."""
        if platform not in self._views:
            self._views[platform] = ChannelView(channels=self, subdir=subdir_of(platform))
        return self._views[platform]

    def place(self, name: str, channel: str) -> None:
        """From now on a package is to come from one channel, which takes part as well if it did not."""
        place = self.resolve(channel)
        known = next((one for one in self.places if one.address == place.address), None)
        if known is None:
            self.places = (*self.places, place)
        self.placed[name] = known or place
        for view in self._views.values():
            view.forget(name)

    @property
    def gateway(self) -> Gateway:
        """The one gateway of the request; making it takes some milliseconds, and it holds what was read."""
        if self._gateway is None:
            from rattler import Gateway
            from rattler.repo_data.gateway import SourceConfig

            self._gateway = Gateway(
                cache_dir=repodata_directory(),
                default_config=SourceConfig(cache_action="force-cache-only" if self.offline else "cache-or-fetch"),
                client=self.make_client() if self.make_client else None,
            )
        return self._gateway


@dataclass(slots=True, kw_only=True)
class ChannelView:
    """The channels for one platform: its own directory of each channel and `noarch`."""

    channels: Channels
    subdir: str
    _records: dict[str, tuple[RepoDataRecord, ...]] = field(default_factory=dict)
    _stems: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _asking: dict[str, asyncio.Future[tuple[RepoDataRecord, ...]]] = field(default_factory=dict)
    _by_subdir: dict[tuple[str, bool], dict[str, list[RepoDataRecord]]] = field(default_factory=dict)
    _builds: dict[str, tuple[Build, ...] | None] = field(default_factory=dict)

    async def fetch(self, name: str) -> tuple[RepoDataRecord, ...]:
        """The records of one package; none where no channel has it. Errors as `explain_gateway` tells them."""
        if name not in self._records:
            # A solver asks for the two directories of a channel at once.
            asking = self._asking.get(name)
            if asking is None:
                asking = self._asking[name] = asyncio.ensure_future(self._ask(name))
            try:
                self._records[name] = await asking
            finally:
                self._asking.pop(name, None)
        return self._records[name]

    def records(self, name: str) -> tuple[RepoDataRecord, ...]:
        """The same, for those who do not run in a loop."""
        if name not in self._records:
            run_rattler(self.fetch(name))
        return self._records[name]

    def has(self, name: str) -> bool:
        """Whether some channel has a package of that name."""
        return bool(self.records(name))

    async def fetch_of(self, name: str, subdir: str, *, newest: bool) -> tuple[list[RepoDataRecord], bool]:
        """The records of one package in one directory of its channel, and whether there are more of the package.

        With `newest` only those of its newest releases, which is enough for most requests.
        """
        records = await self.fetch(name)
        known = self._by_subdir.get((name, newest))
        if known is None:
            chosen = newest_releases(name, records, self._stems[name]) if newest else records
            known = self._by_subdir[name, newest] = {}
            for record in chosen:
                known.setdefault(record.subdir, []).append(record)
        return known.get(subdir, []), len(records) > sum(map(len, known.values()))

    def has_met(self, name: str) -> bool:
        """Whether some channel has a package of a name that was asked for before; False for other names."""
        return bool(self._records.get(name))

    def nearest_names(self, name: str) -> tuple[str, ...]:
        """Up to three names of packages in the channels that look like `name`."""
        from rattler.exceptions import GatewayError, InvalidChannelError

        addresses = [place.fetch_address for place in self.channels.places]
        try:
            asking = self.channels.gateway.names(addresses, self._directories())
            names = run_rattler(while_they_answer(asking, self.channels.places))
        except (GatewayError, InvalidChannelError) as error:
            raise explain_gateway(error, self.channels.places) from error
        return tuple(difflib.get_close_matches(name, {one.normalized for one in names}, n=3, cutoff=0.72))

    def forget(self, name: str) -> None:
        """Lets a package be asked for anew."""
        self._records.pop(name, None)
        for newest in (False, True):
            self._by_subdir.pop((name, newest), None)
        self._builds.pop(name, None)

    def builds(self, name: str) -> tuple[Build, ...] | None:
        """The records of a package as builds that the rules judge; None where none of them has to do with GPUs."""
        if name not in self._builds:
            records = self.records(name)
            self._builds[name] = gpu_builds(name, records, self._stems[name])
        return self._builds[name]

    def _directories(self) -> list[Subdir]:
        from rattler import Subdir

        return [Subdir(self.subdir), Subdir("noarch")]

    async def _ask(self, name: str) -> tuple[RepoDataRecord, ...]:
        from rattler import PackageName
        from rattler.exceptions import GatewayError, InvalidChannelError, InvalidPackageNameError

        places = (self.channels.placed[name],) if name in self.channels.placed else self.channels.places
        addresses = [place.fetch_address for place in places]
        try:
            asked = PackageName(name).normalized
        except InvalidPackageNameError:
            # Some record depends on what is no name, and nothing can be had of it.
            self._stems[name] = ()
            return ()
        try:
            asking = self.channels.gateway.query(addresses, self._directories(), [asked], recursive=False)
            found = await while_they_answer(asking, places)
        except (GatewayError, InvalidChannelError) as error:
            raise explain_gateway(error, places) from error
        listed = _by_priority(found, places, strict=self.channels.strict)
        self._stems[name] = tuple(stem for stem, _ in listed)
        return tuple(record for _, record in listed)


def newest_releases(name: str, records: Sequence[RepoDataRecord], stems: Sequence[str]) -> Sequence[RepoDataRecord]:
    """The records of a package's newest releases, at least `ENOUGH_BUILDS` of them; all where there are no more.
    `stems` are their file names without endings.
    """
    if len(records) <= ENOUGH_BUILDS:
        return records
    releases: dict[str, list[RepoDataRecord]] = {}
    for stem, record in zip(stems, records, strict=True):
        # `NAME-VERSION-BUILD`, taken apart since a version of its own for each record takes much longer.
        version = stem[len(name) + 1 :].rpartition("-")[0]
        releases.setdefault(version, []).append(record)
    kept: list[RepoDataRecord] = []
    for there in sorted(releases.values(), key=lambda one: one[0].version, reverse=True):
        kept += there
        if len(kept) >= ENOUGH_BUILDS:
            break
    return kept


Listed = list[tuple[str, "RepoDataRecord"]]
"""Records with their file names without endings."""


def _by_priority(found: Iterable[list[RepoDataRecord]], places: Sequence[ChannelPlace], *, strict: bool) -> Listed:
    """The records of the first channel that has any, all of them where channels count alike; each file once, in an
    order that is not the channel's, since a solver takes the first of two that are alike.
    """
    every = _each_once(record for records in found for record in records)
    if not strict or len(places) == 1:
        return every
    for place in places:
        own = [one for one in every if without_secrets(one[1].channel or "").rstrip("/") == place.address]
        if own:
            return own
    return every


def _each_once(records: Iterable[RepoDataRecord]) -> Listed:
    """Of a file that is listed twice, by two channels or in two parts of one, the first record, by name of file."""
    found: dict[tuple[str, str], RepoDataRecord] = {}
    for record in records:
        stem = record.file_name.removesuffix(".conda").removesuffix(".tar.bz2")
        found.setdefault((stem, record.subdir), record)
    return [(key[0], found[key]) for key in sorted(found)]
