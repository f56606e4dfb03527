"""The outbox: said once, posted in order, known by its ts afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import outbox, releases
from bot.store.database import reading, transaction
from bot.store.schema import Answer, AnswerMode, OutboxKind, OutboxMessage, Question, Status
from tests.stores import TEAM


def say(
    session: Session, key: str, channel: str = "C1", thread: str | None = None
) -> OutboxMessage:
    """Queue a plain message."""
    return outbox.say(
        session, team_id=TEAM, key=key, channel=channel, thread_ts=thread, payload={"text": key}
    )


def claim(engine: Engine) -> OutboxMessage | None:
    """Claim in a transaction of its own."""
    with transaction(engine) as session:
        return outbox.claim(session, "poster")


def test_what_is_said_twice_is_one_row(store: Engine) -> None:
    """The same key comes back as the first row, unchanged, also in another transaction."""
    with transaction(store) as session:
        first = say(session, "answer:1")
        again = outbox.say(session, team_id=TEAM, key="answer:1", channel="C9", payload={})
        assert again.id == first.id
    with transaction(store) as session:
        later = say(session, "answer:1", channel="C9")
    assert (later.id, later.channel, later.payload) == (first.id, "C1", {"text": "answer:1"})


def test_two_teams_may_say_the_same_key(store: Engine) -> None:
    """Keys belong to a team."""
    with transaction(store) as session:
        first = say(session, "status")
        other = outbox.say(session, team_id="T2", key="status", channel="C1", payload={})
    assert first.id != other.id


def test_one_key_said_by_many_at_once_is_one_row(store: Engine) -> None:
    """Handlers that race to say the same get the same row."""

    def once(_: int) -> int | None:
        with transaction(store) as session:
            return say(session, "answer:1").id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(once, range(16)))) == 1


def test_threads_are_lanes(store: Engine) -> None:
    """A thread's messages go out in order, one at a time; other threads do not wait."""
    with transaction(store) as session:
        say(session, "a1", thread="1.1")
        say(session, "a2", thread="1.1")
        say(session, "b1", thread="2.2")
        say(session, "top")
        say(session, "other-channel", channel="C2", thread="1.1")
    keys = []
    while message := claim(store):
        keys.append(message.key)
    assert keys == ["a1", "b1", "top", "other-channel"]


def test_a_posted_answer_learns_its_ts(store: Engine) -> None:
    """A reaction on the posted message finds the answer by its ts."""
    with transaction(store) as session:
        answer = _answer(session)
        outbox.say(
            session, team_id=TEAM, key="answer", channel="C1", payload={}, answer_id=answer.id
        )
    message = claim(store)
    assert message is not None
    with transaction(store) as session:
        outbox.sent(session, message, "poster", "9.9")
    with reading(store) as session:
        assert session.get_one(Answer, answer.id).ts == "9.9"
        row = session.get_one(OutboxMessage, message.id)
    assert (row.ts, row.status) == ("9.9", Status.DONE)


def test_what_follows_waits_for_what_it_follows(store: Engine) -> None:
    """A change and a deletion are in the lane of the message that they are about, and name it."""
    with transaction(store) as session:
        first = outbox.say(session, team_id=TEAM, key="k", channel="C1", payload={}, thread_ts="1")
        for _ in range(2):
            outbox.change(session, first, key="k:2", payload={"text": "new"})
        outbox.take_back(session, first, key="k:3")
        found = outbox.said(session, TEAM, "k")
        assert found is not None
        assert found.id == first.id
    message = claim(store)
    assert message is not None
    assert message.id == first.id
    assert claim(store) is None
    with transaction(store) as session:
        outbox.sent(session, message, "poster", "9.9")
    change = claim(store)
    assert change is not None
    assert (change.kind, change.follows_id) == (OutboxKind.UPDATE, first.id)
    with transaction(store) as session:
        outbox.sent(session, change, "poster", "9.9")
    deletion = claim(store)
    assert deletion is not None
    assert (deletion.kind, deletion.follows_id) == (OutboxKind.DELETE, first.id)


def test_a_change_is_overtaken_by_a_later_one_that_waits(store: Engine) -> None:
    """Of many changes of one message only the last has to be shown; another message's is none."""
    with transaction(store) as session:
        first, other = (
            outbox.say(session, team_id=TEAM, key=key, channel="C1", payload={}) for key in "ab"
        )
        for number in (1, 2):
            outbox.change(session, first, key=f"a:{number}", payload={})
        outbox.change(session, other, key="b:1", payload={})
    with reading(store) as session:
        rows = {row.key: row for row in session.exec(select(OutboxMessage))}
        late = {key: outbox.overtaken(session, row) for key, row in rows.items() if ":" in key}
    assert late == {"a:1": True, "a:2": False, "b:1": False}


def test_a_picture_overtakes_no_words(store: Engine) -> None:
    """It follows the same message, and says nothing of what the last change says."""
    with transaction(store) as session:
        first = outbox.say(session, team_id=TEAM, key="run:1", channel="C1", payload={})
        outbox.change(session, first, key="run:1:end", payload={"text": "v2 is live"}, anew=True)
        outbox.attach(session, first, key="run:1:picture", payload={"filename": "run-1.png"})
    with reading(store) as session:
        end = outbox.said(session, TEAM, "run:1:end")
        assert end is not None
        assert end.kind is OutboxKind.RENEW
        assert not outbox.overtaken(session, end)


def test_a_reply_to_a_command_is_done_without_a_ts(store: Engine) -> None:
    """A response_url gives no ts; the row is done all the same."""
    with transaction(store) as session:
        outbox.say(
            session, team_id=TEAM, key="r", channel="C1", payload={}, kind=OutboxKind.RESPOND
        )
    message = claim(store)
    assert message is not None
    with transaction(store) as session:
        outbox.sent(session, message, "poster", None)
    assert claim(store) is None


def test_a_rate_limited_message_waits_and_a_refused_one_is_given_up(store: Engine) -> None:
    """`retry` keeps the message and its lane waiting; `fail` lets the next one go."""
    with transaction(store) as session:
        say(session, "first")
        say(session, "second")
    message = claim(store)
    assert message is not None
    with transaction(store) as session:
        outbox.retry(session, message, "poster", error="ratelimited", delay_s=0)
    again = claim(store)
    assert again is not None
    assert (again.key, again.attempts) == ("first", 2)
    with transaction(store) as session:
        outbox.fail(session, again, "poster", error="channel_not_found")
    following = claim(store)
    assert following is not None
    assert following.key == "second"


def test_a_late_poster_is_told_that_it_lost_the_claim(store: Engine) -> None:
    """The late holder learns it at `sent`, so it can delete its post; the answer's ts is safe."""
    with transaction(store) as session:
        answer = _answer(session)
        outbox.say(session, team_id=TEAM, key="a", channel="C1", payload={}, answer_id=answer.id)
    with transaction(store) as session:
        late = outbox.claim(session, "late", lease_s=-1)
    heir = claim(store)
    assert late is not None
    assert heir is not None
    with pytest.raises(outbox.LostClaim), transaction(store) as session:
        outbox.sent(session, late, "late", "1.1")
    with transaction(store) as session:
        outbox.renew(session, heir, "poster")
        outbox.sent(session, heir, "poster", "2.2")
    with reading(store) as session:
        assert session.get_one(Answer, answer.id).ts == "2.2"


def _answer(session: Session) -> Answer:
    releases.ensure_team(session, TEAM)
    question = Question(
        team_id=TEAM, channel="C1", thread_ts="1.1", ts="1.1", user="U1", text="Which port?"
    )
    session.add(question)
    session.flush()
    answer = Answer(
        team_id=TEAM, question_id=question.id or 0, text="8080", mode=AnswerMode.CLOSED_BOOK,
        release_id=releases.live(session, TEAM).id or 0, channel="C1",
    )  # fmt: skip
    session.add(answer)
    session.flush()
    return answer
