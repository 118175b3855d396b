"""Opens a file on a server: its size and its end in one request, or the whole of it where there is no other way.

answer to `bytes=-65536`         then
206, the end of the file         done
206, other bytes                 ask for the end by position (servers that read `-65536` as `0-65536`)
200, at most 8 MB                its body is the file, done
200, larger; 416; 400, 405, 501  ask for the end by position (servers that know no suffix ranges)
200 again                        one pass over the whole into a temporary file
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO

from gpuenv._net.addresses import Address
from gpuenv._net.exchange import Answer, CutError, Exchange, refusal
from gpuenv._net.ranges import (
    Edition,
    changed,
    check_encoding,
    is_web_page,
    read_content_range,
    size_when_refused,
    web_page,
)
from gpuenv._net.remote_file import FetchedFile, RemoteFile
from gpuenv.errors import IntegrityError, UnavailableError

__all__ = ["TAIL_BYTES", "open_file"]

TAIL_BYTES = 1 << 16
_WHOLE_AT_ONCE = 8 << 20
_LARGEST = 64 << 30
_NO_RANGES = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
_PLAIN = {"Accept-Encoding": "identity"}


def open_file(exchange: Exchange, address: Address, *, size_bytes: int | None = None) -> RemoteFile:
    """The file at `address`; `size_bytes` is its size where an index told it.

    RequestError where there is none; UnavailableError where the server does not give it or gives a web page instead;
    IntegrityError where it has another size.
    """
    opening = _Opening(exchange, address, expected=size_bytes)
    opened = opening.by_suffix() or opening.by_position() or opening.whole()
    if size_bytes is not None and opened.size_bytes != size_bytes:
        opened.close()
        raise IntegrityError(
            f"`{address.shown}` is not the file that the index lists",
            reasons=(f"it has {opened.size_bytes} bytes, and the index says {size_bytes}",),
        )
    return opened


@dataclass(slots=True)
class _Opening:
    exchange: Exchange
    address: Address
    expected: int | None
    total: int | None = None
    fetched: int = 0

    def by_suffix(self) -> RemoteFile | None:
        """With one request for the last bytes."""
        with self.exchange.ask(self.address, _PLAIN | {"Range": f"bytes=-{TAIL_BYTES}"}) as answer:
            if answer.status == HTTPStatus.PARTIAL_CONTENT:
                return self._from_tail(answer)
            if answer.status == HTTPStatus.OK:
                return self._from_small(answer)
            if answer.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                self.total = size_when_refused(answer.headers)
                return self._opened(0, b"", Edition.of(answer.headers)) if self.total == 0 else None
            if answer.status in _NO_RANGES:
                return None
            raise refusal(self.address, answer.status)

    def by_position(self) -> RemoteFile | None:
        """With the position of the last bytes, from the size that the server or the index told; else from byte 0."""
        total = self.total or self.expected
        start, stop = (max(0, total - TAIL_BYTES), total) if total else (0, 1)
        with self.exchange.ask(self.address, _PLAIN | {"Range": f"bytes={start}-{stop - 1}"}) as answer:
            if answer.status == HTTPStatus.PARTIAL_CONTENT:
                return self._from_position(answer, start, stop)
            if answer.status in _NO_RANGES | {HTTPStatus.OK, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
                return None
            raise refusal(self.address, answer.status)

    def whole(self) -> RemoteFile:
        """In one pass, to a temporary file when it is large; from the start again where the connection breaks."""
        for attempt in range(self.exchange.patience.tries):
            try:
                with self.exchange.ask(self.address, _PLAIN) as answer:
                    if answer.status != HTTPStatus.OK:
                        raise refusal(self.address, answer.status)
                    check_encoding(self.address, answer.headers)
                    return self._fetched(answer)
            except CutError as error:
                if attempt + 1 == self.exchange.patience.tries:
                    raise UnavailableError(
                        f"`{self.address.shown}` breaks off",
                        reasons=(error.reason, "the server gives no ranges, so that each try begins at the start"),
                    ) from error
                self.exchange.pause(attempt)
        raise AssertionError

    def _from_tail(self, answer: Answer) -> RemoteFile | None:
        """None where the server gave other bytes than the last ones."""
        check_encoding(self.address, answer.headers)
        found = read_content_range(answer.headers)
        if found is None:
            return None
        self.total = found.total
        if found.stop != (found.total or found.stop) or found.stop - found.start != min(found.stop, TAIL_BYTES):
            return None
        tail = self._taken(answer, found.stop - found.start)
        return self._opened(found.stop, tail, Edition.of(answer.headers))

    def _from_position(self, answer: Answer, start: int, stop: int) -> RemoteFile:
        check_encoding(self.address, answer.headers)
        found = read_content_range(answer.headers)
        if not found or found.start != start or found.stop > stop or not found.total:
            raise UnavailableError(
                f"the server answers questions for a part of `{self.address.shown}` with something else",
                reasons=(f"Content-Range is {answer.headers.get('Content-Range', '')[:80]!r}",),
            )
        if self.total and found.total != self.total:
            raise changed(self.address, f"it had {self.total} bytes and now has {found.total}")
        tail = self._taken(answer, found.stop - found.start)
        return self._opened(found.total, tail if found.stop == found.total else b"", Edition.of(answer.headers))

    def _from_small(self, answer: Answer) -> RemoteFile | None:
        """None where the body is too large to take it at once, or breaks off."""
        check_encoding(self.address, answer.headers)
        self.total = answer.length
        if answer.length is None or answer.length > _WHOLE_AT_ONCE:
            start = next(answer.body(), b"")
            if is_web_page(answer.headers, start):
                raise web_page(self.address)
            return None
        try:
            return self._fetched(answer)
        except CutError:
            return None

    def _taken(self, answer: Answer, size: int) -> bytes:
        """Empty where fewer or more bytes came."""
        content = bytearray()
        try:
            for chunk in answer.body():
                content += chunk
                if len(content) > size:
                    break
        except CutError:
            pass
        self.fetched += len(content)
        if is_web_page(answer.headers, bytes(content)):
            raise web_page(self.address)
        return bytes(content) if len(content) == size else b""

    def _opened(self, size: int, tail: bytes, edition: Edition) -> RemoteFile:
        return RemoteFile(
            self.exchange, self.address, size_bytes=size, edition=edition, tail=tail, fetched=self.fetched
        )

    def _fetched(self, answer: Answer) -> RemoteFile:
        content = tempfile.SpooledTemporaryFile(max_size=_WHOLE_AT_ONCE)  # noqa: SIM115  (the file keeps it open)
        try:
            size = self._fill(content, answer)
        except BaseException:
            content.close()
            raise
        return FetchedFile(self.exchange, self.address, size_bytes=size, content=content, fetched=self.fetched)

    def _fill(self, content: IO[bytes], answer: Answer) -> int:
        size = 0
        for chunk in answer.body():
            if not size and is_web_page(answer.headers, chunk):
                raise web_page(self.address)
            size += len(chunk)
            self.fetched += len(chunk)
            if size > _LARGEST:
                raise UnavailableError(f"`{self.address.shown}` has no end", reasons=(f"{size} bytes came",))
            try:
                content.write(chunk)
            except OSError as error:
                raise UnavailableError(
                    f"`{self.address.shown}` does not fit here", reasons=(error.strerror or str(error),)
                ) from error
        if answer.length is not None and size != answer.length:
            raise CutError(f"{size} of {answer.length} bytes came")
        return size
