"""A caller's process, and what it has written so far.

It is the stock client: Spring Boot's RestClient with Spring Cloud LoadBalancer, no retries. The Eureka client brings
Apache's HTTP client, which Spring Boot then takes; it tries once more by itself where a connection that it had kept was
closed. Its timeouts are 2 s to connect and 10 s to read, as teams set them; stock there are none.

Stock caches have periods that are the same or nearly so, here and at the Eureka nodes (which fill theirs at :00 and :30
of every minute), so that one process keeps its place in them for as long as it lives. Hence a new one for each round.

Trap: the last line may be half written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.headline.calls import Call, parse
from tests.headline.variants import PER_SECOND, Variant
from tests.stack.processes import Process

_SMALL_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms64m", "-Xmx160m", "-Xss512k", "-XX:-UsePerfData")
_TIMEOUTS = {"spring.http.client.connect-timeout": "2s", "spring.http.client.read-timeout": "10s"}


class Caller(Process):
    """Calls one variant's service; ready when it has made a call."""

    def __init__(
        self, variant: Variant, nodes: Sequence[str], jar: Path, folder: Path, *, given: Mapping[str, str]
    ) -> None:
        """``given`` is the environment that a pod of its namespace has, beside its manifest's."""
        self.variant = variant
        self.calls: list[Call] = []
        """Of all its processes."""
        self.renewing = False
        self._nodes, self._jar, self._folder = nodes, jar, folder
        self._number, self._read = 1, 0
        log = folder / f"{variant.key}.log"
        super().__init__(
            f"caller of {variant.key}", self._command(), log=log, ready=self._has_called, env=os.environ | given
        )

    async def rotate_credentials(self) -> None:
        """Be another process, whose caches begin now."""
        self.renewing = True
        await self.kill()
        self.look()
        # What the old one was writing is left behind with its file.
        self._number, self._read = self._number + 1, 0
        self.command = self._command()
        await self.start()
        self.renewing = False

    def look(self) -> list[Call]:
        """All calls so far, by the time they ended; what is new is read."""
        if self._file.exists():
            with self._file.open("rb") as file:
                file.seek(self._read)
                whole, newline, _ = file.read().rpartition(b"\n")
            self._read += len(whole) + len(newline)
            self.calls += parse(whole.decode().splitlines())
        return self.calls

    def answered_by(self, last: int) -> set[str]:
        """The instances of the last calls; a lost one counts as nobody's."""
        calls = self.look()[-last:]
        return {"" if call.lost else call.instance for call in calls} if len(calls) == last else set()

    @property
    def _file(self) -> Path:
        return self._folder / f"{self.variant.key}.{self._number}.calls"

    def _command(self) -> list[str]:
        settings = {
            "spring.application.name": f"caller-of-{self.variant.key}",
            "eureka.client.service-url.defaultZone": ",".join(self._nodes),
            "caller.service": self.variant.key,
            "caller.log": str(self._file),
            "caller.per-second": str(PER_SECOND),
            **_TIMEOUTS,
        }
        flags = [f"--{name}={value}" for name, value in settings.items()]
        return ["java", *_SMALL_JVM, f"-Djava.io.tmpdir={self._folder}", "-jar", str(self._jar), *flags]

    async def _has_called(self) -> bool:
        return self._file.exists() and self._file.stat().st_size > 0
