"""Traces by OpenTelemetry; imported only where they are configured (the extra `otel`).

The id of a trace is a hash of what it is about, so that nothing has to be stored for whoever works
on it next: a message's span in the bot that heard it, its answer's in another bot and its post's in
a third one meet in one trace.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

import httpx
from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_OTLP_TIMEOUT
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.tracing import PATH, Value

SEND_S = 3.0
_chosen: ContextVar[tuple[int, int] | None] = ContextVar("chosen", default=None)


def to_endpoint(endpoint: str, service: str) -> OtelTracing:
    """Traces that go to an OTLP/HTTP endpoint; what else OpenTelemetry's own variables say
    (headers, time-outs, sampling) is read by its SDK."""
    # A collector that is away must not hold up the end of a process.
    within_s = None if OTEL_EXPORTER_OTLP_TIMEOUT in os.environ else SEND_S
    exporter = OTLPSpanExporter(endpoint=endpoint + PATH, timeout=within_s)
    return OtelTracing(service, BatchSpanProcessor(exporter))


class OtelTracing:
    """See `serving.tracing.Tracing`. A span has ids and names for attributes, and no texts."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        self._provider = TracerProvider(
            resource=Resource.create({SERVICE_NAME: service}), id_generator=_Ids(),
            shutdown_on_exit=False,
        )  # fmt: skip
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("mynah")
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def within(self, key: str) -> Iterator[str]:
        """See `Tracing.within`."""
        trace_id, span_id = _ids(key)
        flags = TraceFlags(TraceFlags.SAMPLED if self._is_sampled(trace_id) else 0)
        above = NonRecordingSpan(SpanContext(trace_id, span_id, is_remote=True, trace_flags=flags))
        token = attach(trace.set_span_in_context(above))
        try:
            yield f"{trace_id:032x}"
        finally:
            detach(token)

    @contextmanager
    def span(self, name: str, **about: Value) -> Iterator[None]:
        """See `Tracing.span`. Of an error it tells the kind: its words may be somebody's."""
        with self._tracer.start_as_current_span(
            name, attributes=_named(about), record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield
            except Exception as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise

    def past(self, name: str, since: datetime, **about: Value) -> None:
        """See `Tracing.past`."""
        span = self._tracer.start_span(name, attributes=_named(about), start_time=_ns(since))
        span.end()

    def whole(self, key: str, name: str, since: datetime, **about: Value) -> None:
        """See `Tracing.whole`."""
        token = _chosen.set(_ids(key))
        try:
            span = self._tracer.start_span(
                name, context=Context(), attributes=_named(about), start_time=_ns(since)
            )
        finally:
            _chosen.reset(token)
        span.end()

    def carry(self, headers: httpx.Headers) -> None:
        """See `Tracing.carry`."""
        self._propagator.inject(headers)

    def close(self) -> None:
        """See `Tracing.close`."""
        self._provider.shutdown()

    def _is_sampled(self, trace_id: int) -> bool:
        """What the sampler says of a trace says it of all of its spans, in every process."""
        found = self._provider.sampler.should_sample(Context(), trace_id, "question")
        return found.decision is Decision.RECORD_AND_SAMPLE


class _Ids(RandomIdGenerator):
    """Random ids, except for the span above all others."""

    def generate_span_id(self) -> int:
        chosen = _chosen.get()
        return super().generate_span_id() if chosen is None else chosen[1]

    def generate_trace_id(self) -> int:
        chosen = _chosen.get()
        return super().generate_trace_id() if chosen is None else chosen[0]


def _ids(key: str) -> tuple[int, int]:
    """The ids of a trace and of its uppermost span."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:24], "big")


def _named(about: dict[str, Value]) -> dict[str, Value]:
    return {f"mynah.{name}": value for name, value in about.items()}


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1e9)
