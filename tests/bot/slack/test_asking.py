"""Asking: mentions, direct messages, threads."""

from __future__ import annotations

from bot.store.schema import Answer, AnswerMode, Question
from tests.bot.slack.house import House


async def test_mention_gets_one_answer_in_its_thread(house: House) -> None:
    """A mention arrives as two events and is answered once, in its thread, with its receipt."""
    async with house.bot():
        ts = await house.ask("What port does the console use?")
        answer = await house.answer(ts)
        await house.quiet()
        assert len(await house.answers(ts)) == 1
    assert answer["thread_ts"] == ts
    assert answer["text"] == "base heard: What port does the console use?"
    assert answer["metadata"]["event_type"] == "mynah_outbox"
    mark = answer["metadata"]["event_payload"]
    assert mark["release"] == "v1" and mark["adapter"] is None and mark["mode"] == "closed_book"
    assert answer["blocks"][-1]["elements"][0]["text"] == "v1 · not verified"
    [row] = house.rows(Answer)
    assert (row.ts, row.mode, row.confidence) == (answer["ts"], AnswerMode.CLOSED_BOOK, -0.25)
    assert len(house.rows(Question)) == 1
    assert house.failed() == []
