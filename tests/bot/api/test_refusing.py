"""What is refused is an exception of OpenAI's own client, and says in its shape what is wrong."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from sqlalchemy import Engine, update

from bot import releases
from bot.api import allowance, keys
from bot.api.errors import ApiError
from bot.store.database import transaction
from bot.store.schema import Answer, ApiKey, Audit, Question, Team, now
from serving.client import ChatMessage
from tests.bot.api.conftest import TEAM, Caller, asks
from tests.bot.slack.house import WITHIN_S, House, until
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base
from tests.stores import opened


async def refused(caller: Caller, key: str | None = None, **request: Any) -> openai.APIStatusError:
    """The exception that a request ends with."""
    with pytest.raises(openai.APIStatusError) as caught:
        await caller.client(key).chat.completions.create(**request)
    return caught.value


async def test_who_has_no_key_asks_nothing(house: House, caller: Caller) -> None:
    """None, a wrong one, one of another sort, and a revoked one; also for the list of models."""
    async with house.bot():
        good = caller.key()
        caller_of_models = caller.client("mk-wrong")
        with pytest.raises(openai.AuthenticationError):
            await caller_of_models.models.list()
        for key in ("mk-wrong", "sk-123", good + "x", good[:-1]):
            error = await refused(caller, key, **asks("Hello?"))
            assert isinstance(error, openai.AuthenticationError)
            assert error.code == "invalid_api_key"
        await caller.client(good).chat.completions.create(**asks("Hello?"))
        house.write(lambda session: keys.revoke(session, TEAM, 1, by="operator"))
        error = await refused(caller, good, **asks("Hello?"))
        assert (type(error), error.code) == (openai.AuthenticationError, "api_key_revoked")
    assert len(house.rows(Question)) == 1
    done = [(row.action, row.subject, row.detail.get("name")) for row in house.rows(Audit)]
    assert ("api_key.add", "api_key:1", "web") in done
    assert ("api_key.revoke", "api_key:1", "web") in done
    assert good not in str(house.rows(ApiKey)) + str(house.rows(Audit))


async def test_what_cannot_be_answered_as_asked(house: House, caller: Caller) -> None:
    """400 with the part that is wrong, 404 for another model, 413 for too much."""
    key = caller.key()
    asked = asks("Hello?")
    wrong: list[tuple[dict[str, Any], type[openai.APIStatusError], int, str | None]] = [
        (asks("Hello?", n=2), openai.BadRequestError, 400, "n"),
        (
            asks("Hello?", response_format={"type": "json_object"}),
            openai.BadRequestError, 400, "response_format",
        ),
        (asks(""), openai.BadRequestError, 400, "messages"),
        (asks("x" * 40_001), openai.BadRequestError, 400, "messages"),
        (asked | {"messages": []}, openai.BadRequestError, 400, "messages"),
        (
            asked | {"messages": [{"role": "tool", "content": "x", "tool_call_id": "1"}]},
            openai.BadRequestError, 400, "messages.0.role",
        ),
        (
            asked | {"messages": [{"role": "assistant", "content": "Hi"}]},
            openai.BadRequestError, 400, "messages",
        ),
        (asked | {"model": "gpt-5"}, openai.NotFoundError, 404, "model"),
        (asks("x" * 262_144), openai.APIStatusError, 413, None),
    ]  # fmt: skip
    async with house.bot():
        for request, kind, status, param in wrong:
            error = await refused(caller, key, **request)
            assert (type(error), error.status_code, error.param) == (kind, status, param)
    assert house.rows(Question) == []


async def test_all_that_is_wrong_is_said_in_openais_shape(house: House, caller: Caller) -> None:
    """Also no JSON, another method, another path; and other sites' pages are let nowhere."""
    headers = {"Authorization": f"Bearer {caller.key()}", "Origin": "https://elsewhere.example"}
    async with house.bot(), httpx.AsyncClient(trust_env=False, headers=headers) as http:
        url = f"http://127.0.0.1:{house.port}/v1"
        found = [
            await http.post(f"{url}/chat/completions", content=b"{"),
            await http.post(f"{url}/chat/completions", content=b"[" * 200_000),
            await http.get(f"{url}/chat/completions"),
            await http.post(f"{url}/embeddings", json={}),
            await http.options(f"{url}/chat/completions"),
        ]
    assert [one.status_code for one in found] == [400, 400, 405, 404, 405]
    for one in found:
        assert set(one.json()["error"]) == {"message", "type", "param", "code"}
        assert "access-control-allow-origin" not in one.headers


async def test_a_key_may_ask_so_much(house: House, caller: Caller) -> None:
    """After its allowance 429 says when to come again, and OpenAI's client does."""
    async with house.bot(MYNAH_API_PER_MINUTE="1"):
        key = caller.key()
        await caller.client(key).chat.completions.create(**asks("Hello?"))
        error = await refused(caller, key, **asks("Hello?"))
        assert (type(error), error.code) == (openai.RateLimitError, "rate_limit_exceeded")
        assert 1 <= int(error.response.headers["retry-after"]) <= 60
        await caller.client().chat.completions.create(**asks("Another key?"))
        nearly = now() - timedelta(seconds=58)
        house.write(lambda session: session.execute(update(ApiKey).values(counted_at=nearly)))
        await caller.client(key, retries=2).chat.completions.create(**asks("Hello?"))


def test_an_allowance_is_that_of_all_bots(store: Engine) -> None:
    """It is counted in the store, fills up again with time and not beyond its most, and a clock
    that is behind takes nothing away."""
    with transaction(store) as session:
        releases.ensure_team(session, TEAM)
        key, _ = keys.make(session, TEAM, "web", by="operator")

    def spend(engine: Engine) -> int:
        try:
            with transaction(engine) as session:
                allowance.spend(session, key.id, 3)
        except ApiError as error:
            return error.status
        return 200

    def count(at: datetime, left: float = 0) -> None:
        with transaction(store) as session:
            session.execute(update(ApiKey).values(counted_at=at, allowance=left))

    url = store.url.render_as_string(hide_password=False)
    with opened(url) as elsewhere:
        assert [spend(store), spend(elsewhere), spend(store)] == [200, 429, 429]
        count(now() + timedelta(hours=1), left=1)
        assert [spend(elsewhere), spend(store)] == [200, 429]
        count(now() - timedelta(hours=1))
        assert [spend(store), spend(elsewhere)] == [200, 429]


async def test_a_key_may_ask_so_much_at_once(house: House, caller: Caller) -> None:
    """One more than its places is told to wait; the others are answered."""
    free = threading.Event()

    def wait(messages: Sequence[ChatMessage], model: str) -> str:
        free.wait(WITHIN_S)
        return "Here you are."

    house.vllm.script = wait
    async with house.bot(MYNAH_API_PER_MINUTE="600", MYNAH_API_DEADLINE_S="90"):
        client = caller.client()
        create = client.chat.completions.create
        under_way = [
            asyncio.create_task(create(**asks(f"Question {number}")))
            for number in range(allowance.AT_ONCE)
        ]
        await until(lambda: len(house.rows(Question)) == allowance.AT_ONCE)
        error = await refused(caller, client.api_key, **asks("One more?"))
        assert (type(error), error.code) == (openai.RateLimitError, "too_many_at_once")
        free.set()
        await asyncio.gather(*under_way)
        await create(**asks("One more?"))
    assert len(house.rows(Answer)) == allowance.AT_ONCE + 1


async def test_nobody_waits_for_ever(house: House, caller: Caller) -> None:
    """While no model answers, 503 after the deadline, streaming or not; the question is taken back
    and nobody answers it later."""
    house.vllm.down()
    async with house.bot(MYNAH_API_DEADLINE_S="1"):
        key = caller.key()
        for stream in (False, True):
            error = await refused(caller, key, **asks("Hello?", stream=stream))
            assert (type(error), error.code) == (openai.InternalServerError, "no_model")
            assert error.status_code == 503
            assert int(error.response.headers["retry-after"]) > 0
    house.vllm.up()
    async with house.bot():
        await caller.client(key).chat.completions.create(**asks("Hello again?"))
        assert house.open_rows() == []
    texts = [(row.text, row.deleted_at is None) for row in house.rows(Question)]
    assert texts == [("", False), ("", False), ("Hello again?", True)]
    assert [answer.question_id for answer in house.rows(Answer)] == [3]


class Silent(FakeVllm):
    """A server that says nothing more in the middle of an answer."""

    async def _lines(self, model: str, tokens: list[str], reason: str) -> AsyncIterator[str]:
        async for line in super()._lines(model, tokens[: len(tokens) // 2], reason):
            if "finish_reason" in line:
                await asyncio.sleep(600)
            yield line


async def test_a_model_that_falls_silent_is_not_waited_for(
    house: House, caller: Caller, tmp_path: Path
) -> None:
    """In the middle of a stream as before it: the client's own exception, and no answer is
    recorded."""
    with Silent(adapters_dir=tmp_path, base_dir=make_base(tmp_path / "silent")) as silent:
        silent.script = lambda messages, model: "It is port 9443, as it has ever been. " * 9
        silent.logprob = -0.01
        async with house.bot(MYNAH_API_DEADLINE_S="5", MYNAH_VLLM_URLS=silent.url):
            create = caller.client().chat.completions.create
            stream = await create(**asks("Hello?", stream=True))
            said: list[str] = []

            async def read() -> None:
                async for chunk in stream:
                    said.append(chunk.choices[0].delta.content or "")

            with pytest.raises(openai.APIError, match="No model can answer"):
                await read()
    assert "".join(said)
    assert house.rows(Answer) == []


async def test_a_key_ends_with_its_workspace(house: House, caller: Caller) -> None:
    """Where Mynah was taken out, and where this bot never was: 403."""

    def elsewhere(session: Any) -> None:
        session.add(Team(team_id="T0ELSE"))

    house.write(elsewhere)
    with_key: dict[str, str] = {}
    house.write(
        lambda session: with_key.update(key=keys.make(session, "T0ELSE", "web", by="operator")[1])
    )
    async with house.bot():
        error = await refused(caller, with_key["key"], **asks("Hello?"))
        assert (type(error), error.code) == (openai.PermissionDeniedError, "workspace_gone")
        key = caller.key()

        def gone(session: Any) -> None:
            session.get_one(Team, TEAM).removed_at = now()

        house.write(gone)
        error = await refused(caller, key, **asks("Hello?"))
        assert (type(error), error.code) == (openai.PermissionDeniedError, "workspace_gone")
