"""Traces, if the extra ``tracing`` is installed and an endpoint is set; else every call here costs nothing.

One trace a drain, from the watch's event to the DELETE. The trace's id is made from the drain's, so that all replicas
write to the same trace; the message headers carry the span that caused the message.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from controller.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_tracer: Tracer | None = None
HEADER = "traceparent"
"""The header of W3C Trace Context."""


def configure(endpoint: str) -> None:
    """Send spans to this OTLP/HTTP endpoint (``http://collector:4318``); no spans if it is empty."""
    global _tracer
    if not endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError(
            ["tracing.endpoint: the libraries for it are not installed; install eureka-drain[tracing]"]
        ) from None
    provider = TracerProvider(resource=Resource.create({"service.name": "eureka-drain"}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("eureka-drain")


@contextmanager
def span(name: str, *, drain_id: str = "", headers: Mapping[str, Any] | None = None, **facts: Any) -> Iterator[None]:
    """Record a span. ``headers``: those of the message that caused it; without them it is in the drain's own trace."""
    if _tracer is None:
        yield
        return
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = None
    if headers and headers.get(HEADER):
        context = TraceContextTextMapPropagator().extract({HEADER: str(headers[HEADER])})
    elif drain_id and not trace.get_current_span().get_span_context().is_valid:
        context = trace.set_span_in_context(trace.NonRecordingSpan(_root(drain_id)))
    attributes = {f"drain.{key}": str(value) for key, value in {"id": drain_id, **facts}.items() if value}
    with _tracer.start_as_current_span(name, context=context, attributes=attributes):
        yield


def carried() -> dict[str, str]:
    """Return the headers that pass the current span on; none outside of a span."""
    if _tracer is None:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return {HEADER: headers[HEADER]} if HEADER in headers else {}


def _root(drain_id: str) -> Any:
    """Return the root of a drain's trace: a span that nobody records, the same in every process."""
    from opentelemetry.trace import SpanContext, TraceFlags

    digest = hashlib.sha256(drain_id.encode()).digest()
    return SpanContext(
        trace_id=int.from_bytes(digest[:16], "big"),
        span_id=int.from_bytes(digest[16:24], "big"),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )
