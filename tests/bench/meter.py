"""What goes over the wire to one server: a port in between that counts requests and bytes."""

from __future__ import annotations

from urllib.parse import urlsplit

from tests.stack.balancer import Balancer, Note

REQUEST = b" HTTP/1.1\r\n"
"""How a request's first line ends; an answer's begins with it."""


class Meter(Balancer):
    """Whoever uses its ``url`` instead of that of a server on this machine is counted."""

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        assert self._parts.port
        super().__init__(self._parts.port)
        self.requests = 0
        """HTTP's; a server of something else has none."""
        self.bytes = 0
        """Both ways."""

    @property
    def url(self) -> str:
        """The server's, but for host and port."""
        user = self._parts.netloc.rpartition("@")[:2]
        return self._parts._replace(netloc=f"{''.join(user)}127.0.0.1:{self.port}").geturl()

    def notes(self) -> tuple[Note, Note]:
        """Count what a connection carries; a request's first line may come in two pieces."""
        end = b""

        def asked(piece: bytes) -> None:
            nonlocal end
            self.bytes += len(piece)
            text = end + piece
            self.requests += text.count(REQUEST)
            end = text[-len(REQUEST) + 1 :]

        def answered(piece: bytes) -> None:
            self.bytes += len(piece)

        return asked, answered
