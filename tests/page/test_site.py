"""Every page and every answer of the API over drains in memory, without a browser and without servers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from html import unescape
from types import SimpleNamespace
from typing import Any, cast
from xml.etree import ElementTree as ET

import jsonschema_rs
import pytest
from aiohttp import DummyCookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from controller.domain.arrivals import Arrival
from controller.domain.dead_messages import DeadMessage
from controller.domain.drain_index import DrainIndex
from controller.domain.drain_record import DrainRecord
from controller.domain.events import Outcome, make_event
from controller.domain.reason import Reason, ReasonCode
from controller.domain.region_state import NodeState, QueueState, RegionState
from controller.domain.replay_plan import ReplayAction, ReplayDecision, ReplayItem, Requester, requested
from controller.domain.rollouts import Rollout
from controller.domain.selection import FILTERS, Selection
from controller.domain.sweep_report import LatestSweeps, SweepFinding, SweepReport
from controller.errors import BusyError, DeclinedError
from controller.flows import replay_runs
from controller.flows.publisher import Publisher
from controller.flows.replay_runs import ReplayRuns, ReplayState
from controller.flows.requeue import Settlement
from controller.ops.auth.authorizer import Authorizer
from controller.ops.auth.session import SessionPages
from controller.ops.web.markup import environment
from controller.ops.web.pages import mistake_page, sign_in_page
from controller.ops.web.routes import routes_of
from controller.ops.web.server_sent_events import Live
from controller.ops.web.site import Site, application
from controller.settings import OpsSettings, Settings
from tests.fakes.outbox import FakeBroker
from tests.stack.waiting import until
from tests.unit.authorizer_app import OPERATOR, bearer
from tests.unit.building import a_command, a_pod, a_target, at, terminating

HOSTILE = "<img src=x onerror=alert(1)>\u202e"
CLOCK = partial(at, 60)
Client = TestClient[web.Request, web.Application]


def command_of(name: str) -> Any:
    return a_command(terminating(a_pod(f"uid-{name}", name=name)), drain_id=f"id-{name}")


class SiteApp:
    """The application of ``ops`` with one drain for each outcome, and a plan that would drain two of them."""

    def __init__(self, ops: OpsSettings | None = None, of: DrainIndex | None = None) -> None:
        """``of``: the drains that another one's log holds besides."""
        ops = ops or OpsSettings(operator_token=cast("Any", OPERATOR))
        self.broker = FakeBroker()
        self.drains = DrainIndex(timelines=True)
        self.planned: list[Selection] = []
        self.asked_by_hand: list[tuple[tuple[str, str], Requester]] = []
        self.settled: list[tuple[str, bool, list[int]]] = []
        for outcome in Outcome:
            command = command_of(outcome.value)
            self.drains.apply(make_event(command, Outcome.requested, at(0)))
            if outcome is not Outcome.requested:
                self.drains.apply(
                    make_event(
                        command,
                        outcome,
                        at(1),
                        target=a_target(),
                        reason=Reason(code=ReasonCode.denied, detail=f"why {HOSTILE}"),
                    )
                )
        self.drains = of or self.drains
        self.sweeps = LatestSweeps()
        self.messages = [
            DeadMessage(number=1, region="eu", reason=f"HTTP 403 {HOSTILE}", item=command_of("failed"), died_at=at(9)),
            DeadMessage(number=2, region="eu", reason="odd", problem=f"no JSON {HOSTILE}", message_id=HOSTILE),
        ]
        self.runs = ReplayRuns(plan=self.plan, publisher=Publisher(outbox=self.broker, clock=CLOCK), clock=CLOCK)
        self.broker.readers += [self.drains.apply, self.runs.apply]
        state = RegionState(
            region="eu",
            looked_at=at(50),
            work=QueueState(messages=3, consumers=1),
            nodes=(NodeState(node="http://eureka-0:8761/eureka", reachable=False, detail=HOSTILE),),
            oldest=self.drains.get("id-requested"),
        )
        settings = Settings.model_validate({"regions": {"eu": {"nodes": ["http://eureka-0:8761/eureka"]}}})
        templates = environment()
        authorizer = Authorizer(ops)
        site = Site(
            settings=settings,
            authorizer=authorizer,
            drains=self.drains,
            sweeps=self.sweeps,
            overview=cast("Any", SimpleNamespace(states={"eu": state})),
            live=Live(),
            replay_runs=self.runs,
            clock=CLOCK,
            is_read=lambda: True,
            read_older=self.read_older,
            find=self.find,
            drain_by_hand=self.by_hand,
            restore_by_hand=self.by_hand,
            arrivals=self.arrivals,
            dead_messages=self.dead_messages,
            settle_dead=self.settle_dead,
        )
        self.application = application(partial(mistake_page, templates), ops)
        session = SessionPages(authorizer, partial(sign_in_page, templates))
        self.application.add_routes(routes_of(site, session, templates))
        self.client: Client

    async def by_hand(self, key: tuple[str, str], requester: Requester) -> list[str]:
        if key[1] == "going":
            raise DeclinedError(f"{'/'.join(key)} is not drained: {HOSTILE}")
        self.asked_by_hand.append((key, requester))
        return ["b", "a"]

    async def arrivals(self, rollout: Rollout) -> list[tuple[datetime, Arrival]]:
        """One came up beside each."""
        return [(rollout.began_at, Arrival(app="ORDERS", id=f"new {HOSTILE}", registered_at=None, up_at=at(0)))]

    async def plan(self, selection: Selection, requester: Requester, again: bool) -> list[ReplayItem]:
        self.planned.append(selection)
        items = []
        for name in ("failed", "restored"):
            command = requested(command_of(name), requester)
            instances = ((a_target().app, a_target().id),)
            item = ReplayItem(
                drain_id=command.drain_id,
                region="eu",
                pod=command.pod.key,
                apps=("ORDERS",),
                decision=ReplayDecision(action=ReplayAction.drain),
                command=command,
                instances=instances,
            )
            items.append(item)
        gone = ReplayDecision(action=ReplayAction.refuse, reason=HOSTILE)
        return [replace(items[0], drain_id="id-removed", decision=gone, command=None, instances=()), *items]

    async def read_older(self, selection: Selection) -> list[DrainRecord]:
        return self.drains.select(selection)

    async def find(self, _: str) -> DrainRecord | None:
        return None

    async def dead_messages(self) -> tuple[list[DeadMessage], list[str]]:
        return self.messages, [f"us cannot be read {HOSTILE}"]

    async def settle_dead(self, selection: Selection, requester: Requester, drops: bool) -> Settlement:
        chosen = [one for one in self.messages if one.fits(selection)]
        self.settled.append((requester.by, drops, [one.number for one in chosen]))
        foreign = [one for one in chosen if one.item is None and not drops]
        return Settlement(settled=len(chosen) - len(foreign), foreign=foreign)

    async def get(self, path: str, status: int = 200) -> str:
        async with self.client.get(path, headers=bearer(OPERATOR)) as answer:
            assert answer.status == status, await answer.text()
            return await answer.text()

    async def page(self, path: str) -> str:
        text = await self.get(path)
        assert "<img" not in text
        assert "\u202e" not in text
        return " ".join(text.split())

    async def post(self, path: str, **form: str) -> tuple[int, str, str]:
        answer = await self.client.post(path, data=form, headers=bearer(OPERATOR), allow_redirects=False)
        async with answer:
            return answer.status, answer.headers.get("Location", ""), " ".join((await answer.text()).split())

    async def json(self, path: str, body: Any = None, status: int = 200) -> Any:
        method = "GET" if body is None else "POST"
        async with self.client.request(method, path, json=body, headers=bearer(OPERATOR)) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


@asynccontextmanager
async def site_app(ops: OpsSettings | None = None, of: DrainIndex | None = None) -> AsyncIterator[SiteApp]:
    app = SiteApp(ops, of)
    app.client = TestClient(TestServer(app.application), cookie_jar=DummyCookieJar())
    async with app.client:
        yield app
        await app.runs.close()


async def test_every_page_can_be_rendered_and_holds_no_markup_from_outside() -> None:
    async with site_app() as app:
        index = await app.page("/?fragment=0")
        assert index.count("<tr data-key") == len(Outcome)
        assert (await app.page("/?state=failed&app=orders")).count("<tr data-key") == 1
        assert 'class="state failed"' in await app.page("/drains/id-failed")
        dead = await app.page("/dead")
        assert "shop/failed" in dead
        assert "no message of ours" in dead
        assert "us cannot be read" in dead
        assert "What to replay" in await app.page("/replays?id=id-failed")
        assert "There is no such thing" in await app.get("/drains/nosuch", status=404)
        rollouts = await app.page("/rollouts?namespace=shop")
        assert rollouts.count('<section class="rollout"') == len(Outcome)
        assert rollouts.count("New instance UP:") == len(Outcome)
        assert "This filter cannot be followed" in await app.page("/rollouts?since=soon")


def a_sweep(region: str, **facts: Any) -> SweepReport:
    certain = SweepFinding(app="ORDERS", instance_id=f"left {HOSTILE}", ip="10.1.0.5", status="UP", evidence="its log")
    doubtful = replace(certain, instance_id="ghost", doubt=f"it heartbeats {HOSTILE}")
    usual: dict[str, Any] = {"at": at(50), "silent": 301, "doubtful": 1, "findings": (certain, doubtful)}
    return SweepReport(cluster=f"test {HOSTILE}", region=region, **{**usual, **facts})


async def test_what_the_newest_sweeps_found_is_on_a_page_and_in_the_api() -> None:
    async with site_app() as app:
        assert "holds no pass" in await app.page("/sweep")
        app.sweeps.apply(a_sweep("eu"))
        page = await app.page("/sweep")
        assert "301, only named (sweep.policy: report)" in page
        assert "300 more are not shown" in page
        assert "sweep.policy=drain" in page
        app.sweeps.apply(a_sweep("eu", at=at(55), drained=True))
        app.sweeps.apply(a_sweep("us", incomplete=f"no answer {HOSTILE}", silent=0, doubtful=0, findings=()))
        page = await app.page("/sweep")
        assert "301, drains sent" in page
        assert "could not be completed" in page
        assert "What to run" not in page
        document, answer = await app.json("/api/v1/openapi.json"), await app.json("/api/v1/sweeps")
        is_as_described(document, "/api/v1/sweeps", answer)
        assert [(one["region"], one["silent"], one["more"]) for one in answer["sweeps"]] == [
            ("eu", 301, 300),
            ("us", None, 0),
        ]


async def test_a_rollouts_picture_can_be_saved() -> None:
    async with site_app() as app:
        page = await app.page("/rollouts?namespace=shop")
        [link, *others] = dict.fromkeys(re.findall(r'href="(/rollouts/[^"]+)"', page))
        assert len(others) == len(Outcome) - 1
        text = await app.get(unescape(link), status=200)
        drawn = ET.fromstring(text)
        assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(drawn.findall(".//*[@class='label']")) == 1
        assert "--good" in text, "it has its own style"
        assert "There is no such thing" in await app.get("/rollouts/nosuch.svg", status=404)
        assert "cannot be followed" in await app.get("/rollouts/id-failed.svg?since=soon", status=400)


async def test_a_fragment_is_a_part_of_its_page() -> None:
    async with site_app() as app:
        for path in ("/", "/rollouts", "/drains/id-failed"):
            whole, fragment = await app.page(path), await app.page(f"{path}?fragment=1")
            assert "<html" in whole
            assert "<html" not in fragment
            assert "data-live" in fragment


async def test_a_replay_goes_from_its_form_to_its_outcome_on_the_page() -> None:
    async with site_app() as app:
        status, _, plan = await app.post("/replays", app="orders", rps="100", reason="INC-1")
        assert (status, "The plan: 2 of 3 would be drained" in plan) == (200, True)
        assert '<input type="hidden" name="app" value="orders">' in plan
        status, place, _ = await app.post("/replays", app="orders", rps="100", reason="INC-1", action="execute")
        assert status == 303
        await until(lambda: len(app.broker.events) == 2, "both commands")
        running = await app.page(place)
        assert "Running" in running
        assert "2 of 2 sent, 0 of these came to an outcome, 1 to look at" in running
        assert "Replay by operator token" in running
        for command, outcome in zip(list(app.broker.sent), (Outcome.removed, Outcome.failed), strict=True):
            await app.broker.record(make_event(cast("Any", command), outcome, at(61), target=a_target()))
        run_id = place.rpartition("/")[2]

        async def is_over() -> bool:
            return bool((await app.json(f"/api/v1/replays/{run_id}"))["over_at"])

        await until(is_over, "the end of the replay")
        over = await app.page(f"{place}?fragment=1")
        assert ReplayState.bad.value in over
        assert "2 of 2 sent, 2 of these came to an outcome, 2 to look at" in over


async def test_what_was_asked_for_is_known_after_a_restart() -> None:
    why = f"INC-1 {HOSTILE}"
    async with site_app() as before:
        assert "Nobody has asked for anything" in await before.page("/replays")
        _, place, _ = await before.post("/replays", app="orders", rps="100", reason=why, action="execute")
        await until(lambda: len(before.broker.events) == 2, "both commands")
        command = next(iter(before.broker.sent))
        await before.broker.record(make_event(cast("Any", command), Outcome.removed, at(61), target=a_target()))
        drains = before.drains
    async with site_app(of=drains) as app:
        listed = await app.page("/replays")
        assert "INC-1" in listed
        assert f'<a href="{place.replace("replays", "requests")}">' in listed
        shown = await app.page(place)
        assert "Asked for by operator token" in shown
        assert shown.count('<th scope="row">') == 2
        [one] = (await app.json("/api/v1/requests"))["requests"]
        counted = {"drains": 2, "outcomes": {"removed": 1}, "open": 1}
        asked = {"requested_by": "operator token", "requested_at": "2025-06-01T12:01:00Z", "requested_why": why}
        assert one == {"request_id": place.rpartition("/")[2]} | asked | counted
        whole = await app.json(f"/api/v1/requests/{one['request_id']}")
        assert [item["drain_id"] for item in whole["items"]] == ["id-restored", "id-failed"]
        for path in ("/api/v1/requests/nosuch", "/requests/nosuch", "/replays/nosuch"):
            await app.get(path, status=404)
        document = await app.json("/api/v1/openapi.json")
        is_as_described(document, "/api/v1/requests", {"requests": [one], "more": 0})
        is_as_described(document, "/api/v1/requests/{id}", whole)


async def test_a_form_that_cannot_be_followed_is_shown_again_with_what_is_wrong() -> None:
    async with site_app() as app:
        for form, problem in (
            ({}, "choose something"),
            ({"app": "orders", "rps": "many"}, "rps: "),
            ({"pod": "orders"}, "is not NAMESPACE/NAME"),
            ({"state": "done"}, "is none of requested"),
        ):
            status, _, text = await app.post("/replays", **form)
            assert (status, problem in text) == (200, True), (form, text)
        assert app.planned == []


def is_as_described(document: dict[str, Any], path: str, answer: Any, status: int = 200, method: str = "get") -> None:
    schema = document["paths"][path][method]["responses"][str(status)]["content"]["application/json"]["schema"]
    jsonschema_rs.validate({**schema, "components": document["components"]}, answer)


async def test_every_answer_is_as_the_document_describes_it() -> None:
    async with site_app() as app:
        document = await app.json("/api/v1/openapi.json")
        for path in ("/api/v1/regions", "/api/v1/drains"):
            is_as_described(document, path, await app.json(path))
        for outcome in Outcome:
            is_as_described(document, "/api/v1/drains/{id}", await app.json(f"/api/v1/drains/id-{outcome.value}"))
        plan = await app.json("/api/v1/replays", {"app": "orders"})
        is_as_described(document, "/api/v1/replays", plan, method="post")
        assert [item["action"] for item in plan["items"]] == ["refuse", "drain", "drain"]
        begun = await app.json("/api/v1/replays", {"app": "orders", "execute": True}, status=202)
        is_as_described(document, "/api/v1/replays", begun, 202, "post")
        busy = await app.json("/api/v1/replays", {"app": "orders", "execute": True}, status=409)
        is_as_described(document, "/api/v1/replays", busy, 409, "post")
        state = await app.json(f"/api/v1/replays/{begun['replay_id']}")
        is_as_described(document, "/api/v1/replays/{id}", state)
        missing = await app.json("/api/v1/replays/nosuch", status=404)
        is_as_described(document, "/api/v1/replays/{id}", missing, 404)


async def test_dead_letters_are_chosen_sent_again_and_dropped() -> None:
    async with site_app() as app:
        document = await app.json("/api/v1/openapi.json")
        [mine] = (await app.json("/api/v1/dead?id=id-failed"))["dead"]
        assert mine["drain_id"] == "id-failed"
        assert (await app.json("/api/v1/dead?region=us"))["dead"] == []
        again = await app.json("/api/v1/dead", {"action": "requeue", "reason": "INC-1", "on_behalf_of": "nina"})
        is_as_described(document, "/api/v1/dead", again, method="post")
        assert (again["settled"], [one["message_id"] for one in again["left"]]) == (1, [HOSTILE])
        await app.json("/api/v1/dead", {"action": "drop", "id": [HOSTILE]})
        by = "operator token, for nina (not authenticated)"
        assert app.settled == [(by, False, [1, 2]), ("operator token", True, [2])]
        for wrong in ({"action": "drop"}, {"action": "eat"}, {"region": "eu"}, {"action": "requeue", "states": []}):
            assert set(await app.json("/api/v1/dead", wrong, 400)) == {"error"}
        assert len(app.settled) == 2


async def test_by_hand_a_pod_is_named_and_so_is_who_asks() -> None:
    async with site_app() as app:
        body = {"pod": "shop/orders-0", "reason": "leaks", "on_behalf_of": "alice@example.com"}
        for path in ("/api/v1/drains", "/api/v1/restores"):
            assert await app.json(path, body, 202) == {"drain_ids": ["a", "b"], "requested_at": "2025-06-01T12:01:00Z"}
        [(key, requester), again] = app.asked_by_hand
        assert (key, requester.why) == (("shop", "orders-0"), "leaks")
        assert requester.by == "operator token, for alice@example.com (not authenticated)"
        assert again[0] == key
        declined = await app.json("/api/v1/drains", {"pod": "shop/going"}, 409)
        assert declined == {"error": f"shop/going is not drained: {HOSTILE}"}
        for wrong in (
            {},
            {"pod": "orders-0"},
            {"pod": "a/b/c"},
            {"pod": "shop/."},
            {"pod": "../a"},
            {"pod": "shop/a", "yes": True},
        ):
            assert set(await app.json("/api/v1/drains", wrong, 400)) == {"error"}
        assert len(app.asked_by_hand) == 2


PEOPLE_READ = ("/drains", "/drains/id-failed", "/rollouts", "/dead")


@pytest.mark.parametrize("path", PEOPLE_READ)
async def test_whoever_asks_for_text_gets_the_command_lines_tables(path: str) -> None:
    async with site_app() as app:
        for accept, widest in (("text/plain", None), ("text/plain; width=100", 100), ("text/plain;width=9", None)):
            headers = {**bearer(OPERATOR), "Accept": accept}
            async with app.client.get(f"/api/v1{path}", headers=headers) as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (200, "text/plain")
            assert "shop/" in text
            assert "\u202e" not in text
            if widest and path == "/dead":
                table = [line for line in text.splitlines() if line.startswith(("REGION", "eu "))]
                assert table
                assert all(len(line) <= widest for line in table)
        for accept in ("*/*", "application/json, text/plain, */*", "application/json"):
            async with app.client.get(f"/api/v1{path}", headers={**bearer(OPERATOR), "Accept": accept}) as answer:
                assert answer.content_type == "application/json"


async def test_text_says_how_many_are_left_out_and_what_a_replay_came_to() -> None:
    async with site_app() as app:

        async def text(path: str, body: Any = None) -> str:
            headers = {**bearer(OPERATOR), "Accept": "text/plain"}
            method = "GET" if body is None else "POST"
            async with app.client.request(method, f"/api/v1{path}", json=body, headers=headers) as answer:
                assert answer.status == 200
                return await answer.text()

        few = await text("/drains?limit=2")
        assert few.endswith(f"({len(Outcome) - 2} older drains are left out: choose fewer)\n")
        plan = await text("/replays", {"app": "orders"})
        assert plan.endswith("3 planned: 2 would drain, 1 refused\n")
        run = await app.json("/api/v1/replays", {"app": "orders", "execute": True}, 202)
        assert run["state"] == "running"
        await until(lambda: len(app.broker.events) == 2, "both commands")
        for command, outcome in zip(list(app.broker.sent), (Outcome.removed, Outcome.failed), strict=True):
            await app.broker.record(make_event(cast("Any", command), outcome, at(61), target=a_target()))

        async def is_over() -> bool:
            return bool((await app.json(f"/api/v1/replays/{run['replay_id']}"))["over_at"])

        await until(is_over, "the end of the replay")
        over = await text(f"/replays/{run['replay_id']}")
        assert over.endswith("2 of 2 sent; outcomes: 1 removed, 1 failed\n")
        assert over.splitlines()[-2].split()[2] == "failed"


async def test_each_filter_is_a_parameter_a_field_and_a_part_of_the_form() -> None:
    async with site_app() as app:
        document, form = await app.json("/api/v1/openapi.json"), await app.get("/replays")
        names = [one.name for one in FILTERS]
        parameters = {one["name"]: one["schema"] for one in document["paths"]["/api/v1/drains"]["get"]["parameters"]}
        assert set(parameters) == {*names, "limit"}
        body = document["components"]["schemas"]["ReplayBody"]["properties"]
        assert set(body) == {*names, "execute", "again", "rps", "reason", "on_behalf_of"}
        for one in FILTERS:
            assert parameters[one.name]["description"] == body[one.name]["description"] == one.about
        assert set(names) <= set(re.findall(r'name="(\w+)"', form))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("statee=failed", "statee"),
        ("limit=1e3", "limit: "),
        ("limit=5001", "limit: "),
        ("state=failed,done", "state: "),
        (f"pod={'x' * 400}", "pod: "),
        ("since=yesterday", "since: "),
    ],
    ids=lambda text: text[:20],
)
async def test_a_query_that_cannot_be_followed_is_answered_with_what_is_wrong(query: str, problem: str) -> None:
    async with site_app() as app:
        error = (await app.json(f"/api/v1/drains?{query}", status=400))["error"]
        assert problem in error
        assert len(error) < 400


async def test_states_and_ids_are_chosen_by_commas_or_again_and_again() -> None:
    async with site_app() as app:
        for query in ("state=failed,removed", "state=failed&state=removed", "id=id-failed,%20id-removed"):
            found = (await app.json(f"/api/v1/drains?{query}"))["drains"]
            assert {one["state"] for one in found} == {"failed", "removed"}
        await app.json("/api/v1/replays", {"state": "failed", "id": ["a", "b"]})
        assert app.planned[-1] == Selection(states=frozenset({Outcome.failed}), ids=frozenset({"a", "b"}))


async def test_one_replay_runs_at_a_time_and_is_not_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    app = SiteApp()
    requester = Requester(by="ann", at=at(60))
    both = [app.runs.execute(Selection(app="x"), requester, again=False, per_second=100) for _ in range(2)]
    begun, refused = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(refused, BusyError), "both were planned at the same time"
    assert app.runs.get(cast("Any", begun).id) is begun
    await app.runs.close()
    monkeypatch.setattr(replay_runs, "MAX_ITEMS", 2)
    with pytest.raises(BusyError, match="choose fewer than 2"):
        await app.runs.plan(Selection(app="x"), requester)


async def test_old_replays_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_runs, "MAX_RUNS", 2)
    app = SiteApp()
    ids = []
    for second in range(3):
        requester = Requester(by="ann", at=at(60 + second))
        run = await app.runs.execute(Selection(app="x"), requester, again=False, per_second=100)
        ids.append(run.id)
        await asyncio.sleep(0)  # it begins
        await app.runs.close()
    assert [app.runs.get(one) is not None for one in ids] == [False, True, True]


async def test_what_was_sent_to_another_name_is_refused_with_the_setting_to_use() -> None:
    async with site_app() as app:
        for path in ("/", "/api/v1/drains"):
            headers = bearer(OPERATOR) | {"Host": "evil.example"}
            async with app.client.get(path, headers=headers) as answer:
                assert (answer.status, "ops.hosts" in await answer.text()) == (421, True)
