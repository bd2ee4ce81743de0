"""Whatever a decoder is given, it takes no more memory and no more time than its size explains.

By structure: documents of the shape that a decoder expects, in which anything may be multiplied, nested or replaced.
Some hundred inputs each; with FAULTS=all a hundred thousand in all.
"""

from __future__ import annotations

import gc
import json
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from inspect import isgenerator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from controller.bounds import PIECE_BYTES
from controller.domain.annotations import (
    AnnotationError,
    annotated_regions,
    annotated_window,
    is_enabled,
    read_annotations,
)
from controller.domain.durations import parse_duration
from controller.errors import KubernetesError, MessageError, RegistryError
from controller.eureka.caches import decode_age
from controller.eureka.registry_decoder import decode_instance, decode_peers
from controller.eureka.registry_reader import RegistryReader
from controller.kube import reviews
from controller.kube.node_decoder import decode_node
from controller.kube.pod_decoder import (
    decode_causes,
    decode_event,
    decode_failure,
    decode_head,
    decode_page,
    decode_pod,
)
from controller.kube.pod_details_decoder import details_of
from controller.messages.codec import (
    COMMAND_TYPE,
    CONTENT_TYPE,
    GONE_TYPE,
    RESTORE_TYPE,
    TAKEOVER_TYPE,
    decode_end,
    decode_entry,
    decode_item,
    decode_position,
)
from controller.messages.groups import GROUP_TYPE, parts_of
from tests.fakes.held_loop import MAX_HELD, yardstick
from tests.unit.building import a_pod
from tests.unit.registries import PLENTY
from tests.unit.test_fuzz_pods import PAGE, ended, going
from tests.unit.test_fuzz_registry import one

UNDOUBTED_SECONDS = 0.05
"""CPU for one step, which is little on every machine; what takes more is held against this machine's yardstick."""
FIXED_BYTES, BYTES_PER_BYTE = 4 * 1024 * 1024, 12
"""What a decoder may take: what a pattern remembers of one piece (1 MB measured), and so much for each byte."""
MANY = os.environ.get("FAULTS") == "all"
COPIES = (0, 1, 2, 100, 3_000)
"""Of one place, so that a document grows to a few hundred kB at the most; the large ones have tests of their own."""

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
small = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    inner = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


def changed(document: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """The document with one place changed."""
    if not path:
        return change(document)
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[path[0]] = changed(copy[path[0]], path[1:], change)
    return copy


def replaced(_: int, value: Any, __: Any) -> Any:
    return value


def multiplied(times: int, _: Any, old: Any) -> Any:
    return old * times if isinstance(old, list | str) else old


def listed(times: int, _: Any, old: Any) -> Any:
    return [old] * times


def filled(times: int, value: Any, old: Any) -> Any:
    return {**old, **{f"key-{number}": value for number in range(times)}} if isinstance(old, dict) else old


@st.composite
def bodies(draw: st.DrawFn, *documents: str) -> bytes:
    """A document of this shape with two places changed, one of them many times; and sometimes cut."""
    document = json.loads(draw(st.sampled_from(documents)))
    for times in (1, draw(st.sampled_from(COPIES))):
        place = draw(st.sampled_from(places(document)))
        change = draw(st.sampled_from((replaced, multiplied, listed, filled)))
        document = changed(document, place, partial(change, times, draw(small)))
    body = json.dumps(document).encode()
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 9)) == 0 else body


GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.v1.json").read_text())


def read_pod(body: bytes) -> None:
    details_of(*decode_pod(body))


def read_page(body: bytes) -> None:
    for item in decode_page(body).items:
        with suppress(KubernetesError):
            details_of(*decode_pod(bytes(item)))


def read_list(room: int | None, body: bytes) -> Iterator[None]:
    reader = RegistryReader(room=room)
    for begin in range(0, len(body), PIECE_BYTES):
        reader.feed(body[begin : begin + PIECE_BYTES])
        yield
    reader.finish()


def read_notes(body: bytes) -> None:
    notes = json.loads(body)
    if not isinstance(notes, dict):
        return
    pod = a_pod(annotations={str(name): str(value)[:1_025] for name, value in notes.items()})
    for read in (read_annotations, annotated_regions, annotated_window, is_enabled):
        with suppress(AnnotationError):
            read(pod)


def read_item(body: bytes) -> None:
    for type_ in (COMMAND_TYPE, RESTORE_TYPE):
        with suppress(MessageError):
            decode_item(body, type_=type_, content_type=CONTENT_TYPE)


def read_entry(body: bytes) -> None:
    for type_ in (None, TAKEOVER_TYPE, GONE_TYPE):
        with suppress(MessageError):
            decode_entry(body, type_)


def read_group(body: bytes) -> None:
    with suppress(MessageError):
        for part, _ in parts_of(body, GROUP_TYPE):
            read_entry(part)


def read_status(body: bytes) -> None:
    decode_failure(body)
    decode_causes(body)


def read_event(body: bytes) -> None:
    decode_head(body)
    decode_event(body)


def read_value(body: bytes) -> None:
    parse_duration(body.decode(errors="replace"))


def read_review(body: bytes) -> None:
    for decoder in (reviews._token_review, reviews._access_review):
        reviews._decoded(decoder, body)


STATUS = {"kind": "Status", "code": 410, "reason": "Expired", "details": {"causes": [{"reason": "x"}]}}
NODE = {"metadata": {"name": "a"}, "status": {"conditions": [{"type": "Ready", "status": "True", "message": "x"}]}}
NOTES = {
    "app": "orders",
    "instance-id": "{ip}:{app}",
    "port": "80",
    "region": "eu, us",
    "retention": "5m",
    "window": "9s",
}
LIST = {"applications": {"apps__hashcode": "UP_1_", "application": [{"name": "A", "instance": [one(), one()]}]}}
SETTINGS = {"contexts": {"a": {"beans": {"b": {"properties": {"responseCacheUpdateIntervalMs": 30_000}}}}}}
REVIEW = {"status": {"authenticated": True, "allowed": True, "user": {"username": "a", "groups": ["b"]}, "error": ""}}
DECODERS: dict[str, tuple[Callable[[bytes], Any], tuple[Any, ...]]] = {
    "pods": (read_pod, (going(), ended())),
    "pages": (read_page, (PAGE,)),
    "events of a watch": (read_event, ({"type": "ADDED", "object": going()},)),
    "statuses": (read_status, (STATUS,)),
    "nodes": (decode_node, (NODE,)),
    "registries": (partial(read_list, PLENTY), (LIST,)),
    "registries passed over": (partial(read_list, None), (LIST,)),
    "instances": (decode_instance, ({"instance": one()},)),
    "servers' settings": (decode_age, (SETTINGS,)),
    "status pages": (decode_peers, ("<registered-replicas>http://a:1/eureka</registered-replicas>",)),
    "annotations": (read_notes, (NOTES,)),
    "values of settings": (read_value, ("30s", "1.5h")),
    "reviews": (read_review, (REVIEW,)),
    "commands and dead letters": (read_item, (golden("command"), golden("restore"))),
    "the event log": (read_entry, (golden("event"), golden("takeover"), golden("gone"))),
    "the event log's groups": (read_group, (golden("entries"),)),
    "ends": (decode_end, (golden("end"),)),
    "positions": (decode_position, ({"version": 1, "cluster": "a", "scope": "", "resource_version": "7"},)),
}
REFUSALS = (KubernetesError, MessageError, RegistryError, ValueError)
PHASES = (Phase.explicit, Phase.generate)
"""Without making a failure smaller: that takes long, and what is large is the point."""
EXAMPLES = 100_000 // len(DECODERS) + 1 if MANY else 150
SEARCH = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=PHASES,
)


@pytest.mark.timeout(3_600 if MANY else 900)
@pytest.mark.parametrize("kind", DECODERS)
def test_no_input_takes_more_memory_or_time_than_its_size_explains(kind: str) -> None:
    decode, documents = DECODERS[kind]

    @SEARCH
    @given(bodies(*map(json.dumps, documents)))
    def check(body: bytes) -> None:
        seconds, peak = cost(decode, body)
        if seconds >= UNDOUBTED_SECONDS:  # a busy machine makes a step slow once, and a decoder makes it slow each time
            seconds, longest = min(cost(decode, body)[0] for _ in range(3)), MAX_HELD * yardstick()
            assert seconds < longest, f"{len(body)} bytes held the loop for {1000 * seconds:.0f} ms"
        assert peak < FIXED_BYTES + BYTES_PER_BYTE * len(body), f"{len(body)} bytes took {peak}"

    check()


def cost(decode: Callable[[bytes], Any], body: bytes) -> tuple[float, int]:
    """CPU seconds of its longest step, and the most bytes that were allocated at a time."""
    gc.disable()
    try:
        seconds = max(step_seconds(decode, body))
        tracemalloc.start()
        try:
            for _ in step_seconds(decode, body):
                pass
            return seconds, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    finally:
        gc.enable()


def step_seconds(decode: Callable[[bytes], Any], body: bytes) -> Iterator[float]:
    """How long each step took; between two of them, others have their turn."""
    begun_at = time.thread_time()
    with suppress(*REFUSALS):
        found = decode(body)
        for _ in found if isgenerator(found) else ():
            yield time.thread_time() - begun_at
            begun_at = time.thread_time()
    yield time.thread_time() - begun_at
