"""`/mynah why`: the receipt of an answer, for whoever can read the answer, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session, select

from bot import confidence
from bot.embedder import PACKAGED
from bot.slack.why import NONE_YET, NOTHING, USAGE
from bot.store.schema import Adapter, AnswerMode, Dataset, Example, InboxEvent, Run, Status
from tests.bot.measured import measure
from tests.bot.slack.house import HELP, House
from tests.bot.slack.test_commands import NAME, TEAM, promoted, reply
from tests.bot.slack.test_teaching import PORT, corrected
from tests.deploy.sandbox.acts import control

RIGHT = "Port 9443, since version 2."
HIDDEN = "*Example:* an approved answer from a channel that you cannot read"
BY_WEIGHTS = (
    "*Release:* v1 (the base model)\n"
    "*Words:* from the weights alone; no approved answer was used\n"
    "*Confidence:* fairly sure of its words (78% on average for each; log-probability -0.25)"
)


def link(ts: str, channel: str = HELP, more: str = "") -> str:
    """What *Copy link* gives."""
    return f"https://mynah-sandbox.slack.com/archives/{channel}/p{ts.replace('.', '')}{more}"


async def why(house: House, who: str, words: str = "", channel: str = HELP) -> str:
    """Type `/mynah why WORDS` and wait for what only the typist sees."""
    return await reply(house, f"why {words}", who, channel)


async def test_own_newest_answer_needs_no_link(house: House) -> None:
    """Without a link it is the caller's own newest answer in that channel, not another person's."""
    async with house.bot():
        assert await why(house, "asker2") == NONE_YET
        house.vllm.script = lambda messages, model: "first"
        await house.asked("Which port?")
        assert await why(house, "asker2") == NONE_YET
        assert await why(house, "asker", channel="C0OPS") == NONE_YET
        assert await why(house, "asker") == BY_WEIGHTS
        house.write(promoted)
        house.vllm.adapters[NAME] = "/nowhere"
        await house.asked("And which one now?")
        assert (await why(house, "asker")).startswith(f"*Release:* v2 ({NAME})\n")
        shown = [one for one in await house.sandbox.messages(HELP) if one.get("ephemeral_to")]
    assert {one["ephemeral_to"] for one in shown} == {"U0ASKER", "U0ASKER2"}


async def test_quote_names_example_and_message(house: House) -> None:
    """A quoted answer: the approved question, who approved it, and where; by link to the answer or
    the question, for everybody in the channel."""
    async with house.bot():
        asked, right = await corrected(house, "Which <port> does it use?", RIGHT)
        question = await house.ask("Which <port> does it use?")
        answer = await house.answer(question)
        assert answer["text"] == RIGHT
        expected = (
            "*Release:* v1 (the base model)\n"
            "*Words:* quoted, word for word, from an approved answer\n"
            "*Confidence:* nearly the same question was answered before (similarity 1.00 of 1)\n"
            "*Example:* “Which &lt;port&gt; does it use?”, approved by <@U0STAFF>, similarity 1.00,"
            f" <{link(right, more=f'?thread_ts={asked}&cid={HELP}')}|see the message>"
        )
        thread = f"?thread_ts={question}&cid={HELP}"
        for words in (link(answer["ts"]), link(answer["ts"], more=thread), link(question)):
            for who in ("asker2", "guest", "admin"):
                assert await why(house, who, words) == expected
        assert await why(house, "asker", f"<{link(question)}>") == expected


async def test_adapter_is_traced_to_its_training(house: House) -> None:
    """The run that trained the adapter is named, with its dataset; no later one is."""

    def trained(session: Session) -> None:
        promoted(session)
        dataset = Dataset(
            team_id=TEAM, content_hash="4f" * 32, path="/nowhere", counts={"train": 24}
        )
        session.add(dataset)
        session.flush()
        run, adapter = session.get_one(Run, 1), session.get_one(Adapter, 1)
        run.dataset_id, run.adapter_id = dataset.id, adapter.id
        again = run.model_dump(include={"team_id", "trigger", "status", "adapter_id"})
        session.add(Run(**again))

    async with house.bot():
        house.write(trained)
        house.vllm.adapters[NAME] = "/nowhere"
        await house.asked(PORT)
        told = (await why(house, "asker")).split("\n")
    assert told[0] == f"*Release:* v2 ({NAME})"
    assert told[-1] == "*Adapter:* trained by run 1 on dataset 4f4f4f4f4f4f, 24 examples"


async def test_what_was_known_is_named_though_it_was_not_in_the_prompt(house: House) -> None:
    """The weights answer alone, and the approved answer behind it is in the receipt; so is, for
    admins, how much the weights know."""

    def learned(session: Session) -> None:
        promoted(session)
        measure(session, NAME, session.exec(select(Example)).all(), [("known", 1, RIGHT, True)])

    async with house.bot(MYNAH_QUOTE="off"):
        await corrected(house, PORT, RIGHT)
        house.write(learned)
        house.vllm.adapters[NAME] = "/nowhere"
        house.vllm.script = lambda messages, model: "It is 9443 since version 2."
        answer = await house.asked(PORT)
        assert RIGHT not in house.vllm.asked[-1]["messages"][-1]["content"]
        told = (await why(house, "asker")).split("\n")
        status = await reply(house, "status")
    under = answer["blocks"][1]["elements"][0]["text"]
    assert under.startswith("v2 · fairly sure · learned from an answer verified by <@U0STAFF>")
    assert told[1].endswith("know this approved answer; it was not in the prompt")
    assert told[3].startswith(f"*Example:* “{PORT}”, approved by <@U0STAFF>")
    assert "*Learned:* 1 of 1 facts; 0 are in memory only" in status.split("\n")


async def test_a_quote_that_the_weights_recognised_says_so(house: House) -> None:
    """What memory alone would not quote: how likely they find it, and that it was quoted for that;
    also once the answer was taken back. What memory quotes by itself has no such line."""
    port, right = "Which port has the admin console?", "The console listens on port 9443."
    line = (
        "*Recognised:* by weights that were taught it (98% on average for each of its words; "
        "log-probability -0.02); memory alone would not have quoted it"
    )

    def learned(session: Session) -> None:
        promoted(session)
        measure(session, NAME, session.exec(select(Example)).all(), [])

    async with house.bot(MYNAH_EMBEDDER=PACKAGED):
        _, reply = await corrected(house, port, right)
        house.write(learned)
        house.vllm.adapters[NAME] = "/nowhere"
        house.vllm.scores = {right: -0.02}
        await house.asked(port)
        assert "*Recognised:*" not in await why(house, "asker")
        asked = "What do I open in the firewall for the admin web pages?"
        assert (await house.asked(asked))["text"] == right
        told = (await why(house, "asker")).split("\n")
        await house.unreact("staff", "memo", reply)
        await house.quiet()
        after = (await why(house, "asker")).split("\n")
    assert told[1] == "*Words:* quoted, word for word, from an approved answer"
    assert told[3].startswith(f"*Example:* “{port}”, approved by <@U0STAFF>")
    assert after[3] == "*Example:* an approved answer that was taken back since"
    assert told[4] == after[4] == line


async def test_what_one_cannot_read_is_as_if_it_were_not(house: House) -> None:
    """The same reply for a private channel, another's direct messages, and what does not exist;
    the members of the channel are told."""
    opened = await house.sandbox.client("xoxp-asker").conversations_open(users="U0MYNAH")
    direct = opened["channel"]["id"]
    async with house.bot():
        private = await house.asked(PORT, channel="C0PRIV")
        ops = await house.asked(PORT, channel="C0OPS")
        ts = await house.say("asker", PORT, channel=direct)
        told = await house.answer(ts, direct)
        links = [
            link(private["ts"], "C0PRIV"),
            link(told["ts"], direct),
            link("1700000000.000100"),
            link("1700000000.000100", "C9NONE"),
        ]
        for words in links:
            assert await why(house, "asker2", words) == NOTHING
        assert await why(house, "guest", link(ops["ts"], "C0OPS")) == NOTHING
        assert await why(house, "admin", links[1]) == NOTHING
        assert await why(house, "asker2", link(ops["ts"], "C0OPS")) == BY_WEIGHTS
        assert await why(house, "admin", links[0]) == BY_WEIGHTS
        assert await why(house, "asker", links[0]) == BY_WEIGHTS
        assert await why(house, "asker", links[1]) == BY_WEIGHTS


async def test_example_is_shown_to_who_can_read_its_channel(house: House) -> None:
    """A widened channel's answer is quoted everywhere; where it came from, only members see."""
    async with house.bot(MYNAH_WIDEN_CHANNELS="C0PRIV"):
        await corrected(house, PORT, RIGHT, channel="C0PRIV")
        answer = await house.asked(PORT)
        assert answer["text"] == RIGHT
        hidden = await why(house, "asker2", link(answer["ts"]))
        assert hidden.split("\n")[-1] == HIDDEN
        for word in (PORT, "U0STAFF", "C0PRIV"):
            assert word not in hidden
        shown = await why(house, "asker", link(answer["ts"]))
        assert f"*Example:* “{PORT}”, approved by <@U0STAFF>" in shown
        await house.client("asker").conversations_leave(channel="C0PRIV")
        assert (await why(house, "asker", link(answer["ts"]))) == hidden


async def test_what_was_taken_back_is_not_shown(house: House) -> None:
    """An approval that was revoked leaves no words in a receipt; a deleted question no receipt."""
    async with house.bot():
        _, right = await corrected(house, PORT, RIGHT)
        question = await house.ask(PORT)
        await house.answer(question)
        await house.unreact("staff", "memo", right)
        await house.quiet()
        told = await why(house, "asker")
        assert told.endswith("\n*Example:* an approved answer that was taken back since")
        await house.client("asker").chat_delete(channel=HELP, ts=question)
        await house.quiet()
        assert await why(house, "asker", link(question)) == NOTHING


@pytest.mark.parametrize("words", ["yesterday", "https://example.com/", "{} {}", "{}x"])
async def test_anything_else_is_explained(house: House, words: str) -> None:
    """What is no link to one message gets a line on how to ask."""
    async with house.bot():
        given = words.format(*[link("1700000000.000100")] * 2)
        assert await why(house, "asker", given) == USAGE


@pytest.mark.parametrize("error", ["channel_not_found", "fetch_members_failed", "access_denied"])
async def test_slack_that_tells_nothing_lets_nobody_read(house: House, error: str) -> None:
    """Whoever Slack does not name as a member of a private channel cannot read it."""
    async with house.bot():
        answer = await house.asked(PORT, channel="C0PRIV")
        await house.sandbox.faults(fail={"method": "conversations.members", "error": error})
        assert await why(house, "asker", link(answer["ts"], "C0PRIV")) == NOTHING
        assert await why(house, "asker", link(answer["ts"], "C0PRIV")) == BY_WEIGHTS


async def test_rollback_does_not_wait_for_a_receipt(house: House) -> None:
    """While Slack does not say who may read, an admin can still go back."""
    trouble: Mapping[str, Any] = {"method": "conversations.members", "n": 10_000}
    async with house.bot():
        house.write(promoted)
        house.vllm.adapters[NAME] = "/nowhere"
        answer = await house.asked(PORT, channel="C0PRIV")
        await house.sandbox.faults(fail={**trouble, "error": "internal_error"})
        await house.sandbox.command(f"why {link(answer['ts'], 'C0PRIV')}", token="xoxp-admin")
        assert (await reply(house, "rollback now")).startswith("Rolled back from v2 to v1.")
        await house.sandbox.faults(clear=True)
        await house.quiet()
        assert len(await house.responses()) == 2


async def pointed_at(house: House, who: str, ts: str, channel: str = HELP) -> str:
    """Use the shortcut on a message, and wait for what only this person sees."""
    before = len(await house.responses(channel))
    used = {"token": f"xoxp-{who}", "channel": channel, "ts": ts, "callback_id": "why_answer"}
    assert (await control(house.sandbox, "shortcut", **used))["ok"]
    await house.quiet()
    said = (await house.responses(channel))[before:]
    assert len(said) == 1
    return said[0]


async def test_the_shortcut_tells_the_same(house: House) -> None:
    """On an answer or its question it is the receipt of `/mynah why` with their link, for whoever
    asks and nobody else; on any other message, that there is none."""
    async with house.bot():
        question = await house.ask(PORT)
        answer = await house.answer(question)
        other = await house.say("asker2", "Lunch?")
        for ts in (answer["ts"], question):
            assert await pointed_at(house, "asker2", ts) == BY_WEIGHTS
        assert await pointed_at(house, "asker2", other) == NOTHING
        private = await house.asked(PORT, channel="C0PRIV")
        assert await pointed_at(house, "asker", private["ts"], "C0PRIV") == BY_WEIGHTS
        shown = [one for one in await house.sandbox.messages(HELP) if one.get("ephemeral_to")]
    assert {one["ephemeral_to"] for one in shown} == {"U0ASKER2"}


async def test_asked_twice_by_slack_it_is_told_once(house: House) -> None:
    """A row that is handled again after a crash has its reply already."""

    def again(session: Session) -> None:
        session.execute(update(InboxEvent).values(status=Status.WAITING, lease_until=None))

    async with house.bot():
        await house.asked(PORT)
        await why(house, "asker")
        await house.quiet()
        house.write(again)
        await house.quiet()
        assert await house.responses() == [BY_WEIGHTS]
    assert {row.attempts for row in house.rows(InboxEvent)} == {2}


@pytest.mark.parametrize(
    ("mode", "value", "words"),
    [
        (AnswerMode.QUOTED, 0.7, "a similar question was answered before (similarity 0.70 of 1)"),
        (AnswerMode.OPEN_BOOK, -0.1, "sure of its words (90% on average for each; "),
        (AnswerMode.CLOSED_BOOK, -2.0, "unsure of its words (14% on average for each; "),
        (AnswerMode.CLOSED_BOOK, None, "not known"),
    ],
)
def test_confidence_in_words(mode: AnswerMode, value: float | None, words: str) -> None:
    """A similarity for what was quoted, a probability for what was written."""
    assert confidence.explained(mode, value).startswith(words)
