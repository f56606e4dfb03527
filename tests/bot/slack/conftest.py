"""The house that every test of the Slack side lives in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.bot.slack.house import House
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base
from tests.sandbox_server import Sandbox


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[FakeVllm]:
    """A stand-in for vLLM that says which model heard what."""
    adapters = tmp_path / "adapters"
    adapters.mkdir()
    with FakeVllm(adapters_dir=adapters, base_dir=make_base(tmp_path / "base")) as running:
        yield running


@pytest.fixture
def house(sandbox: Sandbox, vllm: FakeVllm, engine: Engine, tmp_path: Path) -> House:
    """Everything but the bot, which a test starts with `house.bot()` or `house.process()`."""
    return House(sandbox, vllm, engine, tmp_path)
