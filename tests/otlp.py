"""Where traces go in tests: an OTLP/HTTP receiver that decodes what comes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import uvicorn
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from serving import http


@dataclass(frozen=True)
class Span:
    """A span as it was received; ids in hexadecimal digits, times in nanoseconds."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    about: dict[str, Any] = field(default_factory=dict)


class Receiver:
    """`with Receiver() as receiver:` and then `receiver.url` and `receiver.spans`."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._socket = http.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = Starlette(routes=[Route("/v1/traces", self._take, methods=["POST"])])
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.005)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    async def _take(self, request: Request) -> Response:
        assert request.headers["content-type"] == "application/x-protobuf"
        told = ExportTraceServiceRequest.FromString(await request.body())
        for resource in told.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_span(names["service.name"], one) for one in scope.spans]
        return Response(media_type="application/x-protobuf")


def _span(service: str, one: Any) -> Span:
    about = {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in one.attributes
    }
    return Span(
        service, one.name, one.trace_id.hex(), one.span_id.hex(), one.parent_span_id.hex(),
        one.start_time_unix_nano, one.end_time_unix_nano, about,
    )  # fmt: skip
