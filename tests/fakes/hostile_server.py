"""A server in a thread of its own that answers each path with bytes made before: what it costs is not the client's."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit


class Said(NamedTuple):
    """An answer."""

    body: Iterable[bytes]
    headers: Mapping[str, str] = MappingProxyType({})
    status: int = 200


Answer = Callable[[str, dict[str, str], str], Said]
"""From a path, its query and the header ``Accept``."""


@contextmanager
def hostile_server(answer: Answer) -> Iterator[str]:
    """Serve on loopback; yield the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            said = answer(parts.path, dict(parse_qsl(parts.query)), self.headers.get("Accept", ""))
            with suppress(ConnectionError):  # the client has had enough
                self.send_response(said.status)
                for name, value in {"Content-Type": "application/json", **said.headers}.items():
                    self.send_header(name, value)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in filter(None, said.body):
                    self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
                self.wfile.write(b"0\r\n\r\n")

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
