"""A real vLLM server under the real engine, for tests. One is shared by all slow tests."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy.base_model import small_base_model
from serving.client import VllmClient
from serving.engine import Engine
from serving.settings import ServerSettings
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base

API_KEY = "test-inference-key-0123456789"
CONTROL_KEY = "test-control-key-0123456789"


@dataclass(frozen=True)
class Vllm:
    """A running server. `base_dir` is the model it serves; adapters must lie in `adapters_dir`."""

    url: str
    api_key: str
    control_key: str
    adapters_dir: Path
    base_dir: Path
    log: Path
    start_s: float

    def client(self, *, timeout_s: float = 120) -> VllmClient:
        """A new client with both keys."""
        return VllmClient(
            self.url, api_key=self.api_key, control_key=self.control_key, timeout_s=timeout_s
        )


def server_settings(data_dir: Path, port: int) -> ServerSettings:
    """Settings that look at no environment and no `.env`."""
    return ServerSettings.model_construct(
        data_dir=data_dir,
        base_model="",
        vllm_urls=(f"http://127.0.0.1:{port}",),
        vllm_api_key=SecretStr(API_KEY),
        control_key=SecretStr(CONTROL_KEY),
        host="127.0.0.1",
        port=port,
    )


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def real_vllm(data_dir: Path, *, dtype: str = "") -> Iterator[Vllm]:
    """Start vLLM with the small base model; it is gone when the block ends."""
    base = small_base_model()
    settings = server_settings(data_dir, free_port())
    engine = Engine(settings, base, dtype=dtype)
    with _loop() as loop:
        try:
            _run(loop, engine)
            yield Vllm(
                url=engine.url,
                api_key=API_KEY,
                control_key=CONTROL_KEY,
                adapters_dir=settings.adapters_dir,
                base_dir=base,
                log=engine.log,
                start_s=engine.start_s or 0.0,
            )
        finally:
            asyncio.run_coroutine_threadsafe(engine.stop(), loop).result()


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vllm]:
    """The one real server of the test session. Leave no adapters behind: unload what you load."""
    with real_vllm(tmp_path_factory.mktemp("vllm")) as server:
        yield server


@pytest.fixture
def fake_vllm(tmp_path: Path) -> Iterator[FakeVllm]:
    """A fresh fake server with a tiny base model; adapters go into `fake_vllm.adapters_dir`."""
    base = make_base(tmp_path / "base-model")
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    with FakeVllm(adapters_dir=adapters, base_dir=base) as fake:
        yield fake


def _run(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    started: Future[None] = asyncio.run_coroutine_threadsafe(engine.start(), loop)
    started.result()


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread: the engine must live on while the tests' own loops come and go."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
