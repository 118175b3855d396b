"""A web server on the loopback interface, whatever it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["serving"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Clients that ask many things at once would wait a second for a place in the usual queue of five.
    request_queue_size = 64

    def handle_error(self, *_: object) -> None:
        """Nothing: clients hang up at any time."""


@contextmanager
def serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Inside, requests to the host and port given are answered with `handler`."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
