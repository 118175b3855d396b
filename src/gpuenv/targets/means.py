"""What looking into artifacts takes: a client for servers, the cache of readings, who listens, and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import TypeVar

from gpuenv._net import Client, RemoteFile
from gpuenv.artifacts.cache import ReadingCache, open_cache
from gpuenv.artifacts.conda_index import CONDA_ENDINGS
from gpuenv.artifacts.installed import FoundEnvironment
from gpuenv.channels.conda.logins import logged_in
from gpuenv.errors import UnavailableError
from gpuenv.model import Reading, Reporter
from gpuenv.targets.in_channels import ChannelPackages
from gpuenv.targets.stopping import Crew

__all__ = ["Looked", "Means", "open_means"]

_ARTIFACTS_AT_ONCE = 4
_SECONDS_TO_STOP = 2.0

Asked = TypeVar("Asked")
Given = TypeVar("Given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """A reading, what was fetched for it, and which Python its artifact was chosen for, where that was a choice."""

    reading: Reading
    fetched_bytes: int = 0
    python: str | None = None
    note: str | None = None


@dataclass(slots=True, kw_only=True)
class Means:
    """For one command. The client is made at the first file that is on a server.

    `stopped` is set when the user wants no more: then reading from servers breaks off wherever it is. `known` and
    `environments` hold what this command has looked into already, for its further machines.
    """

    cache: ReadingCache
    offline: bool
    report: Reporter
    closing: ExitStack
    client: Client | None = None
    lock: Lock = field(default_factory=Lock)
    stopped: Event = field(default_factory=Event)
    known: dict[str, Looked] = field(default_factory=dict)
    busy: dict[str, Lock] = field(default_factory=dict)
    channels: ChannelPackages = field(default_factory=ChannelPackages)
    environments: dict[Path, tuple[FoundEnvironment, tuple[Reading, ...]]] = field(default_factory=dict)

    def open_file(self, url: str, *, name: str, size_bytes: int | None) -> RemoteFile:
        """The file at `url`, to be closed by the caller; UnavailableError when no network may be asked. For a conda
        package the logins count that rattler keeps in files.
        """
        if self.offline:
            raise UnavailableError(
                f"offline, and `{name}` was not read before",
                hints=("leave out `--offline`, or give the path of the file here",),
            )
        with self.lock:
            if self.client is None:
                self.client = self.closing.enter_context(Client())
        address, credentials = logged_in(url) if name.endswith(CONDA_ENDINGS) else (url, None)
        return self.client.open(address, size_bytes=size_bytes, name=name, credentials=credentials)

    @contextmanager
    def alone_with(self, key: str) -> Iterator[None]:
        """Inside, no other thread of this command looks into the same file."""
        with self.lock:
            one = self.busy.setdefault(key, Lock())
        with one:
            yield

    def each(self, work: Callable[[Asked], Given], asked: Iterable[Asked]) -> list[Given]:
        """The results of `work`, several at once, in the order of `asked`. The first error ends it all.

        The work is always done by other threads, so that whoever is interrupted is the one that waits here. They get
        a moment to keep what they have, and the program can end without those that hang.
        """
        several = list(asked)
        crew = Crew(work, several)
        try:
            crew.run(min(_ARTIFACTS_AT_ONCE, len(several)))
        except BaseException:
            self.stopped.set()
            crew.end(_SECONDS_TO_STOP)
            raise
        return [crew.results[number] for number in range(len(several))]


@contextmanager
def open_means(*, cache: bool, offline: bool, report: Reporter, channels: tuple[str, ...] = ()) -> Iterator[Means]:
    """The means for one command; connections are closed at the end. `channels` are conda channels by priority."""
    with ExitStack() as closing:
        yield Means(
            cache=open_cache(enabled=cache),
            offline=offline,
            report=report,
            closing=closing,
            channels=ChannelPackages(words=channels, offline=offline),
        )
