"""What projects' own indexes say, from the cache where that is current, else from the network while there is time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self

from gpuenv import settings
from gpuenv.channels.index_logins import credentials_for
from gpuenv.channels.project_index_cache import IndexCache, KeptDocument, KeptPage, KeptRequirements
from gpuenv.channels.project_index_pages import Page
from gpuenv.channels.project_index_releases import IndexedRelease
from gpuenv.channels.simple_index import list_project
from gpuenv.channels.variants import LARGEST_VARIANTS_BYTES, VARIANTS_ENDING
from gpuenv.errors import GpuenvError, RequestError
from gpuenv.model import Reporter

if TYPE_CHECKING:
    from gpuenv._net import Client
    from gpuenv.channels.project_index_asking import Asking

__all__ = ["Answers"]

# The rest of the time is for what the releases on the pages require.
_SHARE_OF_PAGES = 2 / 3


class Answers:
    """Looks into the cache first, and asks for the rest; no connection is made where nothing is to be asked.

    What comes too late for this plan is still kept for the next, if the process lives long enough.
    """

    def __init__(self, cache: IndexCache, *, offline: bool, report: Reporter) -> None:
        self._cache = cache
        self._offline = offline
        self._report = report
        self._asking: Asking | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._asking:
            self._asking.close()
            self._cache.sweep()

    def pages(self, pages: Sequence[Page]) -> dict[Page, KeptPage]:
        """The content of each page, or the reason why there is none."""
        now = time.time()
        found: dict[Page, KeptPage] = {}
        for page in pages:
            kept = self._cache.page(page.key)
            if kept and (self._offline or kept.is_current(now)):
                found[page] = kept
        waiting = [page for page in pages if page not in found]
        if waiting and self._offline:
            return found | dict.fromkeys(waiting, KeptPage(asked=now, problem="offline, and not asked before"))
        if waiting:
            asking = self._begin()
            outcomes = asking.all(
                ((page, self._page_question(asking.client, page)) for page in waiting), share=_SHARE_OF_PAGES
            )
            late = KeptPage(asked=now, problem=f"no answer within {asking.seconds * _SHARE_OF_PAGES:g} seconds")
            for page in waiting:
                content = outcomes[page].value if page in outcomes else None
                found[page] = content or late
                if content is None:
                    self._cache.keep_page(page.key, late)
        return found

    def requirements(self, releases: Mapping[IndexedRelease, Page]) -> dict[IndexedRelease, KeptRequirements]:
        """What each release requires, as far as it was told in time. Questions are asked in the order given."""
        found: dict[IndexedRelease, KeptRequirements] = {}
        for release in releases:
            if kept := self._cache.requirements(release.file.sha256 or ""):
                found[release] = kept
        waiting = [release for release in releases if release not in found]
        if waiting and not self._offline:
            from gpuenv.channels.project_index_requirements import read_requirements

            asking = self._begin()

            def question(release: IndexedRelease) -> Callable[[], KeptRequirements]:
                return lambda: read_requirements(asking.client, release, releases[release].address, self._cache)

            outcomes = asking.all((release, question(release)) for release in waiting)
            found |= {release: one.value for release, one in outcomes.items() if one.value}
        return found

    def documents(self, addresses: Mapping[str, Page]) -> dict[str, bytes]:
        """The files at the addresses, as far as they came in time."""
        now = time.time()
        found: dict[str, bytes] = {}
        for address in addresses:
            kept = self._cache.document(address)
            if kept and (self._offline or kept.is_current(now)):
                found[address] = kept.content
        waiting = [address for address in addresses if address not in found]
        if waiting and not self._offline:
            asking = self._begin()

            def question(address: str) -> Callable[[], bytes]:
                login = credentials_for(address, indexes=(addresses[address].address,))
                return lambda: asking.client.get_bytes(address, limit=LARGEST_VARIANTS_BYTES, credentials=login)

            for address, outcome in asking.all((address, question(address)) for address in waiting).items():
                if outcome.value is not None:
                    found[address] = outcome.value
                    self._cache.keep_document(address, KeptDocument(asked=now, content=outcome.value))
        return found

    def _begin(self) -> Asking:
        if self._asking is None:
            # Most answers are kept ones, for which no network has to be loaded.
            from gpuenv.channels.project_index_asking import Asking

            self._report.step("asking projects' own indexes")
            self._asking = Asking(settings.PROJECT_INDEX_SECONDS)
        return self._asking

    def _page_question(self, client: Client, page: Page) -> Callable[[], KeptPage]:
        def ask() -> KeptPage:
            now = time.time()
            try:
                listed = list_project(client, page.address, page.wheel).files
                kept = tuple(file for file in listed if file.is_wheel or file.filename.endswith(VARIANTS_ENDING))
                content = KeptPage(asked=now, files=kept)
            except RequestError as error:
                # Where there is no such page the index answers, and has no builds of that line. An address that is
                # none is another matter.
                is_gone = error.message.startswith("there is no file at")
                content = KeptPage(asked=now, problem=None if is_gone else _short(error))
            except GpuenvError as error:
                content = KeptPage(asked=now, problem=_short(error))
            self._cache.keep_page(page.key, content)
            return content

        return ask


def _short(error: GpuenvError) -> str:
    return (error.reasons[0] if error.reasons else error.message)[:200]
