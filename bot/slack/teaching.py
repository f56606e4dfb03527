"""What a rating teaches: approvals, rejections and corrections, of the bot and of people."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine, tuple_
from sqlmodel import Session, col, select

from bot import cases, corrections, examples, feedback
from bot.cases import Cases
from bot.examples import Draft
from bot.memory import Memory
from bot.mrkdwn import plain
from bot.people import answers_up_to, asked_up_to, is_speech, joined, refuse_own, run_up_to
from bot.slack import ephemeral
from bot.slack.aftermath import Aftermath
from bot.slack.conflicting import Conflicting
from bot.slack.metadata import outbox_id
from bot.slack.workspace import Message, Workspace
from bot.store import answers, holds
from bot.store.database import reading, transaction
from bot.store.lineage import BY_WEIGHTS
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    ChannelKind,
    Example,
    ExampleSource,
    ExampleStatus,
    Feedback,
    FeedbackKind,
    OutboxMessage,
    Question,
)

Source = tuple[str, str]  # channel and ts of a message
UNREAD = (
    "This did not count: the answer changed just then, and you may have meant the words before. "
    "If it is right as it reads now, take the reaction away and put it there again."
)


class Unread(Exception):
    """The words that stand now are not those that were rated."""


@dataclass(frozen=True)
class Lesson:
    """A rating of one message, and what it makes known, if anything."""

    kind: FeedbackKind
    channel: str
    target_ts: str
    user: str  # the staff member
    given_at: datetime | None = None
    thread_ts: str | None = None
    answer_id: int | None = None
    question: Question | None = None  # as it was read, when the bot had answered it
    correction: str | None = None
    reason: str | None = None
    draft: Draft | None = None
    sources: Sequence[Source] = field(default=())


class Teaching:
    """Makes lessons of rated messages and stores them. The caller checks that the person may."""

    def __init__(
        self,
        engine: Engine,
        workspace: Workspace,
        memory: Memory,
        cases: Cases,
        aftermath: Aftermath,
        conflicting: Conflicting,
        *,
        said: Callable[[], None],
        widen: Sequence[str] = (),
        keep: Sequence[str] = (),
        quorum: int = 1,
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._memory = memory
        self._cases = cases
        self._aftermath = aftermath
        self._conflicting = conflicting
        self._said = said
        self._widen = widen
        self._keep = keep  # contacts that stay in what is learned
        # Whether enough of the staff say so is for the aftermath to see.
        self._held = holds.WAITING if quorum > 1 else None

    async def teach(
        self, kind: FeedbackKind, channel: str, message: Message, user: str, *, at: float
    ) -> bool:
        """Learn from `user`'s rating of `message`, given at `at` by Slack's clock.

        False when it says nothing: what was rated is no answer.

        Raises:
            Unread: the answer, or the person's message, changed after the rating.
        """
        if not self._by_bot(message) and _edited_at(message) > at:
            raise Unread
        given_at = datetime.fromtimestamp(at, UTC)
        lesson = Lesson(kind, channel, message["ts"], user, given_at, message.get("thread_ts"))
        if kind is FeedbackKind.CORRECT:
            found = await self._correction(lesson, message, at)
        elif self._by_bot(message):
            found = await asyncio.to_thread(self._of_answer, lesson, message, at)
        elif kind is FeedbackKind.APPROVE:
            found = await self._of_person(lesson, message)
        else:
            found = None
        if found is not None:
            await self.store(found)
        return found is not None

    async def tell_unread(self, channel: str, message: Message, user: str, at: float) -> None:
        """Tell the person, alone, that their reaction did not count."""

        def tell() -> None:
            with transaction(self._engine) as session:
                ephemeral.whisper(
                    session, self._workspace.identity.team_id,
                    f"unread:{channel}:{message['ts']}:{user}:{at:.6f}", user, UNREAD,
                    channel=channel, thread_ts=message.get("thread_ts") or message["ts"],
                )  # fmt: skip

        await asyncio.to_thread(tell)
        self._said()

    async def store(self, lesson: Lesson) -> None:
        """Store a lesson, once, and what follows from it."""
        lesson = await self._scoped(lesson)
        embedding = None
        if lesson.draft is not None and lesson.draft.refusal is None:
            embedding = await asyncio.to_thread(self._memory.embed_bytes, lesson.draft.question)
        link = await self._link(lesson.answer_id)
        await asyncio.to_thread(self._write, lesson, embedding, link)
        self._said()
        await self._conflicting.compare()

    async def take_back(self, kind: FeedbackKind, channel: str, ts: str, user: str) -> None:
        """Revoke the user's own rating, and what it taught."""
        await asyncio.to_thread(self._take_back, kind, channel, ts, user)
        self._said()
        await self._conflicting.compare()

    def _by_bot(self, message: Message) -> bool:
        return message.get("user") == self._workspace.identity.user_id

    def _of_answer(self, lesson: Lesson, message: Message, at: float) -> Lesson | None:
        """A rating of the bot's own answer; approving it teaches it for this wording.

        Rejecting it teaches what not to say, where a model wrote it: quoted words are right ones.
        """
        with reading(self._engine) as session:
            answer = answer_of(session, lesson.channel, message)
            if answer is None or answer.mode is AnswerMode.UNSURE:  # it says nothing to be rated
                return None
            if not answers.was_read(session, answer, at):
                raise Unread
            rated = replace(lesson, answer_id=answer.id)
            rejects = lesson.kind is FeedbackKind.REJECT and answer.mode in BY_WEIGHTS
            if not rejects and lesson.kind is not FeedbackKind.APPROVE:
                return rated
            question = session.get_one(Question, answer.question_id)
            sources = [(question.channel, question.ts), (lesson.channel, message["ts"])]
            sources += _inherited(session, answer)
            made = examples.wrong if rejects else examples.draft
            draft = made(question.text, answer.text, keep=self._keep)
            return replace(rated, question=question, draft=draft, sources=sources)

    async def _correction(self, lesson: Lesson, message: Message, at: float) -> Lesson | None:
        """📝 on one's own reply: it replaces the newest answer of the bot before it."""
        thread_ts = message.get("thread_ts")
        if message.get("user") != lesson.user or thread_ts in (None, message["ts"]):
            return None
        thread = await self._workspace.thread(lesson.channel, str(thread_ts))
        found = await asyncio.to_thread(self._corrected, lesson, message, thread, at)
        if found is not None or not thread:
            return found
        # Nothing of the bot's to correct: the reply answers the thread's first message.
        lesson = replace(lesson, correction=plain(message["text"]))
        replies = thread[1:]
        return self._answered_by(lesson, thread[0], replies, run_up_to(message, replies))

    def _corrected(
        self, lesson: Lesson, message: Message, thread: Sequence[Message], at: float
    ) -> Lesson | None:
        with reading(self._engine) as session:
            earlier = [one for one in thread if self._by_bot(one) and one["ts"] < message["ts"]]
            found = (answer_of(session, lesson.channel, one) for one in reversed(earlier))
            answer = next((one for one in found if one is not None), None)
            if answer is None:
                return None
            # A colleague's correction in between is no other question; an edited question is.
            if not answers.was_read(session, corrections.root(session, answer), at):
                raise Unread
            question = session.get_one(Question, answer.question_id)
            text = plain(message["text"])
            return replace(
                lesson,
                answer_id=answer.id,
                question=question,
                correction=text,
                draft=examples.draft(
                    question.text, text, rejected=own_words(session, answer), keep=self._keep
                ),
                sources=[(question.channel, question.ts), (lesson.channel, message["ts"])],
            )

    async def _of_person(self, lesson: Lesson, message: Message) -> Lesson | None:
        """✅ on a person's answer: their messages of the thread up to there, joined."""
        thread_ts = message.get("thread_ts")
        if not is_speech(message) or thread_ts in (None, message["ts"]):
            return None
        thread = await self._workspace.thread(lesson.channel, str(thread_ts))
        if not thread:
            return None
        question = await asyncio.to_thread(self._asked_about, lesson)
        ts = question.ts if question else thread_ts
        asked = next((one for one in thread if one["ts"] == ts), thread[0])
        replies = [one for one in thread if one["ts"] > asked["ts"]]
        answers = answers_up_to(message, replies, self._workspace.identity.user_id)
        return self._answered_by(replace(lesson, question=question), asked, replies, answers)

    def _answered_by(
        self, lesson: Lesson, first: Message, replies: Sequence[Message], answers: Sequence[Message]
    ) -> Lesson:
        """A person's answer to another person's messages; refused when it is the same person."""
        asked = asked_up_to(first, replies, answers[0])
        draft = examples.draft(joined(asked), joined(answers), keep=self._keep)
        if own := refuse_own(first, answers[-1]):
            draft = replace(draft, refusal=own)
        sources = [(lesson.channel, one["ts"]) for one in (*asked, *answers)]
        return replace(lesson, draft=draft, sources=sources)

    def _asked_about(self, lesson: Lesson) -> Question | None:
        """What people were asked to answer in the thread, if that is not its first message."""
        team_id = self._workspace.identity.team_id
        with reading(self._engine) as session:
            return cases.asked_about(
                session, team_id, lesson.channel, lesson.thread_ts or "", lesson.target_ts
            )

    async def _scoped(self, lesson: Lesson) -> Lesson:
        """Walled in, unless the channel is open to the whole workspace or the settings widen it."""
        if lesson.draft is None or lesson.channel in self._widen:
            return lesson
        if await self._workspace.channel_kind(lesson.channel) is ChannelKind.PUBLIC:
            return lesson
        return replace(lesson, draft=replace(lesson.draft, scope=lesson.channel))

    async def _link(self, answer_id: int | None) -> str:
        """Where reviewers can read the answer, should somebody disagree; "" when it is unknown."""
        answer = await asyncio.to_thread(self._rated, answer_id)
        if answer is None or answer.ts is None:
            return ""
        try:
            return await self._workspace.link(answer.channel, answer.ts) or ""
        except SlackApiError:
            return ""

    def _rated(self, answer_id: int | None) -> Answer | None:
        with reading(self._engine) as session:
            return session.get(Answer, answer_id) if answer_id is not None else None

    def _write(self, lesson: Lesson, embedding: bytes | None, link: str) -> None:
        with transaction(self._engine) as session:
            given, new = feedback.record(
                session, team_id=self._workspace.identity.team_id, channel=lesson.channel,
                target_ts=lesson.target_ts, user=lesson.user, kind=lesson.kind,
                answer_id=lesson.answer_id, correction=lesson.correction, reason=lesson.reason,
                given_at=lesson.given_at,
            )  # fmt: skip
            if new and lesson.draft is not None:
                self._settle(session, lesson)
                self._learn(session, given, lesson, lesson.draft, embedding)
            if given.kind is FeedbackKind.CORRECT and given.answer_id is not None:
                corrections.put(session, given)
            self._aftermath.follow_rating(session, given, link)

    def _settle(self, session: Session, lesson: Lesson) -> None:
        """What waited in the thread for a person's answer has it."""
        if lesson.thread_ts and (lesson.kind is FeedbackKind.CORRECT or not lesson.answer_id):
            self._cases.answered(
                session, self._workspace.identity.team_id, lesson.channel, lesson.thread_ts,
                lesson.target_ts, by=lesson.user,
            )  # fmt: skip

    def _learn(
        self,
        session: Session,
        given: Feedback,
        lesson: Lesson,
        draft: Draft,
        embedding: bytes | None,
    ) -> None:
        draft = _standing(session, given.team_id, lesson, draft)
        if draft.refusal is not None:
            embedding = None
        examples.add(
            session, draft, team_id=given.team_id, feedback_id=given.id or 0,
            approved_by=lesson.user, sources=lesson.sources, embedding=embedding,
            embedder=self._memory.embedder.name if embedding else None, held=self._held,
        )  # fmt: skip

    def _take_back(self, kind: FeedbackKind, channel: str, ts: str, user: str) -> None:
        with transaction(self._engine) as session:
            revoked = feedback.revoke(
                session, team_id=self._workspace.identity.team_id, channel=channel, target_ts=ts,
                user=user, kind=kind,
            )  # fmt: skip
            if revoked is not None:
                self._aftermath.follow_rating(session, revoked)


def _standing(session: Session, team_id: str, lesson: Lesson, draft: Draft) -> Draft:
    """The draft without words that were taken back before it could be stored."""
    source = tuple_(col(Question.channel), col(Question.ts))
    asked = select(Question).where(Question.team_id == team_id, source.in_(lesson.sources))
    read = lesson.question
    for question in session.exec(asked.with_for_update()):
        if question.deleted_at is not None:
            return _emptied(draft, "the question was deleted")
        if read is not None and question.id == read.id and question.text != read.text:
            return _emptied(draft, "the question was edited meanwhile")
    if not _uses_forgotten(session, lesson.answer_id):
        return draft
    if lesson.kind is FeedbackKind.CORRECT:  # the correction's own words still stand
        return replace(draft, rejected=None)
    return _emptied(draft, "a message that the answer came from was deleted or edited")


def _emptied(draft: Draft, refusal: str) -> Draft:
    return Draft("", "", scope=draft.scope, refusal=refusal)


def _uses_forgotten(session: Session, answer_id: int | None) -> bool:
    """Whether an example that the answer quotes, or was written from, was forgotten (blanked)."""
    forgotten = (
        select(AnswerExample.example_id)
        .join(Example, col(Example.id) == col(AnswerExample.example_id))
        .where(
            AnswerExample.answer_id == answer_id,
            Example.status == ExampleStatus.REVOKED,
            Example.answer == "",
        )
    )
    return session.exec(forgotten).first() is not None


def _edited_at(message: Message) -> float:
    """When a person last changed the message, by Slack's clock; 0 when nobody did."""
    return float((message.get("edited") or {}).get("ts") or 0)


def own_words(session: Session, answer: Answer) -> str | None:
    """What the bot itself said, whatever staff have put in its place; None if it said nothing."""
    first = corrections.root(session, answer)
    return None if first.mode is AnswerMode.UNSURE else first.text


def answer_of(session: Session, channel: str, message: Message) -> Answer | None:
    """The answer that a message of the bot's carries. The row may not know its ts yet."""
    known = select(Answer).where(
        Answer.channel == channel, Answer.ts == message["ts"], col(Answer.replaced_at).is_(None)
    )
    if (answer := session.exec(known).first()) is not None:
        return answer
    said = session.get(OutboxMessage, outbox_id(message) or 0)
    if said is None:  # a further part of a long one
        parts = select(OutboxMessage).where(
            OutboxMessage.channel == channel, OutboxMessage.ts == message["ts"]
        )
        said = session.exec(parts.order_by(col(OutboxMessage.id).desc())).first()
    if said is None or said.answer_id is None or said.channel != channel:
        return None
    answer = session.get_one(Answer, said.answer_id)
    # The question was edited: what stands there now is about to change, and says nothing more.
    return None if answer.replaced_at is not None else answer


def _inherited(session: Session, answer: Answer) -> list[Source]:
    """The messages that the words of a remembered answer came from: deleting them forgets it too.

    Not the questions that it was given to: another person's wording is another person's.
    """
    rows = (
        select(ExampleSource.channel, ExampleSource.ts)
        .join(AnswerExample, col(AnswerExample.example_id) == col(ExampleSource.example_id))
        .outerjoin(
            Question,
            (col(Question.team_id) == col(ExampleSource.team_id))
            & (col(Question.channel) == col(ExampleSource.channel))
            & (col(Question.ts) == col(ExampleSource.ts)),
        )
        .where(AnswerExample.answer_id == answer.id, col(Question.id).is_(None))
    )
    return list(session.exec(rows))
