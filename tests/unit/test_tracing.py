"""Traces: nothing without the extra or an endpoint; with them, one trace a drain over every message."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from controller import tracing
from controller.errors import SettingsError

sdk = pytest.importorskip("opentelemetry.sdk.trace")


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def test_without_an_endpoint_nothing_is_traced_and_nothing_is_carried() -> None:
    tracing.configure("")
    with tracing.span("drain.publish", drain_id="d1"):
        assert tracing.carried() == {}


def test_replicas_record_a_drain_in_the_same_trace(spans: Any) -> None:
    for _ in range(2):
        with tracing.span("drain.publish", drain_id="d1"):
            pass
    with tracing.span("drain.publish", drain_id="d2"):
        pass
    first, second, other = (span.context.trace_id for span in spans.get_finished_spans())
    assert first == second != other


def test_a_stage_and_its_writes_hang_on_the_message_that_caused_them(spans: Any) -> None:
    with tracing.span("drain.publish", drain_id="d1"):
        headers = tracing.carried()
    with tracing.span("drain.step", headers=headers, region="eu"):
        onward = tracing.carried()
        with tracing.span("eureka.delete", node="http://a"):
            pass
    with tracing.span("drain.step", headers=onward):
        pass
    publish, delete, step, later = spans.get_finished_spans()
    assert len({span.context.trace_id for span in (publish, delete, step, later)}) == 1
    assert step.parent.span_id == publish.context.span_id
    assert delete.parent.span_id == later.parent.span_id == step.context.span_id


@pytest.mark.parametrize("header", ["", "nonsense", "00-zz-zz-01", b"\xff", 7, None])
def test_a_header_that_is_none_of_ours_begins_another_trace(spans: Any, header: Any) -> None:
    with tracing.span("drain.step", headers={tracing.HEADER: header}):
        assert tracing.carried()


def test_an_endpoint_without_the_libraries_is_an_error_with_its_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SettingsError, match=r"eureka-drain\[tracing\]"):
        tracing.configure("http://127.0.0.1:4318")


def test_the_libraries_are_not_imported_for_those_who_do_not_trace() -> None:
    code = "import sys, controller.rabbit.outbox, controller.eureka.node; print('opentelemetry' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == "False"
