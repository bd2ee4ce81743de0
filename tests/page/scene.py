"""What the page's tests look at: the product with its page, pods that come and go, and readers with browsers."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import aiohttp
from playwright.async_api import Browser, BrowserContext, Page

from tests.e2e.event_log import EventLog
from tests.faults.population import Population, Subject
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.waiting import until
from tests.stack.workloads import container, pod, pod_spec

OPERATOR = "operator-" + secrets.token_hex(16)
VIEWER = "viewer-" + secrets.token_hex(16)
HOSTILE = "<img src=x onerror=window.hacked=1>"
ZONE = "Asia/Kolkata"
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


@dataclass
class Reader:
    """One person with a browser: what went wrong in it is collected."""

    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)

    async def texts(self, selector: str) -> list[str]:
        """What is read there, blanks made one."""
        # Not the inner text: what is drawn has none.
        return [" ".join(text.split()) for text in await self.page.locator(selector).all_text_contents()]


@dataclass
class Scene:
    """The product (watch, work and page in one process) with a region and a namespace of its own."""

    url: str
    region: str
    namespace: str
    process: ControllerProcess
    log: EventLog
    cluster: Cluster
    eureka: EurekaNodes
    broker_url: str
    population: Population
    browser: Browser

    @asynccontextmanager
    async def reader(
        self, token: str | None = OPERATOR, *, url: str = "", tolerated: Sequence[str] = (), **options: Any
    ) -> AsyncIterator[Reader]:
        """A browser of its own, signed in; every complaint of the browser that is not tolerated is a failure."""
        url = url or self.url
        given = {"viewport": DESKTOP, "timezone_id": ZONE, "locale": "en-GB", "base_url": url, **options}
        context = await self.browser.new_context(**given)
        context.set_default_timeout(90_000)
        if token:
            signed_in = await context.request.post("/sign-in", form={"token": token}, max_redirects=0)
            assert signed_in.status == 303
        page = await context.new_page()
        reader = Reader(context, page)
        page.on("pageerror", lambda error: reader.complaints.append(f"page error: {error}"))
        page.on(
            "console",
            lambda message: (
                reader.complaints.append(f"{message.type}: {message.text}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        try:
            yield reader
            if options.get("java_script_enabled", True):
                assert await page.evaluate("typeof window.hacked") == "undefined"
        finally:
            await context.close()
        unheard = [one for one in reader.complaints if not any(text in one for text in tolerated)]
        assert unheard == []

    async def drained(self, name: str, app: str, outcome: str = "out_of_service") -> Subject:
        """A pod that lived, was deleted, and came to this."""
        subject = await self.population.add(name, app)
        await self.population.delete(subject, outright=True)
        await self.log.wait_for(name, outcome)
        return subject

    async def hostile_pod(self, name: str) -> None:
        """A pod whose annotation, app and instance id are markup."""
        spec = pod_spec(container())
        created = await self.cluster.client.create(
            "pods", pod(name, spec, annotations={"eureka.drain/retention": HOSTILE}), self.namespace
        )
        subject = await self._up(created["metadata"]["uid"])
        await self._register(HOSTILE, f"{HOSTILE}{subject}", subject)
        await self.cluster.client.delete("pods", name, self.namespace, grace_seconds=0)

    async def hostile_instance(self, name: str) -> None:
        """A pod like any other, whose app registers under markup."""
        noted = {"eureka.drain/port": "8080"}
        body = pod(name, pod_spec(container()), annotations=noted)
        created = await self.cluster.client.create("pods", body, self.namespace)
        ip = await self._up(created["metadata"]["uid"])
        await self._register(HOSTILE, f"{HOSTILE}{ip}", ip)
        await asyncio.sleep(3)  # what registers in its pod's last moment is in doubt for a heartbeat's time
        await self.cluster.client.delete("pods", name, self.namespace, grace_seconds=0)

    async def _up(self, uid: str) -> str:
        pods = self.cluster.node.pods
        await until(lambda: uid in pods and pods[uid].timeline.ready, "the pod ready", timeout=90)
        ip = pods[uid].timeline.ip
        assert ip is not None
        return ip

    async def _register(self, app: str, instance_id: str, ip: str) -> None:
        for node in self.eureka.nodes:
            await node.registry.register(app, instance_id, ip=ip, lease_seconds=3600)

    async def put_back(self, subject: Subject) -> None:
        """Lift the override by hand, as somebody does who knows it better: the dead instance is given out again."""
        for node in self.eureka.nodes:
            await node.registry.delete_status(subject.app, subject.instance_id, "UP")

    async def send_nonsense(self, body: bytes) -> None:
        """A message that is not ours, which becomes a dead letter."""
        async with await aio_pika.connect(self.broker_url) as connection:
            channel = await connection.channel()
            exchange = await channel.get_exchange("drain.commands", ensure=False)
            message = aio_pika.Message(body, content_type="application/json", type=HOSTILE)
            await exchange.publish(message, routing_key=self.region)

    async def api(self, path: str) -> Any:
        """What the API says."""
        headers = {"Authorization": f"Bearer {VIEWER}"}
        async with aiohttp.ClientSession() as session, session.get(self.url + path, headers=headers) as answer:
            return await answer.json()

    async def drain_id(self, pod: str) -> str:
        """The drain of a pod."""
        found = await self.api(f"/api/v1/drains?pod={self.namespace}/{pod}")
        return str(found["drains"][0]["drain_id"])
