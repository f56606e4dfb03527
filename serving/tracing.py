"""Spans of what is going on, where traces are configured; elsewhere nothing, and no import."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from datetime import datetime
from typing import Protocol

import httpx

from serving.settings import BadSettings

PATH = "/v1/traces"  # below an OTLP/HTTP endpoint
Value = str | int | float | bool


class Tracing(Protocol):
    """Makes spans: `serving.otel` does."""

    def within(self, key: str) -> AbstractContextManager[str]:
        """What follows is part of the trace of `key`, the same one in every process; gives the
        trace's id, 32 hexadecimal digits."""

    def span(self, name: str, **about: Value) -> AbstractContextManager[None]:
        """A span around what is done meanwhile."""

    def past(self, name: str, since: datetime, **about: Value) -> None:
        """A span that began at `since` and ends now."""

    def whole(self, key: str, name: str, since: datetime, **about: Value) -> None:
        """The span above all others of the trace of `key`, which ends now."""

    def carry(self, headers: httpx.Headers) -> None:
        """Tell another server which span asks it (W3C's `traceparent`)."""

    def close(self) -> None:
        """Send what was not sent yet."""


_now: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


@contextmanager
def using(tracing: Tracing | None) -> Iterator[None]:
    """`span` and `carry` are by this one meanwhile."""
    token = _now.set(tracing)
    try:
        yield
    finally:
        _now.reset(token)


def span(name: str, **about: Value) -> AbstractContextManager[None]:
    """A span around what is done meanwhile, where that is traced."""
    tracing = _now.get()
    return nullcontext() if tracing is None else tracing.span(name, **about)


async def carry(request: httpx.Request) -> None:
    """For httpx's hooks: a request says which span it is part of, where that is traced."""
    if (tracing := _now.get()) is not None:
        tracing.carry(request.headers)


def open_tracing(endpoint: str, service: str) -> Tracing | None:
    """Tracing to an OTLP endpoint; None, and nothing imported, where there is none.

    Raises:
        BadSettings: the packages for it are not installed.
    """
    if not endpoint:
        return None
    try:
        from serving.otel import to_endpoint
    except ImportError as error:
        why = "traces need packages that are not installed: pip install 'mynah[otel]'"
        raise BadSettings(f"OTEL_EXPORTER_OTLP_ENDPOINT: {why}") from error
    return to_endpoint(endpoint, service)
