"""What the other parts use: a client that opens files and gets pages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Self

from gpuenv._net.addresses import Address, Login
from gpuenv._net.exchange import CutError, Exchange, Patience, refusal
from gpuenv._net.opening import open_file
from gpuenv._net.ranges import is_web_page, web_page
from gpuenv._net.remote_file import FetchedFile, RemoteFile
from gpuenv.errors import UnavailableError

__all__ = ["Client", "Page", "open_remote"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole body, its media type without parameters, and the address without login and query."""

    content: bytes
    kind: str
    location: str


class Client:
    """Opens files on servers and gets small ones whole. Several threads may use one; at most eight connections.

    Proxies, `.netrc` and certificates are found as `requests` finds them; `SSL_CERT_FILE` counts too. A login is in
    the address (`https://user:password@host/`) or given, as user and password or as a token alone; no message shows it.
    """

    def __init__(self, *, patience: Patience | None = None) -> None:
        self._exchange = Exchange(patience=patience or Patience())
        self._fetched: list[FetchedFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections and the temporary files. What it opened must be read no more."""
        while self._fetched:
            self._fetched.pop().close()
        self._exchange.close()

    def open(
        self,
        url: str,
        *,
        size_bytes: int | None = None,
        name: str | None = None,
        credentials: tuple[str, str] | str | None = None,
    ) -> RemoteFile:
        """The file at `url`, opened with one request where the server gives ranges.

        A server that gives none has the file fetched at once, to a temporary file when it is larger than 8 MB, which
        is removed when the file or the client is closed. `size_bytes` is what an index says of it, `name` its name
        where the address has none. RequestError where there is no file, UnavailableError where it cannot be had.
        """
        opened = open_file(self._exchange, _address(url, credentials), size_bytes=size_bytes)
        opened.name = name or opened.name
        if isinstance(opened, FetchedFile):
            self._fetched.append(opened)
        return opened

    def get_bytes(self, url: str, *, limit: int, credentials: tuple[str, str] | str | None = None) -> bytes:
        """A small file whole; UnavailableError where it has more than `limit` bytes, else as `open`."""
        return self._get(_address(url, credentials), limit=limit, headers={"Accept-Encoding": "identity"}).content

    def get_page(
        self, url: str, *, limit: int, accept: str = "*/*", credentials: tuple[str, str] | str | None = None
    ) -> Page:
        """A page of an index, HTML or JSON as `accept` says; errors as those of `get_bytes`."""
        headers = {"Accept": accept, "Accept-Encoding": "gzip"}
        return self._get(_address(url, credentials), limit=limit, headers=headers, page=True)

    def _get(self, address: Address, *, limit: int, headers: dict[str, str], page: bool = False) -> Page:
        patience = self._exchange.patience
        for attempt in range(patience.tries):
            try:
                return self._get_once(address, limit=limit, headers=headers, page=page)
            except CutError as error:
                if attempt + 1 == patience.tries:
                    raise UnavailableError(f"`{address.shown}` breaks off", reasons=(error.reason,)) from error
                self._exchange.pause(attempt)
        raise AssertionError

    def _get_once(self, address: Address, *, limit: int, headers: dict[str, str], page: bool) -> Page:
        content = bytearray()
        with self._exchange.ask(address, headers) as answer:
            if answer.status != HTTPStatus.OK:
                raise refusal(address, answer.status)
            for chunk in answer.body(decode=page):
                if not page and not content and is_web_page(answer.headers, chunk):
                    raise web_page(address)
                content += chunk
                if len(content) > limit:
                    raise UnavailableError(f"`{address.shown}` has more than {limit} bytes")
            compressed = answer.headers.get("Content-Encoding", "identity").strip().lower() != "identity"
            if not compressed and answer.length is not None and len(content) != answer.length:
                raise CutError(f"{len(content)} of {answer.length} bytes came")
            kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        return Page(content=bytes(content), kind=kind, location=address.shown)


def open_remote(
    url: str,
    *,
    size_bytes: int | None = None,
    name: str | None = None,
    credentials: tuple[str, str] | str | None = None,
    patience: Patience | None = None,
) -> RemoteFile:
    """As `Client.open`, for one file alone, whose connections are closed with it."""
    client = Client(patience=patience)
    try:
        opened = client.open(url, size_bytes=size_bytes, name=name, credentials=credentials)
    except BaseException:
        client.close()
        raise
    opened.on_close = client.close
    return opened


def _address(url: str, credentials: tuple[str, str] | str | None) -> Address:
    address = Address.parse(url)
    if credentials is None:
        return address
    if isinstance(credentials, str):
        return replace(address, login=Login(user="", password=credentials, is_bearer=True))
    return replace(address, login=Login(user=credentials[0], password=credentials[1]))
