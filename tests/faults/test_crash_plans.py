"""A process is killed just before and just after a side effect on the real servers, and each drain still ends the same.

By default eight plans that cover most; with FAULTS=all before and after every side effect of every workload.
FAULTS_AT_ONCE: plans at the same time, 8 by default. FAULTS_WORKLOADS: some of them, comma-separated.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.faults.crash_plans import Report, run_plans
from tests.faults.crash_servers import Servers
from tests.faults.crash_workloads import WORKLOADS
from tests.faults.recording_amqp import AmqpTalk
from tests.faults.recording_http import HttpTalk
from tests.stack.cluster import Cluster
from tests.stack.eureka_nodes import EurekaNodes
from tests.stack.rabbitmq import RabbitMq

EVERYTHING = os.environ.get("FAULTS") == "all"
CHOSEN = [name for name in os.environ.get("FAULTS_WORKLOADS", ",".join(WORKLOADS)).split(",") if name]
LEAST_PLANS = 60
pytestmark = pytest.mark.timeout(10_800 if EVERYTHING else 900)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def report(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    cluster: Cluster,
    broker: RabbitMq,
    eureka_pair: EurekaNodes,
) -> AsyncIterator[Report]:
    """All plans, run once for all tests of this module."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def report_progress(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line, flush=True)

    servers = Servers(cluster, broker, eureka_pair)
    folder = tmp_path_factory.mktemp("crash-plans")
    report_progress("")
    found = await run_plans(servers, folder, CHOSEN, everything=EVERYTHING, report_progress=report_progress)
    report_progress(f"\n{found.table()}\n")
    yield found


async def test_enough_plans_were_reached(report: Report) -> None:
    missed = [f"{one.workload}, {one.trigger}" for one in report.played if not one.reached]
    all_of_them = EVERYTHING and set(CHOSEN) == set(WORKLOADS)
    assert len(report.played) - len(missed) >= (LEAST_PLANS if all_of_them else 1)
    assert len(missed) <= (len(report.played) // 10 if EVERYTHING else 0), missed


@pytest.mark.parametrize("workload", CHOSEN)
async def test_the_reference_ends_well(report: Report, workload: str) -> None:
    ending = report.references[workload].ending
    expected = {
        "rollout": {"old 0 its instance": ["removed"], "old 1 its instance": ["removed"]},
        "stateful": {"old its instance": ["restored"]},
        # What a drain had ended before, by the log, has no second ending.
        "replay": {"running its instance": ["removed"]},
    }
    assert ending.trouble == []
    assert ending.finals == expected[workload]
    assert set(ending.left.values()) == {0}
    for label, states in ending.registry.items():
        gone = label.startswith(("old 0", "old 1", "running"))
        assert states == (["absent", "absent"] if gone else ["UP", "UP"]), label


@pytest.mark.parametrize("workload", CHOSEN)
async def test_after_a_crash_at_any_side_effect_the_drain_ends_as_without_it(report: Report, workload: str) -> None:
    different = [f"{one.trigger}: {'; '.join(one.differences)}" for one in report.of(workload) if one.differences]
    assert not different, "\n".join(different)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1000])
def test_a_publish_is_one_unit_however_it_is_cut(step: int) -> None:
    body = b'{"outcome": "removed", "reason": null}'
    publish = _method(1, 60, 40, b"\0\0" + _short("") + _short("drain.events") + b"\x01")
    properties = b"\x90\x20" + _short("application/json") + b"\x02" + _short("drain.event")
    header = _frame(2, 1, b"\0\x3c\0\0" + len(body).to_bytes(8, "big") + properties)
    bodies = _frame(3, 1, body[:5]) + _frame(3, 1, body[5:])
    sent = b"AMQP\0\0\x09\x01" + _method(1, 85, 10, b"\0") + publish + header + bodies + _frame(8, 0, b"")
    talk = AmqpTalk("eu")
    units = [unit for at in range(0, len(sent), step) for unit in talk.sent(sent[at : at + step])]
    assert b"".join(unit.data for unit in units) == sent
    (published,) = [unit for unit in units if unit.effect]
    assert published.effect is not None
    assert (published.effect.kind, published.effect.body, published.answer) == (
        "publish drain.events removed",
        body,
        (1, 1),
    )
    confirm = _method(1, 60, 80, (1).to_bytes(8, "big") + b"\x01")
    pieces = [piece for at in range(0, len(confirm), step) for piece in talk.answered(confirm[at : at + step])]
    assert [piece.answers for piece in pieces] == [{(1, 1)}]


@pytest.mark.parametrize(("queue", "kind"), [("drain.commands.eu", "ack drain.commands"), ("drain.events", None)])
def test_an_ack_is_recognised_by_the_queue_it_is_about(queue: str, kind: str | None) -> None:
    talk = AmqpTalk("eu")
    consume = _method(1, 60, 20, b"\0\0" + _short(queue) + _short("tag") + b"\0\0\0\0\0")
    talk.sent(b"AMQP\0\0\x09\x01" + consume)
    talk.answered(_method(1, 60, 60, _short("tag") + (7).to_bytes(8, "big") + b"\0" + _short("") + _short("")))
    (unit,) = talk.sent(_method(1, 60, 80, (7).to_bytes(8, "big") + b"\0"))
    assert (unit.effect and unit.effect.kind) == kind


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_requests_and_answers_on_one_kept_connection_are_separated(step: int) -> None:
    requests = b"GET /eureka/apps HTTP/1.1\r\nHost: a\r\n\r\n"
    requests += b"PUT /eureka/apps/A/i/status?value=UP HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
    requests += b"DELETE /eureka/apps/A/i HTTP/1.1\r\n\r\n"
    answers = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\n\r\n"
    answers += b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\nHTTP/1.1 204 \r\n\r\n"
    talk = HttpTalk("a")
    units = [unit for at in range(0, len(requests), step) for unit in talk.sent(requests[at : at + step])]
    assert b"".join(unit.data for unit in units) == requests
    assert [unit.effect.kind if unit.effect else None for unit in units] == [
        None,
        "PUT …/status?value=UP at node a",
        "DELETE … at node a",
    ]
    pieces = [piece for at in range(0, len(answers), step) for piece in talk.answered(answers[at : at + step])]
    assert b"".join(piece.data for piece in pieces) == answers
    assert [set(piece.answers) for piece in pieces] == [{unit.answer} for unit in units]


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return bytes([kind]) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + b"\xce"


def _method(channel: int, class_: int, method: int, arguments: bytes) -> bytes:
    return _frame(1, channel, class_.to_bytes(2, "big") + method.to_bytes(2, "big") + arguments)


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()
