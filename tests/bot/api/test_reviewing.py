"""Staff see on the Home tab what other systems asked, and teach from there: in Slack, too."""

from __future__ import annotations

import openai
import pytest

from bot.slack import home_view
from bot.store.schema import Example, ExampleStatus, Feedback, FeedbackKind, OutboxMessage, Question
from tests.bot.api.conftest import Caller, asks, receipt
from tests.bot.api.test_named import named
from tests.bot.api.test_rating import rate
from tests.bot.slack import hands
from tests.bot.slack.house import House
from tests.bot.slack.test_home import buttons, home, press, words

PORT = "Which port does the console listen on?"
RIGHT = "It is port 9443, since version 2."


async def test_what_staff_approve_is_known_in_slack(house: House, caller: Caller) -> None:
    """The tab shows question, answer and where it was asked; 👍 teaches it to the whole workspace:
    it is quoted in Slack and to the other system, and a thumb of its people taught nothing."""
    house.vllm.script = lambda messages, model: RIGHT
    async with house.bot():
        key = caller.key()
        create = caller.client(key).chat.completions.create
        said = await create(**asks(PORT, user="ann"))
        await rate(house, key, id=said.id, rating="helpful")
        await rate(
            house, key, id=said.id, rating="unhelpful", reason="outdated", comment="<!here> 9444?",
            user="bob",
        )  # fmt: skip
        assert house.rows(Example) == []
        view = await home(house, "staff")
        assert PORT in words(view)
        assert RIGHT in words(view)
        assert "API: web" in words(view)
        assert "1 helped · 1 not helped (“outdated: &lt;!here&gt; 9444?”)" in words(view)
        assert "see it" not in words(view)
        view = await press(house, "staff", view, home_view.RIGHT, "1")
        assert "Noted as right" in words(view)
        assert "Nothing waits for you" in words(view)
        in_slack = await house.asked(PORT)
        again = await create(**asks(PORT))
    assert in_slack["metadata"]["event_payload"]["mode"] == "quoted"
    assert RIGHT in in_slack["text"]
    assert receipt(again)["mode"] == "quoted"
    [example] = house.rows(Example)
    assert (example.scope, example.status, example.approved_by) == (
        None, ExampleStatus.LIVE, "U0STAFF",
    )  # fmt: skip
    assert {row.channel for row in house.rows(OutboxMessage)} == {"C0HELP"}
    assert house.failed() == []


async def test_others_see_nothing_of_it(house: House, caller: Caller) -> None:
    """Neither colleagues nor guests have the queue, and a press of theirs changes nothing."""
    async with house.bot():
        await caller.client().chat.completions.create(**asks(PORT, user="U0ASKER"))
        for who in ("asker", "guest"):
            view = await home(house, who)
            assert "console" not in words(view)
            assert buttons(view) == []
    assert house.rows(Feedback) == []


async def test_staff_correct_it_from_the_tab(house: House, caller: Caller) -> None:
    """What they write is learned, stands in the answer's place, and is what is said from then on;
    what the other system's people say of the answer is still about what they read."""
    async with house.bot():
        key = caller.key()
        create = caller.client(key).chat.completions.create
        said = await create(**asks(PORT))
        view = await home(house, "staff")
        pressed = await press(house, "staff", view, home_view.CORRECT, "1")
        assert pressed
        form = await hands.modal(house, "staff")
        await hands.submit(house, "staff", form, answer=RIGHT, reason="wrong")
        await house.quiet()
        assert "Nothing waits for you" in words(await home(house, "staff"))
        again = await create(**asks(PORT))
        assert (await rate(house, key, id=said.id, rating="unhelpful")).status_code == 200
    assert again.choices[0].message.content == RIGHT
    corrected, thumb = house.rows(Feedback)
    assert (corrected.kind, corrected.correction) == (FeedbackKind.CORRECT, RIGHT)
    assert (thumb.kind, thumb.answer_id) == (FeedbackKind.UNHELPFUL, corrected.answer_id)
    assert house.rows(OutboxMessage) == []


async def test_staff_answer_what_mynah_was_not_sure_of(house: House, caller: Caller) -> None:
    """It waits on the tab without words to be rated; what staff write is learned."""
    house.vllm.logprob = -6.0
    async with house.bot():
        create = caller.client().chat.completions.create
        said = await create(**asks(PORT))
        view = await home(house, "staff")
        assert "not sure, so it was not answered" in words(view)
        assert buttons(view) == [("open:correct", "1")]
        await press(house, "staff", view, home_view.CORRECT, "1")
        form = await hands.modal(house, "staff")
        await hands.submit(house, "staff", form, answer=RIGHT, reason="incomplete")
        await house.quiet()
        again = await create(**asks(PORT))
    assert receipt(said)["mode"] == "unsure"
    assert again.choices[0].message.content == RIGHT
    assert house.rows(OutboxMessage) == []


async def test_a_rejection_and_a_dispute_are_what_they_are_in_slack(
    house: House, caller: Caller
) -> None:
    """👎 after another's 👍 holds the example back, and the reviewers' card shows the words, as
    there is nothing to link to."""
    house.vllm.script = lambda messages, model: RIGHT
    async with house.bot():
        await caller.client().chat.completions.create(**asks(PORT))
        mine, theirs = await home(house, "staff"), await home(house, "staff2")
        await press(house, "staff", mine, home_view.RIGHT, "1")
        await press(house, "staff2", theirs, home_view.WRONG, "1")
        cards = await house.sandbox.messages("C0ADMIN")
    assert {example.status for example in house.rows(Example)} == {ExampleStatus.HELD}
    [card] = [one for one in cards if "Staff disagree" in one["text"]]
    assert RIGHT in str(card["blocks"])
    assert house.failed() == []


async def test_what_is_deleted_is_forgotten(house: House, caller: Caller) -> None:
    """The caller deletes what was asked, as OpenAI's client does: it leaves the queue and memory,
    its words are gone, and another system's key deletes nothing."""
    house.vllm.script = lambda messages, model: RIGHT
    async with house.bot():
        client, other = caller.client(), caller.client(caller.key("tool"))
        said = await named(client, "a", PORT)
        await press(house, "staff", await home(house, "staff"), home_view.RIGHT, "1")
        with pytest.raises(openai.NotFoundError):
            await other.chat.completions.delete(said.id)
        assert (await client.chat.completions.delete(said.id)).deleted
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.delete(said.id)
        again = await named(client, "a", PORT)
    assert receipt(again)["mode"] == "closed_book"
    assert again.id != said.id
    [example] = house.rows(Example)
    assert (example.status, example.question, example.answer) == (ExampleStatus.REVOKED, "", "")
    assert [question.text for question in house.rows(Question)] == ["", PORT]
    assert house.rows(OutboxMessage) == []
