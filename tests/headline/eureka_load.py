"""How often callers and service instances asked the Eureka nodes, from the nodes' own access logs. Parsing is pure.

Each client of the registry gives its name as user name in the nodes' URLs, which a node without passwords ignores and
writes down: `tuned.caller`, `nothing.service`. The observer and the controller give none.
"""

from __future__ import annotations

import base64
from binascii import Error as NotBase64Error
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tests.stack.processes import ProcessError

ACCESS_LOG = {
    "server.tomcat.accesslog.enabled": "true",
    "server.tomcat.accesslog.directory": "${java.io.tmpdir}/access-${server.port}",
    "server.tomcat.accesslog.buffered": "false",
    "server.tomcat.accesslog.pattern": "%{msec}t %m %U %s %{Authorization}i",
}
"""Settings of the nodes."""


def read(folder: Path) -> list[str]:
    """The lines of all nodes whose temporary files are in this folder."""
    files = sorted(folder.glob("access-*/*"))
    if not files:
        raise ProcessError(f"no Eureka node has written an access log below {folder}")
    return [line for file in files for line in file.read_text().splitlines()]


def count(lines: Iterable[str], begin: float, end: float) -> Counter[tuple[str, str]]:
    """Requests between two moments (milliseconds since 1970) by who asked and what: `fetch`, `heartbeat`, `other`."""
    counted: Counter[tuple[str, str]] = Counter()
    for line in lines:
        at, method, where, _, authorization = line.split(" ", 4)
        who = _name(authorization)
        if who and begin <= int(at) <= end:
            counted[who, _what(method, where)] += 1
    return counted


def per_second(counted: Mapping[tuple[str, str], int], who: Collection[str], seconds: float) -> dict[str, float]:
    """By what was asked, and ``all``: of one client in the mean, where ``seconds`` are those of all of them."""
    asked: Counter[str] = Counter()
    for (name, what), number in counted.items():
        if name in who:
            asked[what] += number
    rates = {what: number / seconds for what, number in asked.items()}
    return rates | {"all": sum(rates.values())}


def _name(authorization: str) -> str:
    """The user name; empty: none was given."""
    scheme, _, text = authorization.partition(" ")
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[0] if scheme == "Basic" else ""
    except (NotBase64Error, UnicodeDecodeError):
        return ""


def _what(method: str, where: str) -> str:
    segments = where.split("/apps", 1)[-1].strip("/").split("/")
    if method == "GET":
        return "fetch"
    return "heartbeat" if method == "PUT" and len(segments) == 2 else "other"
