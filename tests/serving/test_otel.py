"""Traces: one for whatever is about the same thing, whichever process works on it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving import tracing
from serving.otel import OtelTracing
from serving.settings import BadSettings

KEY = "T0:C0:1.0"


@pytest.fixture
def kept() -> InMemorySpanExporter:
    """What was told."""
    return InMemorySpanExporter()


@pytest.fixture
def traces(kept: InMemorySpanExporter) -> Iterator[OtelTracing]:
    """Tracing of one process."""
    made = OtelTracing("one", SimpleSpanProcessor(kept))
    yield made
    made.close()


def test_two_processes_write_one_trace(traces: OtelTracing, kept: InMemorySpanExporter) -> None:
    """The key alone says which, and which span is above the others; nothing is handed on."""
    other = OtelTracing("two", SimpleSpanProcessor(kept))
    since = datetime.now(UTC) - timedelta(seconds=5)
    with traces.within(KEY) as trace:
        traces.past("inbox", since)
    with other.within(KEY) as same, other.span("posted", outbox=7):
        pass
    other.whole(KEY, "question", since)
    inbox, posted, whole = kept.get_finished_spans()
    assert trace == same == f"{whole.context.trace_id:032x}"
    for one in (inbox, posted):
        assert one.context.trace_id == whole.context.trace_id
        assert one.parent is not None
        assert one.parent.span_id == whole.context.span_id
    assert whole.parent is None
    assert posted.attributes == {"mynah.outbox": 7}
    assert (whole.end_time or 0) - (whole.start_time or 0) >= 5e9


def test_another_key_is_another_trace(traces: OtelTracing) -> None:
    """Nothing but the key decides."""
    with traces.within(KEY) as one, traces.within("T0:C0:2.0") as other:
        assert one != other


def test_of_an_error_the_kind_is_told(traces: OtelTracing, kept: InMemorySpanExporter) -> None:
    """Its words may be what somebody asked."""
    with pytest.raises(ValueError, match="secret"), traces.within(KEY), traces.span("dispatch"):
        raise ValueError("a secret question")
    [span] = kept.get_finished_spans()
    assert not span.status.is_ok
    assert "secret" not in span.to_json()
    assert "ValueError" in span.to_json()


def test_a_trace_is_left_out_whole(
    kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What OpenTelemetry's own setting says of a trace holds for each of its spans."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    sampling = OtelTracing("one", SimpleSpanProcessor(kept))
    for number in range(40):
        with sampling.within(f"T0:C0:{number}"), sampling.span("dispatch"):
            pass
        sampling.whole(f"T0:C0:{number}", "question", datetime.now(UTC))
    traces = [span.context.trace_id for span in kept.get_finished_spans()]
    assert 0 < len(set(traces)) < 40
    assert all(traces.count(one) == 2 for one in traces)


async def test_a_request_carries_the_span(traces: OtelTracing) -> None:
    """W3C's header, while there is a span; none where nothing is traced."""
    request = httpx.Request("GET", "http://vllm/")
    with tracing.using(traces), traces.within(KEY) as trace, tracing.span("generate"):
        await tracing.carry(request)
    assert request.headers["traceparent"].split("-")[1] == trace
    other = httpx.Request("GET", "http://vllm/")
    with tracing.span("generate"):
        await tracing.carry(other)
    assert "traceparent" not in other.headers


def test_missing_packages_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the setting, and what to install."""
    monkeypatch.setitem(__import__("sys").modules, "serving.otel", None)
    with pytest.raises(BadSettings, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .*mynah\[otel\]"):
        tracing.open_tracing("http://127.0.0.1:4318", "mynah-bot")
