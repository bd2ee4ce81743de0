"""The HTTP API of a running ``ops`` as programs use it: what it promises, what it refuses, and who may do what."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import aiohttp
import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from controller.app.assembly import ends_log
from controller.app.assembly import event_log as follow_log
from controller.app.ops_role import OpsRole
from controller.domain.drain_index import DrainIndex
from controller.domain.events import Outcome, make_event
from controller.domain.sweep_report import LatestSweeps
from controller.flows.shutdown_verdicts import ShutdownVerdicts
from controller.ops.auth.credentials import COOKIE
from controller.ops.auth.refusals import TooManyAttemptsError
from controller.rabbit.outbox import RabbitOutbox
from controller.settings import Settings
from tests.contract.accounts import Accounts, read_part, signed
from tests.contract.brokers import an_outbox
from tests.e2e.event_log import EventLog, event_log
from tests.e2e.operator import queue_lengths
from tests.e2e.product import pod_with_silent_registration
from tests.stack.cluster import Cluster
from tests.stack.controller_process import ControllerProcess
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.observing import shown_everywhere
from tests.stack.rabbitmq import RabbitMq
from tests.stack.waiting import until
from tests.unit.building import a_command, a_pod, a_reason, a_target, terminating

AUDIENCE = "eureka-drain"
VIEWER, OPERATOR = f"viewer-{secrets.token_hex(16)}", f"operator-{secrets.token_hex(16)}"
EXAMPLES = 15
Answer = tuple[int, str]


@dataclass
class OpsSite:
    """A product that serves its page, and a client that keeps no cookies."""

    process: ControllerProcess
    session: aiohttp.ClientSession
    cluster: Cluster
    broker: RabbitMq
    eureka: EurekaNodes
    namespace: str
    region: str
    log: EventLog

    async def ask(self, method: str, path: str, *, token: str = OPERATOR, **options: Any) -> Answer:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **options.pop("headers", {})}
        answer = await self.session.request(
            method, f"{self.process.url}{path}", headers=headers, allow_redirects=False, **options
        )
        async with answer:
            endless = answer.content_type == "text/event-stream"
            return answer.status, "" if endless else await answer.text()

    async def json(self, method: str, path: str, *, expect: int = 200, **options: Any) -> Any:
        """The JSON of an answer that has this status."""
        status, text = await self.ask(method, path, **options)
        assert status == expect, text
        return json.loads(text)

    async def silent_pod(self, name: str) -> str:
        """A pod with a registration that nobody renews; its instance id."""
        instance_id = await pod_with_silent_registration(
            self.cluster, self.eureka, self.namespace, name, app=self.region
        )
        await asyncio.sleep(2)  # what a node copies in the pod's last moment is in doubt
        return instance_id


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def site(
    tmp_path_factory: pytest.TempPathFactory, cluster: Cluster, broker: RabbitMq, eureka_pair: EurekaNodes
) -> AsyncIterator[OpsSite]:
    """All roles in one process, with a few drains in the log."""
    region, namespace = f"api-{secrets.token_hex(3)}", f"api-{secrets.token_hex(4)}"
    await cluster.client.create("namespaces", {"metadata": {"name": namespace}}, None)
    process = ControllerProcess(
        "run",
        log=tmp_path_factory.mktemp("api") / "run.log",
        broker=broker.url,
        regions={region: eureka_pair.urls},
        kubeconfig=cluster.kubeconfig,
        settings={
            "watch.namespaces": namespace,
            "watch.cluster": region,
            "instance_id_templates": "{ip}:{app}:{port}",
            "remove": "false",
            "guard.last_instance": "false",
            "ops.viewer_token": VIEWER,
            "ops.operator_token": OPERATOR,
        },
    )
    async with an_outbox(broker, region) as outbox:
        for number, outcome in enumerate(Outcome):
            pod = terminating(a_pod(f"uid-{region}-{number}", name=f"old-{number}", namespace=namespace))
            command = a_command(
                pod, region=region, cluster=region, drain_id=f"{region}-{number}", since_at=datetime.now(UTC)
            )
            await outbox.record(make_event(command, Outcome.requested, datetime.now(UTC)))
            if outcome is not Outcome.requested:
                await outbox.record(
                    make_event(command, outcome, datetime.now(UTC), target=a_target(), reason=a_reason("as it was"))
                )
    async with AsyncExitStack() as ended:
        ended.push_async_callback(process.stop)
        await process.start()
        session = await ended.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=60))
        )
        log = await ended.enter_async_context(event_log(broker.url, region))
        yield OpsSite(process, session, cluster, broker, eureka_pair, namespace, region, log)
        for left in await cluster.client.list("pods", namespace):
            await cluster.client.delete("pods", left["metadata"]["name"], namespace, grace_seconds=0)
    await cluster.client.delete("namespaces", namespace, None)
    text = process.log.read_text()
    assert process.returncode == 0, text[-2_000:]
    assert "Traceback" not in text
    assert "a request failed" not in text, "a mistake of the program was answered with 500"


async def test_every_answer_is_as_the_document_promises_whatever_is_asked(site: OpsSite) -> None:
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    url = f"{site.process.url}/api/v1/openapi.json"
    schema = (await asyncio.to_thread(schemathesis.openapi.from_url, url, headers=headers)).exclude(
        path="/api/v1/events"
    )
    tried = []
    for found in schema.get_all_operations():
        operation = cast("Any", found).ok()
        tried.append(f"{operation.method.upper()} {operation.path}")
        for mode in GenerationMode:
            await asyncio.to_thread(_conforms(operation, mode, site.process.url, headers))
    served = [(method, path) for method, path in every_route(Settings()) if path.startswith("/api/v1/")]
    untried = {"GET /api/v1/events", "GET /api/v1/openapi.json"}
    assert {*tried} == {f"{method} {path}" for method, path in served if method != "HEAD"} - untried


def _conforms(operation: Any, mode: GenerationMode, url: str, headers: dict[str, str]) -> Callable[[], None]:
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def conforms(case: Any) -> None:
        if isinstance(case.body, dict) and case.body.get("execute") is True:
            case.body["execute"] = False  # that is for another test
        response = case.call(base_url=url, headers=headers)
        if response.status_code == 400 and response.text.startswith("Got more than"):
            return  # a request line that is too long to be read meets no route
        # What a time looks like is more than a schema can say; a token that a case leaves out is sent all the same.
        case.validate_response(response, excluded_checks=[positive_data_acceptance, negative_data_rejection])

    return cast("Callable[[], None]", conforms)


async def test_the_log_is_listed_filtered_and_shown_drain_by_drain(site: OpsSite) -> None:
    query = f"region={site.region}&namespace={site.namespace}&pod={site.namespace}/old-*"

    async def all_there() -> bool:
        return len((await site.json("GET", f"/api/v1/drains?{query}"))["drains"]) == len(Outcome)

    await until(all_there, "the log to be read")
    for outcome in Outcome:
        [one] = (await site.json("GET", f"/api/v1/drains?{query}&state={outcome}"))["drains"]
        assert one["state"] == outcome
        shown = await site.json("GET", f"/api/v1/drains/{one['drain_id']}")
        assert {name: shown[name] for name in one} == one
        assert shown["timeline"]
    few = await site.json("GET", f"/api/v1/drains?{query}&limit=2")
    assert (len(few["drains"]), few["more"]) == (2, len(Outcome) - 2)
    two = await site.json("GET", f"/api/v1/drains?{query}&state=failed&state=removed")
    assert {one["state"] for one in two["drains"]} == {"failed", "removed"}

    async def is_consumed() -> Any:
        regions = (await site.json("GET", "/api/v1/regions"))["regions"]
        return [one for one in regions if one["region"] == site.region and one["consumers"] == 1]

    [region] = await until(is_consumed, "the next look at the regions")
    assert [node["reachable"] for node in region["nodes"]] == [True, True]


HOSTILE = ("'; DROP TABLE drains;--", "<script>", "../../etc/passwd", "%00", "{0.__class__}", "é\u202e", "a" * 5_000)


async def test_what_cannot_be_followed_is_answered_with_what_is_wrong(site: OpsSite) -> None:
    bodies: list[tuple[Any, int]] = [
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b"[" * 20_000, 400),
        (b"\xff", 400),
        (b"{}" + b" " * 100_000, 413),
        (b'{"since": "yesterday"}', 400),
        (b'{"since": 5}', 400),
        (b'{"state": ["done"]}', 400),
        (b'{"state": "failed", "id": [1]}', 400),
        (b'{"execute": "yes", "since": "1h"}', 400),
        (b'{"execute": true}', 400),
        (b'{"rps": 1e9}', 400),
        (b'{"rps": NaN}', 400),
        (b'{"rps": true}', 400),
        (b'{"rps": 1' + b"0" * 400 + b"}", 400),
        (b'{"rps": 1' + b"0" * 5_000 + b"}", 400),
        (b'{"reason": ["x"]}', 400),
        (json.dumps({"reason": "x" * 2_001}).encode(), 400),
        (b'{"unknown": 1}', 400),
        *((json.dumps({text: 1}).encode(), 400) for text in HOSTILE),
        *((json.dumps({"pod": text}).encode(), 400) for text in HOSTILE if text.count("/") != 1),
        *((json.dumps({"until": text}).encode(), 400) for text in HOSTILE),
    ]
    for body, expected in bodies:
        status, text = await site.ask(
            "POST", "/api/v1/replays", data=body, headers={"Content-Type": "application/json"}
        )
        assert status == expected, (body[:80], text)
        assert set(json.loads(text)) == {"error"}
        assert "Traceback" not in text
        assert len(text) < 1_000
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        status, text = await site.ask("POST", "/api/v1/replays", data=b"{}", headers={"Content-Type": kind})
        assert (status, set(json.loads(text))) == (415, {"error"})
    for path in (
        "state=done",
        "limit=0",
        "limit=5001",
        "limit=1e3",
        "limit=-1",
        "since=never",
        "pod=orders",
        "statee=failed",
        "until=",
    ):
        status, text = await site.ask("GET", f"/api/v1/drains?{path}")
        assert status == (200 if path == "until=" else 400), path
    for path in HOSTILE:
        status, text = await site.ask("GET", f"/api/v1/drains/{quote(path[:200], safe='')}")
        assert (status, set(json.loads(text))) == (404, {"error"}), path
    for method, path in (("DELETE", "/api/v1/drains"), ("PUT", "/api/v1/replays"), ("POST", "/api/v1/regions")):
        status, text = await site.ask(method, path)
        assert (status, set(json.loads(text))) == (405, {"error"})
    assert (await site.ask("GET", "/api/v1/nothing"))[0] == 404
    assert (await site.ask("GET", "/api/v2/drains"))[0] == 404


async def test_listeners_get_a_drains_events_and_a_replay_runs_only_when_asked(
    site: OpsSite,
) -> None:
    instance_id = await site.silent_pod("heard")
    async with site.session.get(
        f"{site.process.url}/api/v1/events", headers={"Authorization": f"Bearer {VIEWER}"}
    ) as listening:
        assert (listening.status, listening.content_type) == (200, "text/event-stream")
        await site.cluster.client.delete("pods", "heard", site.namespace)
        heard: list[Any] = []
        while not heard or heard[-1]["outcome"] != "out_of_service":
            heard += await asyncio.wait_for(_next_event(listening, "heard"), 60)
    assert [event["outcome"] for event in heard] == ["requested", "out_of_service"]
    assert heard[-1]["instance_id"] == instance_id
    registries = [node.registry for node in site.eureka.nodes]
    await asyncio.gather(*(one.delete_status(site.region, instance_id, "UP") for one in registries))
    await shown_everywhere(site.eureka, site.region, instance_id, "UP")
    drain_id = heard[0]["drain_id"]
    chosen = {"id": [drain_id], "reason": "INC-1"}

    before = (await queue_lengths(site.broker, [site.region]), len(site.log.events))
    plan = await site.json("POST", "/api/v1/replays", json=chosen)
    assert plan["executed"] is False
    assert [(one["drain_id"], one["action"]) for one in plan["items"]] == [(drain_id, "drain")]
    assert await site.json("POST", "/api/v1/replays", json={**chosen, "execute": False}) == plan
    assert (await site.ask("POST", "/api/v1/replays", json={**chosen, "execute": True}, token=VIEWER))[0] == 403
    assert (await queue_lengths(site.broker, [site.region]), len(site.log.events)) == before
    assert await site.eureka.statuses(site.region, instance_id) == ["UP", "UP"]

    begun = await site.json("POST", "/api/v1/replays", json={**chosen, "execute": True}, expect=202)
    assert begun["requested_by"] == "operator token"

    async def over() -> Any:
        state = await site.json("GET", f"/api/v1/replays/{begun['replay_id']}", token=VIEWER)
        return state if state["over_at"] else None

    ended = await until(over, "the end of the replay", timeout=60)
    assert (ended["to_send"], ended["sent"], ended["open"], ended["trouble"]) == (1, 1, 0, "")
    assert ended["outcomes"] == {"out_of_service": 1}
    assert [one["outcome"] for one in ended["items"]] == ["out_of_service"]
    assert await site.eureka.statuses(site.region, instance_id) == ["OUT_OF_SERVICE", "OUT_OF_SERVICE"]
    shown = await site.json("GET", f"/api/v1/drains/{drain_id}")
    assert (shown["requested_by"], shown["requested_why"]) == ("operator token", "INC-1")
    again = await site.json("POST", "/api/v1/replays", json=chosen)
    assert [one["action"] for one in again["items"]] == ["out"]


async def _next_event(listening: aiohttp.ClientResponse, pod: str) -> list[Any]:
    async for line in listening.content:
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
            return [event] if event.get("pod") == pod else []
    raise AssertionError("the stream has ended")


OPEN = {"/healthz", "/readyz", "/metrics", "/static/{name}", "/sign-in", "/sign-out"}
WRITES = {
    "/replays",
    "/replays/{id}/stop",
    "/api/v1/replays",
    "/api/v1/drains",
    "/api/v1/restores",
    "/api/v1/dead",
}


def every_route(settings: Settings) -> list[tuple[str, str]]:
    """Method and path of everything that ``ops`` serves, so that a new route cannot be forgotten."""
    drains = DrainIndex()
    role = OpsRole(
        settings,
        drains=drains,
        sweeps=LatestSweeps(),
        verdicts=ShutdownVerdicts(drains),
        log=follow_log(settings, look_back=timedelta(0)),
        ends=ends_log(settings, look_back=timedelta(0)),
        outbox=RabbitOutbox(settings=settings.broker, regions=[]),
        metrics=cast("Any", None),
        regions={},
        reviews=None,
    )
    routes = [(route.method, route.resource.canonical) for route in role.application.router.routes() if route.resource]
    return sorted({*routes, *(("GET", path) for path in ("/healthz", "/readyz", "/metrics"))}, key=lambda r: r[::-1])


@pytest_asyncio.fixture(loop_scope="session")
async def accounts(cluster: Cluster, namespace: str) -> AsyncIterator[Accounts]:
    made = Accounts(cluster, namespace)
    yield made
    await made.close()


async def sign_in(site: OpsSite, token: str) -> str:
    """Return the name of a new session: rights take a moment to reach the API server."""

    async def signed_in() -> str:
        form = {"token": token}
        async with site.session.post(f"{site.process.url}/sign-in", data=form, allow_redirects=False) as answer:
            return answer.cookies[COOKIE].value if answer.status == 303 else ""

    session: str = await until(signed_in, "the sign-in", interval=1)
    return session


async def identities(site: OpsSite, accounts: Accounts, folder: Path) -> dict[str, tuple[dict[str, str], str]]:
    """The headers of everybody who may ask, and what they may: nothing, read, write."""
    await accounts.create("viewer", ("get", "eureka.drain", "drains"))
    await accounts.create("operator", ("get", "eureka.drain", "drains"), ("create", "eureka.drain", "replays"))
    await accounts.create("nobody")
    operator, elsewhere = await accounts.token("operator", AUDIENCE), await accounts.token("operator", "somebody-else")
    servers_own = await accounts.token("operator")
    head, claims = (read_part(part) for part in operator.split(".")[:2])
    past = int(time.time()) - 3_600
    times = {"iat": past - 3_600, "nbf": past - 3_600, "exp": past}
    expired = await signed(head, claims | times, site.cluster.api.folder / "service-accounts.key", folder)
    unsigned = f"{base64.urlsafe_b64encode(b'{}').decode()}.{operator.split('.')[1]}."

    session = await sign_in(site, operator)

    def bearer(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"}

    def cookie(**more: str) -> dict[str, str]:
        return {"Cookie": f"{COOKIE}={session}", **more}

    return {
        "no token": ({}, "nothing"),
        "garbage": (bearer("garbage"), "nothing"),
        "unsigned": (bearer(unsigned), "nothing"),
        "not Bearer": ({"Authorization": f"Basic {operator}"}, "nothing"),
        "expired": (bearer(expired), "nothing"),
        "wrong audience": (bearer(elsewhere), "nothing"),
        "for the API server": (bearer(servers_own), "nothing"),
        "a session as a token": (bearer(session), "nothing"),
        "a token as a session": ({"Cookie": f"{COOKIE}={operator}"}, "nothing"),
        "no rights": (bearer(await accounts.token("nobody", AUDIENCE)), "nothing, known"),
        "viewer": (bearer(await accounts.token("viewer", AUDIENCE)), "read"),
        "operator": (bearer(operator), "write"),
        "static viewer": (bearer(VIEWER), "read"),
        "static operator": (bearer(OPERATOR), "write"),
        "cookie": (cookie(Origin=site.process.url), "write"),
        "cookie, no origin": (cookie(), "read"),
        "cookie, foreign": (cookie(Origin="https://evil.example"), "read, foreign"),
        "cookie, cross-site": (cookie(**{"Sec-Fetch-Site": "cross-site"}), "read, foreign"),
    }


def expected(method: str, path: str, may: str) -> str:
    """401, 403, or in."""
    if path in OPEN:
        return "403" if method == "POST" and "foreign" in may else "in"
    if path in WRITES and method == "POST":
        if may == "nothing":
            return "401"
        return "in" if may == "write" else "403"
    return {"nothing": "401", "nothing, known": "403"}.get(may, "in")


async def patient_ask(site: OpsSite, method: str, path: str, headers: dict[str, str]) -> Answer:
    """Ask again where the sender tried too many unknown tokens: a slow run sends more of them than it may.

    A refusal is remembered for 5 s, so the slower the requests go, the more of them are looked at anew.
    """

    async def answered() -> Answer | None:
        answer = await site.ask(method, path, token="", headers=headers)
        return None if answer[0] == TooManyAttemptsError.status else answer

    answer: Answer = await until(answered, f"an answer to {method} {path}", interval=1)
    return answer


async def test_every_route_allows_what_the_senders_rights_grant_and_no_more(
    site: OpsSite, accounts: Accounts, tmp_path: Path
) -> None:
    who = await identities(site, accounts, tmp_path)
    # What ends a session comes last: the others are asked with it.
    routes = sorted(every_route(Settings()), key=lambda route: route[1] == "/sign-out")
    assert {path for _, path in routes} >= OPEN | WRITES

    async def known() -> bool:
        statuses = [(await site.ask("POST", "/api/v1/replays", token="", headers=who[one][0]))[0]
                    for one in ("operator", "viewer")]  # fmt: skip
        read = await site.ask("GET", "/api/v1/regions", token="", headers=who["viewer"][0])
        return [*statuses, read[0]] == [415, 403, 200]

    await until(known, "the rights to reach the API server", interval=1)
    table, wrong = [], []
    for method, path in routes:
        where = path.replace("{id}", "nosuch").replace("{name}", "style.css")
        cells = []
        for name, (headers, may) in who.items():
            status, text = await patient_ask(site, method, where, headers)
            verdict = str(status) if status in (401, 403) else "in"
            if verdict != expected(method, path, may) or status >= 500:
                wrong.append(f"{method} {path} as {name}: {status}, not {expected(method, path, may)}: {text[:200]}")
            cells.append(f"{status:>5}")
        table.append(f"{method:<5}{path:<24}{''.join(cells)}")
    print()
    for number, name in enumerate(who):
        print(f"{'':<29}{'    |' * number}    ┌ {name}")
    print("\n".join(table))
    assert wrong == []
    assert "evil.example" not in site.process.log.read_text()
