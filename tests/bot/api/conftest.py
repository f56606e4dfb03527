"""The house of the Slack tests, with a key for another system."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from bot.api import keys
from bot.store.database import transaction
from tests.bot.slack.conftest import house as house
from tests.bot.slack.conftest import vllm as vllm
from tests.bot.slack.house import House

TEAM = "T0MYNAH"


class Caller:
    """Another system with its key, and the clients that it opened."""

    def __init__(self, house: House) -> None:
        self.house = house
        self._clients: list[AsyncOpenAI] = []

    def key(self, name: str = "web") -> str:
        """A new key."""
        with transaction(self.house.engine) as session:
            return keys.make(session, TEAM, name, by="operator")[1]

    def client(self, key: str | None = None, *, port: int = 0, retries: int = 0) -> AsyncOpenAI:
        """OpenAI's own client; with a new key if none is given."""
        url = f"http://127.0.0.1:{port or self.house.port}/v1"
        client = AsyncOpenAI(
            api_key=self.key() if key is None else key, base_url=url, max_retries=retries
        )
        self._clients.append(client)
        return client

    async def close(self) -> None:
        """Close the connections."""
        for client in self._clients:
            await client.close()


def asks(text: str, **more: Any) -> dict[str, Any]:
    """The arguments of a completion that asks this."""
    return {"model": "mynah", "messages": [{"role": "user", "content": text}]} | more


@pytest.fixture
async def caller(house: House) -> AsyncIterator[Caller]:
    """Another system."""
    found = Caller(house)
    yield found
    await found.close()


def receipt(said: Any) -> dict[str, Any]:
    """What Mynah says of an answer, as OpenAI's client passes it through."""
    found: dict[str, Any] = said.model_extra["mynah"]
    return found
