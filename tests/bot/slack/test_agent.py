"""The agent view: proposed questions, and a status while an answer is made. Never in the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlmodel import Session

from bot import releases
from bot.dispatcher import Later
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.slack.agent import GENERAL, PROMPTS, STATUS, TITLE, Agent, prompts
from bot.slack.roles import Roles
from bot.slack.workspace import Identity, Workspace
from bot.store.asked import most_asked
from bot.store.database import reading
from bot.store.schema import Answer, AnswerExample, AnswerMode, Example, InboxEvent, Question
from tests.bot.slack.house import BOT, HELP, House
from tests.bot.taught import TEAM, teach
from tests.deploy.sandbox.acts import control
from tests.sandbox_server import until


async def proposed(house: House, who: str = "asker") -> list[dict[str, Any]]:
    """Open the messages tab and wait for the prompts."""
    opened = await control(house.sandbox, "home", token=f"xoxp-{who}", tab="messages")
    await house.quiet()
    state = await house.sandbox.state(parts="prompts")
    found: list[dict[str, Any]] = state["prompts"][opened["channel"]]["prompts"]
    return found


async def status(house: House, ts: str, channel: str = HELP) -> str:
    """The status under a thread."""
    state = await house.sandbox.state(parts="statuses")
    return str(state["statuses"].get(f"{channel}:{ts}", ""))


async def test_prompts_are_what_people_ask(house: House) -> None:
    """With enough approved questions that all may read, these are proposed; else general ones."""
    memory = Memory(house.engine, LexicalEmbedder())
    async with house.bot():
        assert [one["message"] for one in await proposed(house)] == list(GENERAL)
        for number in range(2):
            teach(house.engine, memory, f"Public question {number}?", f"The answer {number} is so.")
        teach(house.engine, memory, "Private question?", "A private answer it is.", scope="C0PRIV")
        assert [one["message"] for one in await proposed(house)] == list(GENERAL)
        teach(house.engine, memory, "Public question 2?", "The answer 2 is so.")
        assert {one["message"] for one in await proposed(house)} == {
            f"Public question {number}?" for number in range(3)
        }
    assert house.failed() == []


async def test_prompts_are_from_where_one_may_read(house: House) -> None:
    """What a channel that was widened taught helps everybody; its words are shown to its members.

    Nor does a guest read what was asked in channels that they are not in.
    """
    house.extra = {"MYNAH_WIDEN_CHANNELS": "C0PRIV"}
    house.vllm.script = lambda messages, model: "Because of the strike."
    private = [f"Why was salary {number} cut last month?" for number in range(3)]
    async with house.bot():
        for question in private:
            first = await house.asked(question, who="staff", channel="C0PRIV")
            await house.react("staff", "white_check_mark", first["ts"], "C0PRIV")
        await house.quiet()
        assert {row.scope for row in house.rows(Example)} == {None}
        assert {one["message"] for one in await proposed(house, "staff")} == set(private)
        assert [one["message"] for one in await proposed(house, "asker2")] == list(GENERAL)
        assert [one["message"] for one in await proposed(house, "guest")] == list(GENERAL)
    assert house.failed() == []


async def test_a_status_stands_until_the_answer(house: House) -> None:
    """While the model writes, the thread says so, in channels and in direct messages; the answer
    takes it away."""
    opened = await house.sandbox.client("xoxp-asker").conversations_open(users="U0MYNAH")
    direct = opened["channel"]["id"]
    house.vllm.delay_s = 2
    async with house.bot():
        here = await house.ask("Which port?")
        there = await house.say("asker", "Which host?", channel=direct)

        async def shown() -> bool:
            return [await status(house, here), await status(house, there, direct)] == [STATUS] * 2

        await until(shown)
        assert await house.answers(here) == []
        await house.answer(here)
        await house.answer(there, direct)
        await house.quiet()
        assert await status(house, here) == await status(house, there, direct) == ""


async def test_a_quick_answer_needs_no_status(house: House) -> None:
    """What is over at once, well or badly, is not announced."""
    ts = await house.say("asker", "Which port?")

    def asked(session: Session) -> None:
        session.add(Question(team_id=TEAM, channel=HELP, thread_ts=ts, ts=ts, user="U0ASKER"))

    house.write(asked)
    client = house.sandbox.client("xoxb-mynah")
    roles = Roles(Workspace(client, Identity(TEAM, BOT, "B0MYNAH")), staff=(), admins=())
    agent = Agent(house.engine, client, TEAM, roles)
    row = InboxEvent(
        team_id=TEAM, event_id="1", kind="question", lane="1", payload={"question_id": 1}
    )
    before = asyncio.all_tasks()
    with pytest.raises(Later):
        async with agent.thinking(row):
            raise Later("no server")
    await asyncio.gather(*(asyncio.all_tasks() - before))
    state = await house.sandbox.state(parts="calls")
    assert "assistant.threads.setStatus" not in state["calls"]


async def test_where_slack_has_none_everything_else_goes_on(house: House) -> None:
    """Without the scope nothing is late or given up, and Slack is not asked again at once."""
    scopes = ["app_mentions:read", "channels:history", "channels:read", "chat:write", "users:read"]
    await house.sandbox.seed(bot_scopes=scopes)
    house.vllm.delay_s = 1
    async with house.bot():
        for number in range(3):
            assert "base heard" in (await house.asked(f"Question {number}?"))["text"]
        await control(house.sandbox, "home", token="xoxp-asker", tab="messages")
        await house.quiet()
        calls = (await house.sandbox.state(parts="calls"))["calls"]
    tried = [name for name in calls if name.startswith("assistant.")]
    assert sum(calls[name] for name in tried) == 1
    assert house.failed() == []


def test_most_asked_comes_first(house: House) -> None:
    """How often an approved answer helped decides the order; what was not used is there too."""
    memory = Memory(house.engine, LexicalEmbedder())
    rows = [
        teach(house.engine, memory, f"Question {n}?", f"The answer {n} is so.")
        for n in ("ports", "hosts", "logs")
    ]

    def use(session: Session) -> None:
        releases.ensure_team(session, TEAM)
        release = releases.live(session, TEAM)
        for number, row in enumerate([rows[1], rows[1], rows[0]]):
            question = Question(
                team_id=TEAM, channel=HELP, thread_ts=f"{number}", ts=f"{number}", user="U1"
            )
            session.add(question)
            session.flush()
            answer = Answer(
                team_id=TEAM, question_id=question.id or 0, mode=AnswerMode.QUOTED,
                release_id=release.id or 0, channel=HELP,
            )  # fmt: skip
            session.add(answer)
            session.flush()
            used = AnswerExample(
                answer_id=answer.id or 0, example_id=row.id or 0, team_id=TEAM, similarity=1
            )
            session.add(used)

    house.write(use)
    with reading(house.engine) as session:
        assert [row.question for row in most_asked(session, TEAM, 4)] == [
            "Question hosts?",
            "Question ports?",
            "Question logs?",
        ]
        assert most_asked(session, "T0OTHER", 4) == []


@pytest.mark.parametrize("count", [0, 2, 3, 9])
def test_prompts_keep_slacks_limits(count: int) -> None:
    """At most four, titles of one short line, never an empty one."""
    made = prompts(["a <@U1>\n" * 400] * count)
    assert len(made) in (len(GENERAL), PROMPTS)
    assert all(0 < len(one["title"]) <= TITLE and "\n" not in one["title"] for one in made)
