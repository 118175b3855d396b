"""What looking into artifacts takes: a client for servers, the cache of readings, who listens, and threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TypeVar

from gpuenv._net import Client, RemoteFile
from gpuenv.artifacts.cache import ReadingCache, open_cache
from gpuenv.artifacts.installed import FoundEnvironment
from gpuenv.errors import UnavailableError
from gpuenv.model import Reading, Reporter

__all__ = ["Looked", "Means", "open_means"]

_ARTIFACTS_AT_ONCE = 4

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

    `known` and `environments` hold what this command has looked into already, for its further machines.
    """

    cache: ReadingCache
    offline: bool
    report: Reporter
    closing: ExitStack
    client: Client | None = None
    lock: Lock = field(default_factory=Lock)
    known: dict[str, Looked] = field(default_factory=dict)
    environments: dict[Path, tuple[FoundEnvironment, tuple[Reading, ...]]] = field(default_factory=dict)

    def open_file(self, url: str, *, name: str, size_bytes: int | None) -> RemoteFile:
        """The file at `url`, to be closed by the caller; UnavailableError when no network may be asked."""
        if self.offline:
            raise UnavailableError(
                f"offline, and `{name}` was not read before",
                hints=("leave out `--offline`, or give the path of the file here",),
            )
        with self.lock:
            if self.client is None:
                self.client = self.closing.enter_context(Client())
        return self.client.open(url, size_bytes=size_bytes, name=name)

    def each(self, work: Callable[[Asked], Given], asked: Iterable[Asked]) -> list[Given]:
        """The results of `work`, several at once, in the order of `asked`. The first error ends it all."""
        several = list(asked)
        if len(several) < 2:
            return [work(one) for one in several]
        with ThreadPoolExecutor(min(_ARTIFACTS_AT_ONCE, len(several)), thread_name_prefix="gpuenv") as pool:
            try:
                return list(pool.map(work, several))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


@contextmanager
def open_means(*, cache: bool, offline: bool, report: Reporter) -> Iterator[Means]:
    """The means for one command; connections are closed at the end."""
    with ExitStack() as closing:
        yield Means(cache=open_cache(enabled=cache), offline=offline, report=report, closing=closing)
