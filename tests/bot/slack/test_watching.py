"""What an operator can follow of a question: its lines in the log, and its trace."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from bot.store.schema import Answer, OutboxMessage, Question
from tests.bot.slack.house import House, kill
from tests.fake_vllm import API_KEY, FakeVllm
from tests.lora_files import make_base
from tests.otlp import Receiver

ASKED = "Which wombat guards the boiler?"
SAID = "The wombat called Rosalind."
SECRETS = ("xoxb-mynah", "xapp-mynah", API_KEY)
Line = dict[str, Any]


class ToldVllm(FakeVllm):
    """Notes which span asks."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts, script=lambda _messages, _model: SAID)
        self.traceparents: list[str | None] = []

    async def _chat(self, request: Request) -> Response:
        self.traceparents.append(request.headers.get("traceparent"))
        return await super()._chat(request)


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[ToldVllm]:
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    with ToldVllm(adapters_dir=tmp_path / "adapters", base_dir=base) as running:
        yield running


def lines(house: House) -> list[str]:
    return (house.directory / "bot.log").read_text().splitlines()


def about(found: list[Line], message: str) -> list[Line]:
    return [one for one in found if one["message"] == message]


async def test_each_line_about_a_question_has_the_ids_of_its_receipt(house: House) -> None:
    """In JSON: from the delivery to the post. Nothing that was said is in the log, and no token:
    not when a question is edited, refused, tried again or deleted either."""
    child = await house.process(MYNAH_LOG="json")
    first = await house.asked(ASKED)
    await house.react("staff", "white_check_mark", first["ts"])
    house.vllm.fail_status = 500
    second = await house.ask("Where does the wombat sleep?")
    await house.sandbox.faults(rate_limit={"method": "chat.postMessage"})
    house.vllm.fail_status = None
    await house.answer(second)
    await house.client("asker").chat_update(
        channel="C0HELP", ts=second, text="<@U0MYNAH> Where does the wombat eat?"
    )
    await house.client("asker").chat_delete(channel="C0HELP", ts=second)
    await house.quiet()
    await kill(child, signal.SIGTERM)
    found = [json.loads(line) for line in lines(house)]
    [question, *_] = house.rows(Question)
    [answer, *_] = house.rows(Answer)
    [outbox, *_] = house.rows(OutboxMessage)
    ids = {"team": "T0MYNAH", "question": question.id, "answer": answer.id}
    said = about(found, "answered")[0]
    assert (
        said.items() >= {**ids, "release": "v1", "adapter": "base", "mode": "closed_book"}.items()
    )
    assert said["inbox"] > 0
    assert said["seconds"] >= 0
    assert about(found, "posted")[0].items() >= {**ids, "outbox": outbox.id}.items()
    told = "\n".join(lines(house)).lower()
    assert "wombat" not in told
    assert not [secret for secret in SECRETS if secret in told]


async def test_a_question_is_one_trace(house: House, vllm: ToldVllm) -> None:
    """From the inbox to the post, across its rows; vLLM is told which span asks it, the log which
    trace it is, and texts are told to nobody."""
    with Receiver() as receiver:
        child = await house.process(MYNAH_LOG="json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)
        await house.asked(ASKED)
        await house.quiet()
        await kill(child, signal.SIGTERM)
    found = [json.loads(line) for line in lines(house)]
    [trace] = {one["trace"] for one in about(found, "answered") + about(found, "posted")}
    spans = {one.name: one for one in receiver.spans if one.trace == trace}
    assert set(spans) == {
        "question", "inbox", "dispatch", "recall", "generate", "outbox", "posted",
    }  # fmt: skip
    whole, generate = spans["question"], spans["generate"]
    assert whole.parent == ""
    rows = [one for one in receiver.spans if one.trace == trace and one.name == "dispatch"]
    assert {one.about["mynah.kind"] for one in rows} == {"event", "question"}
    assert {spans[name].parent for name in ("inbox", "outbox", "posted")} == {whole.id}
    assert {one.parent for one in rows} == {whole.id}
    assert generate.parent in {one.id for one in rows}
    assert spans["recall"].parent == generate.parent
    assert whole.start <= generate.start <= generate.end <= whole.end
    assert vllm.traceparents == [f"00-{trace}-{generate.id}-01"]
    assert all("wombat" not in str(one).lower() for one in receiver.spans)
    assert {one.service for one in receiver.spans} == {"mynah-bot"}


async def test_without_an_endpoint_nothing_is_traced(house: House, vllm: ToldVllm) -> None:
    """No header, no id, and OpenTelemetry is not imported."""
    child = await house.process(MYNAH_LOG="json", PYTHONPROFILEIMPORTTIME="1")
    await house.asked(ASKED)
    await house.quiet()
    await kill(child, signal.SIGTERM)
    told = lines(house)
    assert vllm.traceparents == [None]
    assert not [line for line in told if 'trace":' in line]
    assert [line for line in told if line.startswith("import time:") and "serving.tracing" in line]
    ours = [line for line in told if line.startswith("import time:") and "serving.otel" in line]
    assert ours == []


async def test_figures_of_a_question(house: House) -> None:
    """A process counts what it answered, generated and posted."""
    import httpx

    async with house.bot(), httpx.AsyncClient(trust_env=False) as client:
        await house.asked(ASKED)
        await house.quiet()
        told = (await client.get(f"http://127.0.0.1:{house.port}/metrics")).text.splitlines()
    assert 'mynah_answer_seconds_count{mode="closed_book",team="T0MYNAH"} 1.0' in told
    assert 'mynah_first_token_seconds_count{adapter="base"} 1.0' in told
    assert 'mynah_tokens_total{adapter="base"} 4.0' in told
    assert 'mynah_recalls_total{use="none"} 1.0' in told
    assert 'mynah_handled_total{outcome="done",queue="questions"} 1.0' in told
    assert 'mynah_post_seconds_count{team="T0MYNAH"} 1.0' in told
    assert 'mynah_store_answers{adapter="base",mode="closed_book",team="T0MYNAH"} 1.0' in told
