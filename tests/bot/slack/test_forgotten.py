"""What was deleted or edited before staff rated the answer is not learned afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, SQLModel, select

from bot import releases
from bot.cases import Cases
from bot.embedder import open_embedder
from bot.memory import Memory
from bot.slack.aftermath import Aftermath
from bot.slack.conflicting import Conflicting
from bot.slack.messages import Messages
from bot.slack.teaching import Teaching
from bot.slack.workspace import Identity
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Case,
    ChannelKind,
    Example,
    ExampleStatus,
    FeedbackKind,
    InboxEvent,
    Question,
    Release,
)

TEAM, HELP, BOT, STAFF = "T0MYNAH", "C0HELP", "U0MYNAH", "U0STAFF"
OLD = "Which port does the console listen on?"
NEW = "Which port does the gateway listen on?"
ANSWER = "It listens on port 9443."
RIGHT = "Port 9443, since version 2."
ASKED: dict[str, Any] = {"ts": "1.0", "user": "U0ASKER", "text": OLD}
ANSWERED: dict[str, Any] = {"ts": "2.0", "thread_ts": "1.0", "user": BOT, "text": ANSWER}
REPLY: dict[str, Any] = {"ts": "3.0", "thread_ts": "1.0", "user": STAFF, "text": RIGHT}


def no_card(case: Case, *, asker: str, ping: bool) -> dict[str, Any]:
    """Nobody asks for help here."""
    raise AssertionError("a card was shown")


class Room:
    """One question with its answer, a workspace that only knows this thread, and what happens."""

    identity = Identity(TEAM, BOT, "B0MYNAH")

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.asked = ASKED
        self.gone = False
        memory = Memory(engine, open_embedder("none"))
        workspace: Any = self
        aftermath = Aftermath("")
        cases = Cases(no_card, oncall=False, card_channel="")
        conflicting = Conflicting(
            engine, workspace, workspace, memory.embedder, channel="", said=lambda: None
        )
        self.teaching = Teaching(
            engine, workspace, memory, cases, aftermath, conflicting, said=lambda: None
        )
        self.messages = Messages(engine, workspace, aftermath, stored=lambda: None)
        with transaction(engine) as session:
            releases.ensure_team(session, TEAM)
            self.question = Question(
                team_id=TEAM, channel=HELP, thread_ts="1.0", ts="1.0", user="U0ASKER", text=OLD
            )
            self._add(session, self.question)
            self.answer = Answer(
                team_id=TEAM, question_id=self.question.id or 0, text=ANSWER, channel=HELP,
                mode=AnswerMode.QUOTED, ts="2.0",
                release_id=session.exec(select(Release.id)).one() or 0,
            )  # fmt: skip
            self._add(session, self.answer)

    async def thread(self, channel: str, ts: str) -> list[dict[str, Any]]:
        """What the workspace says of the only thread."""
        return [self.asked, ANSWERED, REPLY]

    async def message(self, channel: str, ts: str) -> dict[str, Any] | None:
        """What the workspace says of the question."""
        return None if self.gone else self.asked

    async def channel_kind(self, channel: str) -> ChannelKind:
        """What the workspace says of the only channel."""
        return ChannelKind.PUBLIC

    async def link(self, channel: str, ts: str) -> str:
        """What the workspace says of a message's address."""
        return f"https://mynah.test/archives/{channel}/p{ts}"

    def quote(self, **example: Any) -> None:
        """Have the answer be a quote of an example."""
        with transaction(self.engine) as session:
            quoted = Example(team_id=TEAM, approved_by=STAFF, content_hash="", **example)
            self._add(session, quoted)
            used = AnswerExample(
                answer_id=self.answer.id or 0, example_id=quoted.id or 0, team_id=TEAM, similarity=1
            )
            session.add(used)

    async def delete(self) -> None:
        """The asker deletes the question."""
        self.gone = True
        await self._happens({"subtype": "message_deleted", "deleted_ts": "1.0"})

    async def edit(self, text: str) -> None:
        """The asker edits the question."""
        self.asked = {**ASKED, "text": text}
        await self._happens({"subtype": "message_changed", "message": self.asked})

    async def rate(self, kind: FeedbackKind) -> Example:
        """Staff approves the answer, or corrects it; the example that comes of it."""
        message = REPLY if kind is FeedbackKind.CORRECT else ANSWERED
        await self.teaching.teach(kind, HELP, message, STAFF, at=4.0)
        return self.examples()[-1]

    def examples(self) -> list[Example]:
        """Every example, oldest first."""
        with reading(self.engine) as session:
            return sorted(session.exec(select(Example)), key=lambda row: row.id or 0)

    async def _happens(self, event: dict[str, Any]) -> None:
        payload = {"event": {"type": "message", "channel": HELP, **event}}
        row = InboxEvent(team_id=TEAM, event_id="Ev1", kind="event", lane="", payload=payload)
        await self.messages.handle(row)

    def _add(self, session: Session, row: SQLModel) -> None:
        session.add(row)
        session.flush()


@pytest.fixture
def room(engine: Engine) -> Room:
    """A question that was answered and not yet rated."""
    return Room(engine)


RATINGS = pytest.mark.parametrize("kind", [FeedbackKind.APPROVE, FeedbackKind.CORRECT])


def words(example: Example) -> tuple[str, str, str | None, bytes | None]:
    """Everything that an example says."""
    return example.question, example.answer, example.rejected, example.embedding


@RATINGS
@pytest.mark.parametrize("how", ["delete", "empty"])
async def test_deleted_question_is_not_learned(room: Room, kind: FeedbackKind, how: str) -> None:
    """A question that was deleted, or emptied, is blank, and its answer teaches nothing."""
    await (room.delete() if how == "delete" else room.edit(""))
    example = await room.rate(kind)
    assert (example.status, example.reason) == (ExampleStatus.REFUSED, "the question was deleted")
    assert words(example) == ("", "", None, None)
    if how == "delete":
        await room.edit(NEW)  # delivered late
    with reading(room.engine) as session:
        assert session.exec(select(Question.text)).one() == ""


async def test_edited_question_is_learned_as_edited(room: Room) -> None:
    """What is learned is what stands in Slack, not the words that were taken back."""
    await room.edit(NEW)
    example = await room.rate(FeedbackKind.CORRECT)
    assert (example.status, example.question, example.answer) == (ExampleStatus.LIVE, NEW, RIGHT)
    assert example.rejected is None  # the bot's words answered another question


@RATINGS
@pytest.mark.parametrize("how", ["delete", "edit"])
async def test_question_that_goes_while_it_is_learned(
    room: Room, monkeypatch: pytest.MonkeyPatch, kind: FeedbackKind, how: str
) -> None:
    """Between reading the question and storing the example it may still be taken back."""

    async def meanwhile(channel: str) -> ChannelKind:
        await (room.delete() if how == "delete" else room.edit(NEW))
        return ChannelKind.PUBLIC

    monkeypatch.setattr(room, "channel_kind", meanwhile)
    example = await room.rate(kind)
    assert example.status == ExampleStatus.REFUSED
    assert words(example) == ("", "", None, None)


async def test_quote_of_what_was_forgotten_is_not_learned(room: Room) -> None:
    """Approving an old quote does not bring back the words of a deleted message."""
    room.quote(status=ExampleStatus.REVOKED)
    example = await room.rate(FeedbackKind.APPROVE)
    assert example.status == ExampleStatus.REFUSED
    assert words(example) == ("", "", None, None)


async def test_correction_of_a_forgotten_quote_keeps_its_own_words(room: Room) -> None:
    """The correction is learned; the forgotten words are not kept as the wrong answer."""
    room.quote(status=ExampleStatus.REVOKED)
    example = await room.rate(FeedbackKind.CORRECT)
    assert (example.status, example.answer) == (ExampleStatus.LIVE, RIGHT)
    assert example.rejected is None


async def test_quote_whose_approval_was_taken_back_may_be_approved(room: Room) -> None:
    """Only forgetting is for ever: nobody deleted these words."""
    room.quote(status=ExampleStatus.REVOKED, question=OLD, answer=ANSWER)
    example = await room.rate(FeedbackKind.APPROVE)
    assert (example.status, example.answer) == (ExampleStatus.LIVE, ANSWER)
