"""One question becomes one answer: release → its words (`bot.composing`) → receipt → outbox."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import outbox, releases, shadowing, showing
from bot.abstaining import Abstaining
from bot.composing import (
    PATIENCE_S,
    Cite,
    Composing,
    ReadThread,
    Reply,
    Show,
    Task,
    quoted,
    waited_s,
)
from bot.dispatcher import InLine, Later
from bot.knowing import Knowing
from bot.memory import Match, Memory
from bot.recognising import Recognising
from bot.routing import Busy, Failed, NoServer, Router
from bot.sparing import SpareTime
from bot.store import answers
from bot.store.database import transaction
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    Example,
    ExampleStatus,
    InboxEvent,
    OutboxKind,
    Question,
    Release,
)
from bot.waiting import Delay, Waiting
from serving import logs
from serving.client import BASE

# For so long nobody is told that no server answers: it may be back.
GRACE_S = 3.0
LONGEST_WAIT_S = 60.0  # of a question that servers failed at, before it is tried again

Render = Callable[[Reply], Sequence[dict[str, Any]]]  # the payloads of its messages
Notice = Callable[[Delay], dict[str, Any]]  # the payload of its message


class Promising(Protocol):
    """What becomes of a question whose answer is withheld: see `bot.cases.Cases`."""

    def promise(self, question: Question) -> str:
        """What is said in the place of the answer."""

    def considered(self, session: Session, question: Question, *, unsure: bool) -> None:
        """The question was answered, or not."""


class Answering:
    """Answers stored questions. Safe to run twice for one question: it has one answer."""

    def __init__(
        self,
        engine: Engine,
        memory: Memory | None,
        router: Router,
        *,
        read_thread: ReadThread,
        render: Render | None,
        said: Callable[[], None],
        cite: Cite | None = None,
        show: Callable[[Question], Show] | None = None,
        abstaining: Abstaining | None = None,
        cases: Promising | None = None,
        knowing: Knowing | None = None,
        recognising: Recognising | None = None,
        waiting: Waiting | None = None,
        notice: Notice | None = None,
        quote: bool = True,
        max_tokens: int = 256,
        grace_s: float = GRACE_S,
        patience_s: float = PATIENCE_S,
        spare: SpareTime | None = None,
        reread: Callable[[Question], bool] = lambda _: True,
    ) -> None:
        """
        Args:
            render: makes the messages of an answer. None: nobody posts it, because whoever asked
                reads it as it is stored. What they have read while it was written stands then,
                whatever changed meanwhile.
            spare: hears when a question is being answered.
            reread: whether the question's thread can be read once more, for the shadow.
        """
        self._engine = engine
        self._memory = memory
        self._render = render
        self._said = said
        self._cases = cases
        self._waiting = waiting
        self._notice = notice
        self._quote = quote
        self._grace_s = grace_s
        self._spare = spare or SpareTime()
        self._reread = reread
        self._composing = Composing(
            engine, memory, router, read_thread=read_thread, cite=cite, show=show,
            abstaining=abstaining, promise=cases.promise if cases else None, knowing=knowing,
            recognising=recognising, waiting=waiting, quote=quote, max_tokens=max_tokens,
            patience_s=patience_s,
        )  # fmt: skip

    async def handle(self, event: InboxEvent) -> None:
        """Answer the question that an inbox row of kind "question" names."""
        with self._waiting.in_hand() if self._waiting else contextlib.nullcontext():
            await self.answer(event.payload["question_id"], event)

    async def answer(self, question_id: int, event: InboxEvent | None = None) -> None:
        """Answer a question that has no answer yet and was not deleted.

        Args:
            event: its row in the inbox, by which it has its place in line.

        Raises:
            Later: no model can answer now.
        """
        with self._spare.taken():
            await self._answer(question_id, event)

    async def _answer(self, question_id: int, event: InboxEvent | None) -> None:
        while (task := await asyncio.to_thread(self._open, question_id, event)) is not None:
            logs.note(release=f"v{task.release.number}", adapter=task.adapter or BASE)
            reply = await self._compose(task)
            if await asyncio.to_thread(self._commit, task, reply):
                self._said()
                return
            # While the answer was made, the question was edited, the release rolled back, or the
            # example revoked.

    def _open(self, question_id: int, event: InboxEvent | None) -> Task | None:
        with transaction(self._engine) as session:
            question = session.get_one(Question, question_id)
            if question.deleted_at is not None:
                self._drop(session, question)
                return None
            if answers.current(session, question_id) is not None:
                return None
            release = _release_of(session, question)
            adapter = releases.adapter_of(session, release)
            return Task(question, release, adapter.name if adapter else None, event)

    async def _compose(self, task: Task) -> Reply:
        recalled = await self._composing.recall(task)
        match = recalled.match
        try:
            return await self._composing.write(task, recalled)
        except (NoServer, Busy) as why:
            if match is not None and self._stands_in(task, match, why):
                return quoted(task, match, AnswerMode.QUOTED_AWAY, recalled.source)
            raise await self._put_off(task, why) from why

    def _stands_in(self, task: Task, match: Match, why: Exception) -> bool:
        """Whether the approved answer is given as it is, for no server answers."""
        if self._memory is None or not self._quote or isinstance(why, Busy):
            return False
        return self._lasts(task, why) and self._memory.stands_in(match)

    def _lasts(self, task: Task, why: Exception) -> bool:
        """Whether it is more than a moment's trouble: what broke off once is tried again first."""
        once = isinstance(why, Failed) and not _failures(task.event)
        return not once and waited_s(task) >= self._grace_s

    async def _put_off(self, task: Task, why: Exception) -> Later:
        """What hands the question back: in line, or for a while where servers failed at it, so that
        what they cannot bear holds up nobody else. Whoever has waited for a while is told."""
        if self._lasts(task, why):
            await asyncio.to_thread(self._notify, task, isinstance(why, NoServer))
        if isinstance(why, Failed):
            count = _failures(task.event) + 1
            delay_s = min(2.0 ** (count - 1), LONGEST_WAIT_S)
            return Later(f"try {count} failed: {why}", delay_s)
        left_s = self._grace_s - waited_s(task)
        return InLine(str(why), left_s) if left_s > 0 else InLine(str(why))

    def _notify(self, task: Task, is_away: bool) -> None:
        if self._waiting is None or self._notice is None:
            return
        delay = self._waiting.delay(task.event, is_away=is_away)
        if not is_away and not delay.minutes:
            return
        with transaction(self._engine) as session:
            question = session.get_one(Question, task.question.id, with_for_update=True)
            if question.deleted_at is not None or answers.current(session, question.id) is not None:
                return
            told = showing.notify(session, question, self._notice(delay))
        if told:
            self._said()

    def _commit(self, task: Task, reply: Reply) -> bool:
        """Store the answer and what to say; False when it no longer holds and must be made anew."""
        with transaction(self._engine) as session:
            # Locked: an edit, a deletion or another process goes before, or finds the answer.
            question = session.get_one(Question, task.question.id, with_for_update=True)
            if question.deleted_at is not None:
                self._drop(session, question)  # its stream may have begun after the deletion
                return True
            if answers.current(session, question.id) is not None:
                return True
            stands = reply.began and self._render is None
            if not stands and not _holds(session, task, question, reply):
                return False
            answer = self._store(session, question, reply)
            if self._reread(question):
                shadowing.follow(session, question, answer, task.release, reply)
            if self._cases is not None:
                unsure = reply.mode is AnswerMode.UNSURE
                self._cases.considered(session, question, unsure=unsure)
        return True

    def _store(self, session: Session, question: Question, reply: Reply) -> Answer:
        wrote = reply.wrote
        answer = Answer(
            team_id=question.team_id, question_id=_id(question), text=reply.text, mode=reply.mode,
            release_id=_id(reply.release), adapter=reply.adapter, confidence=reply.confidence,
            threshold=reply.needed, channel=question.channel,
            prompt_tokens=wrote.prompt_tokens if wrote else None,
            completion_tokens=len(wrote.logprobs) if wrote else None,
        )  # fmt: skip
        session.add(answer)
        session.flush()
        # What stands in for the release's adapter answers by another release.
        release, adapter = f"v{reply.release.number}", reply.adapter or BASE
        logs.note(answer=answer.id, mode=str(reply.mode), release=release, adapter=adapter)
        if reply.match is not None:
            used = AnswerExample(
                answer_id=_id(answer), example_id=reply.match.example_id,
                team_id=question.team_id, similarity=reply.match.similarity,
                recognised_logprob=reply.match.sure,
            )  # fmt: skip
            session.add(used)
        if self._render is not None:
            showing.show(session, question, answer, self._render(reply))
        else:
            answer.ts = question.ts  # asked and answered in one exchange
        return answer

    def _drop(self, session: Session, question: Question) -> None:
        """What was streamed of an answer that nobody wants any more goes, too."""
        said = answers.shown(session, question)
        if said is not None and said.kind is OutboxKind.STREAM:
            outbox.drop_stream(session, said)
            self._said()


def _failures(event: InboxEvent | None) -> int:
    """How often servers failed at the question, one time after the other."""
    found = re.match(rf"{Later.word}: try (\d+) failed", (event and event.error) or "")
    return int(found[1]) if found else 0


def _id(row: Question | Release | Answer) -> int:
    if row.id is None:
        raise ValueError("the row was not stored yet")
    return row.id


def _release_of(session: Session, question: Question) -> Release:
    return releases.for_thread(session, question.team_id, question.channel, question.thread_ts)


def _holds(session: Session, task: Task, question: Question, reply: Reply) -> bool:
    """Whether the question still reads so, its release still answers, and the example counts."""
    if question.text != task.question.text:
        return False
    if _release_of(session, question).id != task.release.id:
        return False
    if reply.match is None:
        return True
    status = select(Example.status).where(col(Example.id) == reply.match.example_id)
    return session.exec(status).first() == ExampleStatus.LIVE
