"""A file on a server, read by ranges; where the server gives none, the whole of it was fetched before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from threading import Lock
from typing import IO, Self

from gpuenv._net.addresses import Address
from gpuenv._net.exchange import CHUNK_BYTES, Answer, CutError, Exchange, refusal
from gpuenv._net.ranges import Edition, changed, check_encoding, is_web_page, read_content_range, web_page
from gpuenv.errors import FormatError, RequestError, UnavailableError

__all__ = ["FetchedFile", "RemoteFile"]

# After so many bytes a connection that breaks does not count among the tries of the next one.
_PROGRESS_BYTES = 8 << 20


class RemoteFile:
    """A `Source`. Reading raises UnavailableError when the file changed, is gone, or the server stops answering.

    `tail` are its last bytes, which came when it was opened and are not asked for again. Several threads may read.
    """

    def __init__(
        self, exchange: Exchange, address: Address, *, size_bytes: int, edition: Edition, tail: bytes, fetched: int
    ) -> None:
        self.name = address.name
        self.location = address.shown
        self.size_bytes = size_bytes
        self.fetched_bytes = fetched
        self._exchange = exchange
        self._address = address
        self._edition = edition
        self._tail = tail
        self._tail_start = size_bytes - len(tail)
        self._conditional = True
        self.on_close: Callable[[], None] = lambda: None
        self._lock = Lock()

    @property
    def is_whole(self) -> bool:
        """Whether all of its bytes came when it was opened."""
        return self._tail_start == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of what was kept, and of the connections where they are for this file alone."""
        self.on_close()

    def read(self, start: int, stop: int) -> bytes:
        """Exactly the bytes from `start` to `stop`; FormatError past the end of the file."""
        return b"".join(self.stream(start, stop))

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The same bytes in chunks as they arrive. A connection that breaks is taken up where it was, a few times."""
        check_range(self, start, stop)
        at, failures, since = start, 0, 0
        while at < min(stop, self._tail_start):
            try:
                for chunk in self._range(at, min(stop, self._tail_start)):
                    at += len(chunk)
                    since += len(chunk)
                    yield chunk
            except CutError as error:
                failures = 1 if since >= _PROGRESS_BYTES else failures + 1
                since = 0
                if failures >= self._exchange.patience.tries:
                    raise UnavailableError(
                        f"`{self.location}` breaks off at byte {at}", reasons=(error.reason,), hints=("try again",)
                    ) from error
                self._exchange.pause(failures - 1)
        if stop > at:
            yield self._tail[at - self._tail_start : stop - self._tail_start]

    def _range(self, start: int, stop: int) -> Iterator[bytes]:
        """One request; CutError where the body is shorter than the range."""
        conditional = self._conditional
        headers = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        with self._exchange.ask(self._address, headers | (self._edition.condition if conditional else {})) as answer:
            if answer.status == HTTPStatus.OK and conditional and self._is_same(answer):
                # The server does not know `If-Range` and takes any condition for a failed one.
                self._conditional = False
                raise CutError("the server sends the whole file instead of a range")
            self._check(answer, start, stop)
            left = stop - start
            for chunk in answer.body():
                with self._lock:
                    self.fetched_bytes += len(chunk)
                if len(chunk) > left:
                    raise UnavailableError(f"the server sends more of `{self.location}` than was asked for")
                left -= len(chunk)
                yield chunk
            if left:
                raise CutError(f"{left} bytes are missing")

    def _is_same(self, answer: Answer) -> bool:
        here = Edition.of(answer.headers)
        known = here.etag == self._edition.etag and here.modified == self._edition.modified
        return known and bool(self._edition.condition) and answer.length == self.size_bytes

    def _check(self, answer: Answer, start: int, stop: int) -> None:
        """UnavailableError unless the answer is the range that was asked for, of the file that was opened."""
        if answer.status in {HTTPStatus.OK, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
            if is_web_page(answer.headers, next(answer.body(), b"") if answer.status == HTTPStatus.OK else b""):
                raise web_page(self._address)
            raise changed(self._address, "the server no longer gives a range of the file that was opened")
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            error = refusal(self._address, answer.status)
            if isinstance(error, RequestError):
                raise changed(self._address, f"it is gone: {error.reasons[0]}")
            raise error
        check_encoding(self._address, answer.headers)
        found = read_content_range(answer.headers)
        if found and found.total not in {None, self.size_bytes}:
            raise changed(self._address, f"it had {self.size_bytes} bytes and now has {found.total}")
        if self._edition.differs(Edition.of(answer.headers)):
            raise changed(self._address, "its ETag or date of change is another")
        if not found or (found.start, found.stop) != (start, stop):
            raise UnavailableError(
                f"the server gives other bytes of `{self.location}` than were asked for",
                reasons=(
                    f"asked for {start}-{stop - 1}, Content-Range is {answer.headers.get('Content-Range', '')[:80]!r}",
                ),
            )


class FetchedFile(RemoteFile):
    """A file that was fetched whole into `content`, which is closed with it."""

    def __init__(
        self, exchange: Exchange, address: Address, *, size_bytes: int, content: IO[bytes], fetched: int
    ) -> None:
        edition = Edition(etag=None, modified=None)
        super().__init__(exchange, address, size_bytes=size_bytes, edition=edition, tail=b"", fetched=fetched)
        self._content = content

    @property
    def is_whole(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """As any remote file; a temporary file is removed."""
        self._content.close()
        super().close()

    def stream(self, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to `stop` in chunks; FormatError past the end of the file."""
        check_range(self, start, stop)
        while start < stop:
            with self._lock:
                self._content.seek(start)
                chunk = self._content.read(min(CHUNK_BYTES, stop - start))
            if not chunk:
                raise UnavailableError(f"what was fetched of `{self.location}` is gone")
            start += len(chunk)
            yield chunk


def check_range(file: RemoteFile, start: int, stop: int) -> None:
    """FormatError for bytes that the file does not have."""
    if not 0 <= start <= stop <= file.size_bytes:
        raise FormatError(f"`{file.name}` has {file.size_bytes} bytes and is asked for byte {stop}")
