"""`POST /v1/feedback`: a weak signal of people elsewhere; nothing is learned from it."""

from __future__ import annotations

from typing import Any

import httpx

from bot.store.schema import Example, Feedback, FeedbackKind
from tests.bot.api.conftest import Caller, asks
from tests.bot.slack.house import House

HELPFUL, UNHELPFUL = FeedbackKind.HELPFUL, FeedbackKind.UNHELPFUL


async def rate(house: House, key: str, **body: Any) -> httpx.Response:
    """Send a rating."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        return await http.post(f"http://127.0.0.1:{house.port}/v1/feedback", json=body)


async def test_of_each_person_the_newest_counts(house: House, caller: Caller) -> None:
    """The person of the question, or who is named; the same again is one rating, and a newer one
    takes its place. It teaches nothing."""
    async with house.bot():
        key = caller.key()
        said = await caller.client(key).chat.completions.create(**asks("Port?", user="ann"))
        for rating, more in (
            ("helpful", {}), ("helpful", {}), ("unhelpful", {"reason": "outdated"}),
            ("unhelpful", {"reason": "wrong", "comment": "It moved to 9444."}),
            ("helpful", {"user": "bob"}),
        ):  # fmt: skip
            found = await rate(house, key, id=said.id, rating=rating, **more)
            assert found.status_code == 200
            assert found.json() == {"object": "feedback", "id": said.id, "rating": rating}
    rows = house.rows(Feedback)
    assert [(row.user, row.kind, row.revoked_at is None) for row in rows] == [
        ("api:web/ann", HELPFUL, False), ("api:web/ann", UNHELPFUL, True),
        ("api:web/bob", HELPFUL, True),
    ]  # fmt: skip
    assert (rows[1].reason, rows[1].comment) == ("wrong", "It moved to 9444.")
    assert [row.answer_id for row in rows] == [1, 1, 1]
    assert house.rows(Example) == []


async def test_only_its_own_answers_are_rated(house: House, caller: Caller) -> None:
    """Not another system's, nor Slack's, nor what was never asked; and only in the words that there
    are."""
    async with house.bot():
        await house.asked("In Slack?")
        await house.quiet()
        key, other = caller.key("web"), caller.key("tool")
        said = await caller.client(key).chat.completions.create(**asks("Port?"))
        refused = [
            await rate(house, other, id=said.id, rating="helpful"),
            await rate(house, key, id="chatcmpl-1", rating="helpful"),
            await rate(house, key, id="chatcmpl-99", rating="helpful"),
            await rate(house, key, id="chatcmpl-" + "9" * 40, rating="helpful"),
            await rate(house, key, id="²", rating="helpful"),
            await rate(house, key, id=said.id, rating="great"),
            await rate(house, key, id=said.id, rating="helpful", reason="ugly"),
            await rate(house, key, id=said.id, rating="helpful", comment="x" * 2001),
            await rate(house, "mk-wrong", id=said.id, rating="helpful"),
        ]
    assert [one.status_code for one in refused] == [404] * 5 + [400] * 3 + [401]
    assert refused[5].json()["error"]["param"] == "rating"
    assert house.rows(Feedback) == []
