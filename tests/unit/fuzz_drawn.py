"""Hostile input by the ten thousand: seeded, cheap, and the same again for the same seed.

Each example has a randomness of its own, so that it does not depend on those before it. ``FUZZ_SEED`` varies the run:
any text is a seed, and ``random`` draws one. A failure reports the seed and the example's number.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import random
import re
import secrets
import sys
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.parse import unquote

import msgspec
from aio_pika import Message
from aio_pika.abc import HeadersType
from loguru import logger
from yarl import URL

from controller.app.worker_parts import build_worker
from controller.domain.commands import WorkItem
from controller.domain.guard_policy import RecentTakeOuts
from controller.domain.ledger import Ledger
from controller.eureka.caches import Caches
from controller.eureka.index import Index
from controller.eureka.node import NOBODY, Node
from controller.eureka.region import EurekaRegion
from controller.eureka.transport import NodeAccess
from controller.flows.priority import PriorityGate
from controller.flows.worker_policy import WorkerPolicy
from controller.logs import configure
from controller.messages import v1
from controller.messages.codec import COMMAND_TYPE, CONTENT_TYPE, EVENT_TYPE, RESTORE_TYPE, decode_item
from controller.messages.groups import parts_of
from controller.rabbit import names
from controller.rabbit.consumer import RegionConsumer
from controller.rabbit.delay import LEVELS
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import BrokerSettings, LogSettings, RegionSettings, SecretUrl
from tests.fakes.log import FakeLog
from tests.fakes.observer import FakeObserver
from tests.fakes.virtual_time import elapsed, virtual_clock

SEED = os.environ.get("FUZZ_SEED", "noon")
if SEED == "random":
    SEED = secrets.token_hex(4)
SHARE = 1 if os.environ.get("FAULTS") == "all" else 10
"""Every day a tenth of them is tried; `make faults` tries all, more than a hundred thousand."""
COUNTS = {
    "annotations": 36_000 // SHARE,
    "bodies": 30_000 // SHARE,
    "answers": 28_000 // SHARE,
    "talks": 2_400 // SHARE,
    "objects": 14_000 // SHARE,
    "watches": 200 // SHARE,
    "events": 4_000 // SHARE,
}
"""How many examples of each kind; tests/unit/test_fuzz_*.py."""
MAX_KINDS = 12
"""Different failures that one run tells."""

TEXTS = [
    *("", " ", ".", "..", "/", "\\", "//", "../..", "..%2f..", "%2e%2e", "a/b", "a\\b", "/apps/X", "?value=UP", "#x"),
    *("a?b=c", "a;b", "a&b", "a b", "a+b", "100%", "%", "%00", "%zz", "{", "}", "{}", "{0}", "{ip}", "{port}", "{app}"),
    *("{hostname}", "{name}:{app}:{port}", "{ip.__class__}", "{0.__class__.__mro__}", "{{ip}}", "{ip", "ip}", "{a}{b}"),
    *("\x00", "a\x00b", "\r\n", "a\nX-Injected: 1", "\x1b[31m", "\x7f", "\x85", "\u2028", "\u202egnirts", "\ufeff"),
    *("\U0001f600", "größe", "日本", "ﬀ", "ß", "ı", "İ", "e\u0301", "٨٠", "９", "½", "\ufffd", "\U0010ffff"),
    *("0", "-1", "00080", "8080", "65535", "65536", "99999", "1e3", "0x50", "+80", "80 ", "NaN", "Infinity", "1_0"),
    *("30s", "5m", "0s", "-5m", "1.5h", "365d", "366d", "999999999d", "500ms", "5 m", "5M", "P1D", "s", "1e9s"),
    *("true", "false", "TRUE", " True ", "yes", "no", "null", "None", "*", "eu", "us", "eu,us", "EU", "eu.*.#", "#"),
    *("a,,b", ",", "10.1.0.7", "10.1.0.8", "::1", "FD00:0:0:0:0:0:1:7%eth0", "0.0.0.0", "127.0.0.1", "999.1.1.1"),
    *("orders", "ORDERS", "orders-0", "orders-0:orders:8080", "10.1.0.7:orders:8080", "UP", "OUT_OF_SERVICE", "DOWN"),
    *("STARTING", "UNKNOWN", "<script>", "<html>", "' OR 1=1", "$(id)", "${jndi:ldap://x}", "x" * 63, "x" * 64),
    *("x" * 512, "x" * 513, "x" * 1_024, "x" * 1_025, "/" * 200, "é" * 300, "2025-06-01T12:00:00Z"),
    *("2025-06-01T12:00:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59-14:00"),
    *("Running", "Failed", "Succeeded", "Unknown", "terminating", "drain", "retire", "delete", "restore"),
]
TIMES = [
    "0001-01-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-14:00",
]
TIMES += ["1970-01-01T00:00:00Z", "2025-06-01T11:59:59.999Z", "2025-06-01T12:00:00Z", "2025-06-01T12:00:01Z"]
TIMES += ["2025-06-01T12:10:00Z", "2025-06-02T12:00:00Z", "2024-02-29T00:00:00+05:30", "2025-06-01T12:00:00.000001Z"]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT")
NUMBERS = [0, 1, -1, 2, 30, 80, 8080, 65_535, 65_536, 99_999, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, 2**63, 2**64]
NUMBERS += [-(2**63), 10**13, -(10**15), 10**18, 10**30, -(10**30), 1_748_779_200_123, 32_503_680_000_000]
GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"<html>502 Bad Gateway</html>",
    b"\xff\xfe\x00",
    b"[" * 60_000,
    b'{"a":' * 20_000,
]
GARBAGE += [b'"\\ud800"', b"NaN", b"\xef\xbb\xbf{}", b"1e400", b"9" * 5_000, b" " * 300_000, b"\x00" * 50]


class Draw(random.Random):
    """The randomness of one example."""

    def maybe(self, chance: float) -> bool:
        """True as often as that."""
        return self.random() < chance

    def text(self) -> str:
        """A text that somebody hostile, or careless, would write."""
        kind = self.random()
        if kind < 0.55:
            return self.choice(TEXTS)
        if kind < 0.8:
            return "".join(self.choices(TEXTS, k=self.randint(2, 4)))
        if kind < 0.97:
            return "".join(self._character() for _ in range(self.randint(0, 24)))
        return self.choice(("x", "/", "é", "{ip}", "\n", ".")) * self.choice((200, 257, 600, 2_049, 9_000, 70_000))

    def _character(self) -> str:
        code = self.choice((self.randint(0, 0x7F), self.randint(0, 0xFF), self.randint(0, 0x10FFFF)))
        return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)

    def junk(self) -> Any:
        """Any JSON value."""
        kind = self.random()
        if kind < 0.35:
            return self.text()
        if kind < 0.65:
            return self.choice(NUMBERS)
        if kind < 0.8:
            return self.choice((None, True, False, 1.5, -0.0, 1e308))
        if kind < 0.9:
            return [self.junk() for _ in range(self.randint(0, 3))]
        if kind < 0.99:
            return {self.text()[:40]: self.junk() for _ in range(self.randint(0, 3))}
        return [self.junk()] * self.choice((100, 1_000))

    def alike(self, value: Any) -> Any:
        """Another value of its kind, which a decoder may believe."""
        match value:
            case bool():
                return not value
            case int():
                return self.choice(NUMBERS)
            case str() if _TIME.match(value):
                return self.choice(TIMES)
            case str():
                return self.text()[:250]
            case list():
                return value[:1]
            case dict():
                return {}
            case _:
                return self.junk()

    def mutated(self, whole: Any) -> Any:
        """Change one place of a JSON document, which is spoilt by that."""
        here, at = self._place(whole)
        if here is None:
            return self.junk()
        value, kind = here[at], self.random()
        if self.maybe(0.45):
            here[at] = self.alike(value)
        elif kind < 0.2:
            del here[at]
        elif kind < 0.3 and isinstance(value, int | float):
            here[at] = str(value)
        elif kind < 0.3 and isinstance(value, str) and value.isdigit():
            here[at] = int(value)
        elif kind < 0.36:
            here[at] = value[0] if isinstance(value, list) and value else [value]
        elif kind < 0.4:
            here[at] = {"": value}
        elif kind < 0.43:
            for _ in range(50):
                here[at] = [here[at]]
        elif kind < 0.48 and isinstance(value, list) and len(value) < 50:
            here[at] = value * self.choice((2, 10, 40))
        elif kind < 0.53 and isinstance(here, dict):
            here[self.choice((at.lower(), at.upper(), self.text()[:40]))] = here.pop(at)
        elif kind < 0.75:
            here[at] = self.text()
        else:
            here[at] = self.junk()
        return whole

    def _place(self, whole: Any) -> tuple[Any, Any]:
        here, at = None, None
        inner = whole
        while isinstance(inner, dict | list) and inner and (here is None or self.maybe(0.75)):
            here = inner
            at = self.choice(list(here)) if isinstance(here, dict) else self.randrange(len(here))
            inner = here[at]
        return here, at

    def spoilt(self, body: bytes) -> bytes:
        """Spoil a document's bytes."""
        found = bytearray(body)
        for _ in range(self.randint(1, 3)):
            at = self.randrange(len(found) + 1)
            kind = self.random()
            if kind < 0.4 and at < len(found):
                found[at] ^= 1 << self.randrange(8)
            elif kind < 0.55:
                del found[at : at + self.randint(1, 40)]
            elif kind < 0.65:
                del found[at:]
            elif kind < 0.8:
                found[at:at] = self.choice((b"\x00", b"\xff", b'"', b"\\", b"{", b"}", b"[", b",", b"1", b"\\u0000"))
            elif kind < 0.9:
                found[at:at] = found[at : at + 60]
            else:
                found[at:at] = self.text().encode()
        return bytes(found)

    def document(self, whole: str, *, untouched: float = 0.1) -> bytes:
        """The bytes of a JSON document: as it is, changed in some places, spoilt, or something else."""
        kind = self.random()
        if kind < untouched:
            return whole.encode()
        if kind > 0.98:
            return self.choice(GARBAGE)
        if kind > 0.96:
            return self.randbytes(self.randint(0, 80))
        if kind > 0.85:
            return self.spoilt(whole.encode())
        document = json.loads(whole)
        for _ in range(self.choice((1, 1, 1, 2, 3, 6))):
            document = self.mutated(document)
        return json.dumps(document).encode()


def from_wire(body: bytes) -> WorkItem:
    """A command as it is received."""
    return decode_item(body, type_=COMMAND_TYPE, content_type=CONTENT_TYPE)


class Tally(Counter[str]):
    """What became of the examples. Failures are gathered by their place, so that one does not hide the others."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what
        self._failures: dict[str, list[str]] = {}
        self.draws = (Draw(f"{SEED} {what} {number}") for number in range(COUNTS[what]))

    def failed(self, error: BaseException) -> None:
        """Note a failure of the example that is being looked at."""
        lines = traceback.extract_tb(error.__traceback__)
        place = f"{type(error).__name__} in {lines[-1].name}, {lines[-1].filename}:{lines[-1].lineno}"
        report = "".join(traceback.format_exception(error))[-3_000:]
        self._failures.setdefault(place, []).append(f"example {self.total()}: {report}")
        self["failed"] += 1

    def conclude(self) -> None:
        """Every example was looked at, and none of them failed."""
        kinds = sorted(self._failures.items(), key=lambda kind: -len(kind[1]))
        report = [f"{len(found)} times {place}, first {found[0]}" for place, found in kinds[:MAX_KINDS]]
        assert not report, "\n\n".join([f"FUZZ_SEED={SEED}: {self._what}", *report])
        assert self.total() == COUNTS[self._what]


def fuzz(what: str, check: Callable[[Draw], str]) -> Tally:
    """Check every example; ``check`` says what became of it."""
    tally = Tally(what)
    for draw in tally.draws:
        try:
            tally[check(draw)] += 1
        except Exception as error:
            tally.failed(error)
    tally.conclude()
    return tally


async def fuzz_async(what: str, check: Callable[[Draw], Awaitable[str]]) -> Tally:
    """Check every example, one after the other."""
    tally = Tally(what)
    for draw in tally.draws:
        try:
            tally[await check(draw)] += 1
        except Exception as error:
            tally.failed(error)
    tally.conclude()
    return tally


_SEGMENT = r"(?:[A-Za-z0-9_.~-]|%[0-9A-F]{2})+"
_CALLS = re.compile(
    rf"GET /eureka/apps|GET /eureka/vips/{NOBODY}"
    rf"|GET /eureka/instances/({_SEGMENT})|GET /eureka/apps/({_SEGMENT})/({_SEGMENT})"
    rf"|PUT /eureka/apps/({_SEGMENT})/({_SEGMENT})/status\?value=(?:OUT_OF_SERVICE|DOWN)"
    rf"|DELETE /eureka/apps/({_SEGMENT})/({_SEGMENT})(?:/status\?value=UP)?"
)


def is_allowed(request: str) -> bool:
    """Whether this is one of the calls of a drain, with each name in it one quoted path segment.

    A PUT without a status would be a heartbeat for somebody else.
    """
    found = _CALLS.fullmatch(request)
    return found is not None and all(_is_segment(unquote(name)) for name in found.groups() if name is not None)


def _is_segment(name: str) -> bool:
    controls = any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in name)
    return name not in ("", ".", "..") and not controls and not set(name) & set("/\\")


EMPTY_LIST = '{"applications": {"versions__delta": "-1", "apps__hashcode": "", "application": []}}'


class RecordedSession:
    """In place of aiohttp's: notes every request, and answers from a registry that believes everything.

    Whatever is asked for exists, at the address of the pod, until it is deleted. ``garble`` may change each answer.
    """

    def __init__(self, *, ip: str = "10.1.0.7", garble: Callable[[int, str], tuple[int, bytes]] | None = None) -> None:
        self.requests: list[str] = []
        self.listed: list[dict[str, Any]] = []
        self.app = "ORDERS"
        """Under which an id is found that nobody registered."""
        self._ip = ip
        self._garble = garble
        self._overrides: dict[str, str] = {}
        self._gone: set[str] = set()

    def request(
        self, method: str, url: URL, *, headers: dict[str, str], timeout: object, allow_redirects: bool, ssl: object
    ) -> Any:
        """As ``aiohttp.ClientSession.request``."""
        request = f"{method} {url.raw_path_qs}"
        self.requests.append(request)
        assert is_allowed(request), f"not a call of ours: {request!r}"
        assert str(url) == f"http://eureka{url.raw_path_qs}"
        assert set(headers) == {"Accept", "Accept-Encoding"}
        assert not allow_redirects
        status, text = self._answer(method, url.raw_path_qs.removeprefix("/eureka/"))
        return _answering(*(self._garble(status, text) if self._garble else (status, text.encode())))

    def _answer(self, method: str, path: str) -> tuple[int, str]:
        if path == f"vips/{NOBODY}":
            return 200, EMPTY_LIST
        if path == "apps":
            return 200, json.dumps({"applications": {"application": [{"instance": one} for one in self.listed]}})
        parts = path.partition("?")[0].split("/")
        app, instance_id = ("", unquote(parts[1])) if parts[0] == "instances" else map(unquote, parts[1:3])
        if instance_id in self._gone:
            return 404, ""
        if method == "GET":
            return 200, json.dumps({"instance": self._held(app, instance_id)})
        if method == "PUT":
            self._overrides[instance_id] = path.rpartition("=")[2]
        elif path.endswith("/status?value=UP"):
            self._overrides.pop(instance_id, None)
        else:
            self._gone.add(instance_id)
        return 200, ""

    def _held(self, app: str, instance_id: str) -> dict[str, Any]:
        held = next((one for one in self.listed if one["instanceId"] == instance_id), registration(self._ip))
        override = self._overrides.get(instance_id)
        shown = {"status": override, "overriddenStatus": override} if override else {}
        return {**held, "app": app or self.app, "instanceId": instance_id, **shown}


def registration(ip: str = "10.1.0.7") -> dict[str, Any]:
    """What a server says of the pod of tests.unit.building; an hour before noon it came up."""
    return {
        "instanceId": "orders-0:orders:8080",
        "hostName": "orders-0",
        "app": "ORDERS",
        "ipAddr": ip,
        "status": "UP",
        "overriddenStatus": "UNKNOWN",
        "port": {"$": 8080, "@enabled": "true"},
        "leaseInfo": {
            "renewalIntervalInSecs": 30,
            "durationInSecs": 90,
            "registrationTimestamp": 1_748_775_610_000,
            "lastRenewalTimestamp": 1_748_779_280_000,
        },
        "metadata": {"management.port": "8080"},
    }


@asynccontextmanager
async def _answering(status: int, body: bytes) -> AsyncIterator[Any]:
    async def chunks(_: int) -> AsyncIterator[bytes]:
        yield body

    async def read() -> bytes:
        return body

    content = SimpleNamespace(iter_chunked=chunks)
    yield SimpleNamespace(status=status, headers={}, content_length=len(body), content=content, read=read)


@dataclass(frozen=True, slots=True)
class Published:
    """A message that was handed to the broker."""

    exchange: str
    key: str
    message: Message

    @property
    def comes_back(self) -> bool:
        """Whether the region's consumer gets it."""
        return self.exchange.startswith(names.DELAY) or self.exchange == names.COMMANDS

    @property
    def delay(self) -> int:
        """The seconds that it spends in the delay queues; none where it comes straight back."""
        if self.exchange == names.COMMANDS:
            return 0
        return int("".join(self.key.split(".")[:LEVELS]), 2)


class RecordedOutbox(RabbitOutbox):
    """The product's, down to each message's bytes and properties; then it is kept instead of sent."""

    def __init__(self) -> None:
        super().__init__(settings=BrokerSettings(), regions=("eu",))
        self.published: list[Published] = []

    def at(self, exchange: str) -> list[Published]:
        """What was sent to exchanges whose names begin so; the event log is a queue's name."""
        return [one for one in self.published if one.exchange.startswith(exchange)]

    @property
    def events(self) -> list[v1.EventV1]:
        """What the event log says."""
        written = (part for one in self.at(names.EVENTS) for part in parts_of(one.message.body, one.message.type))
        return [_event.decode(body) for body, _ in written]

    async def _publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        type_: str | None,
        message_id: str | None,
        *,
        headers: HeadersType | None = None,
        content_type: str | None = CONTENT_TYPE,
    ) -> None:
        message = Message(body, content_type=content_type, message_id=message_id, type=type_, headers=headers)
        # What cannot be written fails here as it does for real.
        message.properties.marshal()
        assert 0 < len(key.encode()) < 256
        self.published.append(Published(exchange or key, key, message))


_event = msgspec.json.Decoder(v1.EventV1)


class Delivered:
    """A message as the broker hands it to a consumer."""

    def __init__(
        self,
        body: bytes,
        *,
        type_: str | None = COMMAND_TYPE,
        content_type: str | None = CONTENT_TYPE,
        again: bool = False,
    ) -> None:
        self.body = body
        self.type = type_
        self.content_type = content_type
        self.message_id = "message-1"
        self.timestamp = None
        self.redelivered = again
        self.channel = SimpleNamespace(is_closed=False)
        self.headers: dict[str, Any] = {}
        self.acknowledged = 0

    async def ack(self, multiple: bool = False) -> None:
        """Handled."""
        self.acknowledged += 1


class Bench:
    """The product's consumer, worker and adapter, between a broker and a registry that only take notes."""

    def __init__(self, session: RecordedSession, **policy: Any) -> None:
        self.session = session
        self.outbox = RecordedOutbox()
        begun = elapsed()

        def clock() -> datetime:
            """Every example begins at noon."""
            return virtual_clock() - timedelta(seconds=begun)

        url = "http://eureka/eureka"
        region = EurekaRegion("eu", RegionSettings(nodes=[SecretUrl(url)]), clock=clock)
        node = Node(session, NodeAccess(url=SecretUrl(url)), clock=clock)  # type: ignore[arg-type]
        region.nodes = {node.url: node}
        region.caches = Caches(region="eu", nodes=[node])
        region.index = Index(region="eu", nodes=[node], clock=clock, timeout=timedelta(seconds=3))
        self.worker = build_worker(
            registry=region,
            outbox=self.outbox,
            policy=WorkerPolicy(**{"retention": timedelta(minutes=5), **policy}),
            clock=clock,
            observer=FakeObserver(),
            priority=PriorityGate(),
            ledger=Ledger(),
            log=FakeLog(),
            recent_take_outs=RecentTakeOuts(),
        )
        self.consumer = RegionConsumer(
            settings=BrokerSettings(), region="eu", prefetch=1, outbox=self.outbox, handle=self.worker.handle
        )
        self.consumer._waiting_room.close()  # each step is a message of its own

    async def take(self, message: Delivered) -> list[Published]:
        """Have a message handled; gives what was published meanwhile. It must be acknowledged, and never dropped."""
        before = len(self.outbox.published)
        await self.consumer._see_through(message)  # type: ignore[arg-type]
        assert message.acknowledged == 1
        published = self.outbox.published[before:]
        # The last look for further instances may find nothing more: then an earlier step has written the outcome.
        reported = published or [one for one in self.outbox.published if one.message.type == EVENT_TYPE]
        assert reported or message.type == RESTORE_TYPE, "the message left no trace"
        for one in published:
            reason = (one.message.headers or {}).get("x-reason")
            assert one.exchange != names.DEAD or reason, "parked without a reason"
        return published

    async def follow(self, published: list[Published], *, steps: int) -> int:
        """Hand what comes back to the region's queue to the consumer again, so many times at most; gives the times."""
        waiting = [one for one in published if one.comes_back]
        for step in range(steps):
            if not waiting:
                return step
            one = waiting.pop(0)
            await asyncio.sleep(one.delay)
            published = await self.take(Delivered(one.message.body, type_=one.message.type))
            reasons = [str((more.message.headers or {}).get("x-reason", "")) for more in published]
            assert not any("not a valid" in why for why in reasons), f"we cannot read what we wrote: {reasons}"
            waiting += [one for one in published if one.comes_back]
        return steps


@contextmanager
def every_log_a_line() -> Iterator[None]:
    """Write logs as the product does, and prove that each is one line of JSON."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    lines = _Lines()
    with patch.object(sys, "stderr", lines):
        configure(LogSettings(format="json", level="INFO"))
    try:
        yield
    finally:
        logger.remove()
        logger.add(sys.__stderr__ or sys.stderr)
        root.handlers[:] = handlers
        root.setLevel(level)
    assert not lines.broken, lines.broken[:3]


class _Lines(io.TextIOBase):
    def __init__(self) -> None:
        self.broken: list[str] = []

    def write(self, text: str) -> int:
        if not (text.startswith('{"time": ') and text.endswith("}\n") and text[:-1].isprintable()):
            self.broken.append(text)
        return len(text)
