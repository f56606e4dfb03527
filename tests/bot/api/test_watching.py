"""What an operator can follow of another system's question: as of one in Slack."""

from __future__ import annotations

import httpx
import pytest
from openai import APIStatusError

from bot.store.schema import Answer, Question
from tests.bot.api.conftest import TEAM, Caller, asks
from tests.bot.slack.house import House
from tests.otlp import Receiver


async def test_a_callers_question_is_counted_logged_and_traced(
    house: House, caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """With the ids of its receipt, and in one trace from the call to vLLM."""
    caplog.set_level("INFO", "bot.watching")
    with Receiver() as receiver:
        async with (
            house.bot(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url),
            httpx.AsyncClient(trust_env=False) as http,
        ):
            await caller.client().chat.completions.create(**asks("Which wombat?"))
            told = (await http.get(f"http://127.0.0.1:{house.port}/metrics")).text.splitlines()
    [question], [answer] = house.rows(Question), house.rows(Answer)
    assert f'mynah_answer_seconds_count{{mode="closed_book",team="{TEAM}"}} 1.0' in told
    assert 'mynah_handled_total{outcome="done",queue="api"} 1.0' in told
    spans = {one.name: one for one in receiver.spans}
    assert set(spans) == {"question", "dispatch", "recall", "generate"}
    assert {one.trace for one in receiver.spans} == {spans["question"].trace}
    assert spans["dispatch"].parent == spans["question"].id
    assert spans["generate"].parent == spans["dispatch"].id
    assert spans["dispatch"].about["mynah.question"] == question.id
    ours = [one.message for one in caplog.records if one.name == "bot.watching"]
    assert ours == ["answered"]
    assert answer.id is not None


async def test_a_callers_question_that_nobody_answers_is_an_error(
    house: House, caller: Caller
) -> None:
    """It is counted among what went wrong."""
    house.vllm.down()
    async with house.bot(MYNAH_API_DEADLINE_S="1"), httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(APIStatusError):
            await caller.client().chat.completions.create(**asks("Which wombat?"))
        told = (await http.get(f"http://127.0.0.1:{house.port}/metrics")).text.splitlines()
    assert 'mynah_handled_total{outcome="error",queue="api"} 1.0' in told
