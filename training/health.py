"""What a worker tells its operator: alive, ready, and Prometheus figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import disk_usage
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

HINT = "(from the store, the same in each worker: take max)"
Ready = Callable[[], Mapping[str, Any] | None]


COUNTED = {
    "loads": "Adapters loaded",
    "unloads": "Adapters unloaded",
    "failed_probes": "Adapters that did not answer as they were trained to",
    "restarts": "Times that vLLM was found to have been started again",
    "corrupted": "Requests that vLLM answered with NaN",
}


class Figures:
    """The worker's Prometheus figures, in a registry of their own."""

    def __init__(self, data_dir: Path) -> None:
        self.registry = CollectorRegistry()
        self.active = self._gauge("worker_active", "1 in the worker that holds the lease")
        self.running = self._gauge("run_running", "1 while a run is trained or evaluated")
        self.resting = self._gauge(
            "servers_resting", "1 while servers rest for a training, until they are back"
        )
        self.runs = self._gauge("store_runs", f"Runs by status {HINT}", "status")
        self.verdicts = self._gauge("store_verdicts", f"The gate's verdicts {HINT}", "verdict")
        self.healthy = self._gauge("replica_healthy", "1 while the vLLM server answers", "url")
        self.adapters = self._gauge("replica_adapters", "Adapters ready on the server", "url")
        self._disk(data_dir)
        # Since this worker started, and `corrupted` since the server did.
        self.counted = {
            what: self._gauge(f"replica_{what}", f"{about} on the server", "url")
            for what, about in COUNTED.items()
        }

    def _disk(self, data_dir: Path) -> None:
        """Asked at each scrape; where adapters, runs and SQLite's file lie."""
        free = self._gauge("disk_free_bytes", "Free where MYNAH_DATA_DIR is")
        free.set_function(lambda: disk_usage(data_dir).free)
        size = self._gauge("disk_bytes", "Size of the disk where MYNAH_DATA_DIR is")
        size.set_function(lambda: disk_usage(data_dir).total)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"mynah_{name}", what, labels, registry=self.registry)


def build(ready: Ready, figures: Figures) -> Starlette:
    """`/healthz` (the process lives), `/readyz` (`ready()` gives facts, or None for 503), and
    `/metrics`."""

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def readyz(_: Request) -> Response:
        facts = await asyncio.to_thread(ready)
        return JSONResponse(facts or {"ready": False}, status_code=200 if facts else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(figures.registry), media_type=CONTENT_TYPE_LATEST)

    pages = {"/healthz": healthz, "/readyz": readyz, "/metrics": metrics}
    return Starlette(routes=[Route(path, page) for path, page in pages.items()])
