"""How a server-sent event is written. Whatever is put into a field stays in it."""

from __future__ import annotations

from controller.domain.printable import printable


def event_bytes(data: bytes, *, event: str, event_id: str = "") -> bytes:
    r"""Write one event. ``data`` is JSON of one line, in which a newline is escaped.

    >>> event_bytes(b"{}", event="drain", event_id="a\nevent: end")
    b'event: drain\nid: a?event: end\ndata: {}\n\n'
    """
    identified = f"id: {printable(event_id)}\n" if event_id else ""
    head = f"event: {event}\n{identified}data: "
    # Each of these ends a line for a browser. JSON has none of them outside of its strings, nor inside.
    return head.encode() + data.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"


def comment_bytes(text: str) -> bytes:
    """Write what is for whoever looks at the stream."""
    return f": {printable(text)}\n\n".encode()
