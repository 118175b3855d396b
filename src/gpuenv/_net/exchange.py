"""One question to a server and its answer: tries, redirects, time limits, and what a failure means for the user.

Tries and redirects are counted here and not by `requests`, which reads the body of each answer that it passes over to
its end, however long that is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from gpuenv import __version__, settings
from gpuenv._net.addresses import Address, Login
from gpuenv.errors import GpuenvError, RequestError, UnavailableError

if TYPE_CHECKING:
    import requests

__all__ = ["CHUNK_BYTES", "Answer", "CutError", "Exchange", "Patience", "refusal"]

CHUNK_BYTES = 1 << 18
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LOGIN_HINTS = (
    "put `user:password@` before the host in the address, such as that in `UV_DEFAULT_INDEX` or `UV_INDEX`",
    "or write the login into `~/.netrc`",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait and how often to try. `backoff_seconds` doubles with each further try.

    A server that sends for `read_seconds` less than `slowest` bytes per second counts as one that sends nothing.
    """

    connect_seconds: float = 20.0
    read_seconds: float = 60.0
    tries: int = 4
    backoff_seconds: float = 0.5
    longest_pause_seconds: float = 30.0
    slot_seconds: float = 1800.0
    redirects: int = 10
    slowest: int = 256


class CutError(Exception):
    """A body ended or stopped before its end; `reason` says how."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Answer:
    """What a server answered; the body is read in chunks of about 256 KiB."""

    def __init__(self, response: requests.Response, patience: Patience) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._patience = patience

    @property
    def length(self) -> int | None:
        """The length of the body as the server promises it."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None

    def body(self, *, decode: bool = False) -> Iterator[bytes]:
        """The body; CutError where it breaks off. `decode` undoes a compression that was asked for."""
        waiting: list[bytes] = []
        size = 0
        cut: CutError | None = None
        try:
            for piece in self._pieces(decode=decode):
                waiting.append(piece)
                size += len(piece)
                if size >= CHUNK_BYTES:
                    yield b"".join(waiting)
                    waiting, size = [], 0
        except CutError as error:
            # What came before it is taken, so that it is not asked for again.
            cut = error
        if waiting:
            yield b"".join(waiting)
        if cut:
            raise cut

    def _pieces(self, *, decode: bool) -> Iterator[bytes]:
        """As they arrive. Only the time that is spent waiting counts as slowness of the server."""
        waited, arrived = 0.0, 0
        while True:
            began = time.monotonic()
            piece = self._read(decode=decode)
            if not piece:
                return
            waited += time.monotonic() - began
            arrived += len(piece)
            if waited > self._patience.read_seconds:
                if arrived < waited * self._patience.slowest:
                    raise CutError(f"only {arrived} bytes came in {waited:.0f} seconds")
                waited, arrived = 0.0, 0
            yield piece

    def _read(self, *, decode: bool) -> bytes:
        import requests
        from urllib3.exceptions import HTTPError

        try:
            piece: bytes = self._response.raw.read1(CHUNK_BYTES, decode_content=decode)
        except (HTTPError, requests.RequestException, OSError, ValueError) as error:
            raise CutError(_reason(error, self._patience)) from error
        return piece


class Exchange:
    """Asks servers, several threads at once, over at most `connections` connections."""

    def __init__(self, *, patience: Patience, connections: int = 8) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self.patience = patience
        self._slots = BoundedSemaphore(connections)
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=connections))
        self._session.headers["User-Agent"] = f"gpuenv/{__version__}"
        # REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE are read by `requests` and go before this one.
        self._session.verify = settings.variable("SSL_CERT_FILE") or True

    def close(self) -> None:
        """Closes the connections that wait for further questions."""
        self._session.close()

    @contextmanager
    def ask(self, address: Address, headers: Mapping[str, str]) -> Iterator[Answer]:
        """The answer to a GET of `address`, whatever its status, after redirects and as many tries as it takes.

        UnavailableError when no server answers.
        """
        if not self._slots.acquire(timeout=self.patience.slot_seconds):
            raise UnavailableError(f"all connections are in use, `{address.shown}` cannot be asked for")
        try:
            response = self._try(address, headers)
            try:
                yield Answer(response, self.patience)
            finally:
                response.close()
        finally:
            self._slots.release()

    def pause(self, attempt: int, asked: str | None = None) -> None:
        """Waits before a further try, longer each time or as long as the server asked for, within bounds."""
        seconds = self.patience.backoff_seconds * 2.0**attempt
        if asked and asked.isascii() and asked.isdecimal() and len(asked) < 6:
            seconds = float(asked)
        time.sleep(min(seconds, self.patience.longest_pause_seconds))

    def _try(self, address: Address, headers: Mapping[str, str]) -> requests.Response:
        import requests
        from urllib3.exceptions import HTTPError

        last = self.patience.tries - 1
        for attempt in range(last + 1):
            try:
                response = self._follow(address, headers)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                # Where no connection can be made at all, a second try is enough.
                if _is_final(error) or attempt >= min(last, 1 if _is_no_connection(error) else last):
                    raise _unreachable(address, error, self.patience) from error
                self.pause(attempt)
                continue
            if response.status_code not in _TRY_AGAIN or attempt == last:
                return response
            asked = response.headers.get("Retry-After")
            response.close()
            self.pause(attempt, asked)
        raise AssertionError

    def _follow(self, address: Address, headers: Mapping[str, str]) -> requests.Response:
        current = address
        for _ in range(self.patience.redirects + 1):
            response = self._get(current, headers)
            target = self._session.get_redirect_target(response)
            if target is None:
                return response
            response.close()
            current = _redirected(current, target)
        raise UnavailableError(
            f"`{address.shown}` leads from one address to the next without end",
            reasons=(f"{self.patience.redirects} redirects were followed",),
        )

    def _get(self, address: Address, headers: Mapping[str, str]) -> requests.Response:
        return self._session.get(
            address.url,
            headers=dict(headers),
            auth=_shown_to_server(address.login) if address.login else None,
            stream=True,
            allow_redirects=False,
            timeout=(self.patience.connect_seconds, self.patience.read_seconds),
        )


def _shown_to_server(login: Login) -> Callable[[requests.PreparedRequest], requests.PreparedRequest]:
    """What puts a login into a request; a header alone would give way to one in `.netrc`."""
    from requests.auth import HTTPBasicAuth

    def with_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {login.password}"
        return request

    # As bytes, since `requests` writes text in Latin-1, which not every password is.
    return with_token if login.is_bearer else HTTPBasicAuth(login.user.encode(), login.password.encode())


def _redirected(origin: Address, target: str) -> Address:
    """Where a redirect leads; a login goes along on the same server only."""
    try:
        address = Address.parse(urljoin(origin.url, target))
    except (RequestError, ValueError) as error:
        raise UnavailableError(f"`{origin.shown}` leads to an address that is none", reasons=(str(error),)) from error
    if address.login is None and address.same_server(origin):
        return Address(url=address.url, shown=address.shown, name=address.name, login=origin.login)
    return address


def refusal(address: Address, status: int) -> GpuenvError:
    """What a status other than success means: RequestError for a file that is not there, UnavailableError else."""
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    reasons = (f"the server answers {phrase}",)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return RequestError(f"there is no file at `{address.shown}`", reasons=reasons)
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return UnavailableError(
            "the proxy wants a login", reasons=reasons, hints=("put `user:password@` into `HTTPS_PROXY`",)
        )
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        said = "does not accept the login" if address.login else "wants a login"
        return UnavailableError(f"the server of `{address.shown}` {said}", reasons=reasons, hints=_LOGIN_HINTS)
    return UnavailableError(f"the server does not give `{address.shown}`", reasons=reasons, hints=("try again later",))


def _unreachable(address: Address, error: Exception, patience: Patience) -> UnavailableError:
    return UnavailableError(
        f"`{address.shown}` cannot be reached",
        reasons=(_reason(error, patience),),
        hints=("check the network; `HTTPS_PROXY` names a proxy, `SSL_CERT_FILE` your certificates",),
    )


def _is_no_connection(error: Exception) -> bool:
    import requests

    return isinstance(error, requests.ConnectTimeout) or any(
        type(one).__name__ in {"NewConnectionError", "NameResolutionError"} for one in _chain(error)
    )


def _is_final(error: Exception) -> bool:
    """Whether a further try would end the same way."""
    import requests

    wrong = (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    return isinstance(error, wrong) or not isinstance(error, requests.RequestException | OSError)


def _chain(error: BaseException) -> list[BaseException]:
    """The error and those it was made from, outermost first."""
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting and len(found) < 20:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]
    return found


def _reason(error: Exception, patience: Patience) -> str:
    """What went wrong in the words of the system, never those of `requests`, which repeat the whole address."""
    chain = _chain(error)
    names = {type(one).__name__ for one in chain}
    if "ConnectTimeoutError" in names or "ConnectTimeout" in names:
        return f"no connection within {patience.connect_seconds:.0f} seconds"
    if names & {"ReadTimeoutError", "ReadTimeout", "TimeoutError", "timeout"}:
        return f"nothing came for {patience.read_seconds:.0f} seconds"
    if "NameResolutionError" in names or "gaierror" in names:
        return "the host's name is not known"
    for one in chain:
        if untrusted := getattr(one, "verify_message", ""):
            return f"the server's certificate is not trusted: {untrusted}"
    if "IncompleteRead" in names:
        return "the connection ended before all had come"
    for one in reversed(chain):
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
        if type(one) is OSError and one.args:
            # How `requests` says that the file of certificates is not there.
            return str(one.args[0])
    if "ProxyError" in names:
        return "the proxy does not let the connection through"
    return f"the connection broke ({type(chain[-1]).__name__})"
