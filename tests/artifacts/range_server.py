"""A web server on the loopback interface that gives ranges of files, and misbehaves in one way at a time.

with RangeServer({"a.whl": content}) as server:
    server.ranges = "none"
    client.open(server.address("a.whl"))
    assert server.asked == [...]
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Literal, Self
from urllib.parse import unquote, urlsplit

from loopback_server import serving

__all__ = ["RangeServer", "Reply"]

Ranges = Literal["all", "none", "no suffix", "suffix read as a start", "suffix refused", "refused", "other bytes"]


@dataclass(kw_only=True)
class Reply:
    """What goes out, open to change; `sent` bytes of the body are sent, all of it when None."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: int | None = None
    seconds_per_byte: float = 0.0


class RangeServer:
    """`change` gets the number of each request (from 1) and its reply, and may spoil it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.ranges: Ranges = "all"
        self.etag: str | None = '"one"'
        self.modified: str | None = "Mon, 05 Oct 2026 10:00:00 GMT"
        self.login: str | None = None
        self.understands_if_range = True
        self.content_type = "application/octet-stream"
        self.redirects: dict[str, str] = {}
        self.change: Callable[[int, Reply], None] = lambda _number, _reply: None
        self.asked: list[str | None] = []
        self.headers: list[dict[str, str]] = []
        self.sent_bytes = 0
        self._lock = threading.Lock()
        self.host = ""
        self._serving = ExitStack()

    def __enter__(self) -> Self:
        self.host = self._serving.enter_context(serving(_handler(self)))
        return self

    def __exit__(self, *_: object) -> None:
        self._serving.close()

    def address(self, name: str, *, login: str = "", query: str = "") -> str:
        """Where a file is."""
        return f"http://{login + '@' if login else ''}{self.host}/{name}{'?' + query if query else ''}"

    def reply(self, path: str, headers: Mapping[str, str]) -> Reply:
        """The answer to one request."""
        name = unquote(urlsplit(path).path.lstrip("/"))
        with self._lock:
            self.asked.append(headers.get("Range"))
            self.headers.append(dict(headers))
            number = len(self.asked)
        reply = self.honest(name, headers)
        self.change(number, reply)
        return reply

    def count(self, size: int) -> None:
        """Counts bytes of bodies that went out."""
        with self._lock:
            self.sent_bytes += size

    def honest(self, name: str, headers: Mapping[str, str]) -> Reply:
        """The answer of a server that behaves."""
        if name in self.redirects:
            return Reply(status=302, headers={"Location": self.redirects[name]}, body=b"")
        if self.login and headers.get("Authorization") != "Basic " + base64.b64encode(self.login.encode()).decode():
            return Reply(status=401, headers={"WWW-Authenticate": "Basic"}, body=b"who are you?")
        if name not in self.files:
            return Reply(status=404, headers={}, body=b"no such file")
        content = self.files[name]
        about = {"Content-Type": self.content_type}
        about |= {"ETag": self.etag} if self.etag else {}
        about |= {"Last-Modified": self.modified} if self.modified else {}
        wanted = headers.get("Range") if self._may_give_range(headers) else None
        return self._part(content, wanted, about) if wanted else Reply(status=200, headers=about, body=content)

    def _may_give_range(self, headers: Mapping[str, str]) -> bool:
        condition = headers.get("If-Range")
        if condition is None:
            return True
        return self.understands_if_range and condition in {self.etag, self.modified}

    def _part(self, content: bytes, wanted: str, about: dict[str, str]) -> Reply:
        found = re.fullmatch(r"bytes=(\d*)-(\d*)", wanted)
        assert found
        size = len(content)
        if found[1]:
            start, stop = int(found[1]), min(size, int(found[2]) + 1)
        elif self.ranges == "suffix read as a start":
            start, stop = 0, min(size, int(found[2]) + 1)
        else:
            start, stop = max(0, size - int(found[2])), size
        if self.ranges == "none" or (self.ranges == "no suffix" and not found[1]):
            return Reply(status=200, headers=about, body=content)
        if self.ranges == "refused":
            return Reply(status=405, headers={}, body=b"")
        if (self.ranges == "suffix refused" and not found[1]) or start >= size:
            return Reply(status=416, headers={"Content-Range": f"bytes */{size}"}, body=b"")
        if self.ranges == "other bytes":
            start, stop = 0, min(size, 100)
        return Reply(
            status=206,
            headers=about | {"Content-Range": f"bytes {start}-{stop - 1}/{size}"},
            body=content[start:stop],
        )


def _handler(server: RangeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            # Not counted among what was asked: whoever counts means bytes that are read.
            name = unquote(urlsplit(self.path).path.lstrip("/"))
            reply = server.honest(name, {key.title(): value for key, value in self.headers.items()})
            self._send_head(reply)

        def do_GET(self) -> None:
            # Names of headers have no case (RFC 9110, 5.1), and rattler writes them small.
            headers = {name.title(): value for name, value in self.headers.items()}
            reply = server.reply(self.path, headers)
            try:
                self._send(reply)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _send_head(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in ({"Content-Length": str(len(reply.body))} | reply.headers).items():
                self.send_header(name, value)
            self.end_headers()

        def _send(self, reply: Reply) -> None:
            self._send_head(reply)
            body = reply.body if reply.sent is None else reply.body[: reply.sent]
            step = 1 if reply.seconds_per_byte else 1 << 20
            for start in range(0, len(body), step):
                # Counted before it goes out, since the client may look at the count as soon as it came.
                server.count(len(body[start : start + step]))
                self.wfile.write(body[start : start + step])
                if reply.seconds_per_byte:
                    self.wfile.flush()
                    time.sleep(reply.seconds_per_byte)
            if reply.sent is not None:
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
