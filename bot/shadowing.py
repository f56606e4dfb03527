"""The shadow: a release that answers what was answered already, for the record alone.

A row of the inbox is stored with the answer that people read, and is worked on when no question
waits: the shadow then composes its own answer as the bot would have with that release. It is kept
beside the one that was shown (`ShadowAnswer`), and never posted. What comes too late to be worth it
is dropped, and so is what the shadow's own adapter cannot say: the base never speaks in its place.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import inbox, releases
from bot.composing import Composing, NotReady, Reply, Task
from bot.dispatcher import Later
from bot.routing import Busy, Failed, NoServer
from bot.sparing import SpareTime, Wanted
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Example,
    ExampleStatus,
    InboxEvent,
    Question,
    Release,
    ShadowAnswer,
    now,
)
from serving import logs
from serving.client import BASE

log = logging.getLogger(__name__)
KIND = "shadow"  # of its rows in the inbox
TOO_OLD = timedelta(minutes=15)
AGAIN_S = 2.0  # after a question took its time, or no server answered
LONGEST_S = 300.0  # after servers have failed at it again
OLD = "it waited for too long"
ENDED = "its shadowing ended"
MISSING = "no server had it"
LEARNED = "memory had changed since the other answer"
BROKEN = "it broke"


def follow(
    session: Session, question: Question, answer: Answer, release: Release, reply: Reply
) -> None:
    """Have the shadow answer, too, what was answered in this transaction; once.

    Nothing is recorded of what memory quotes by itself: it says so whatever the release is.

    Args:
        release: by which the thread is answered.
    """
    recalls = answer.mode is AnswerMode.QUOTED and reply.match and reply.match.sure is None
    if recalls or answer.mode is AnswerMode.QUOTED_AWAY:
        return
    shadow = releases.shadow(session, question.team_id)
    if shadow is None or shadow.id == release.id:
        return
    row = ShadowAnswer(
        team_id=question.team_id, question_id=answer.question_id, answer_id=answer.id or 0,
        release_id=shadow.id or 0,
    )  # fmt: skip
    session.add(row)
    session.flush()
    inbox.receive(
        session, team_id=question.team_id, event_id=f"{KIND}:{answer.id}", kind=KIND,
        lane=f"{KIND}:{answer.id}", payload={"shadow_id": row.id, "answer_id": answer.id},
    )  # fmt: skip


def give_up(session: Session, event: InboxEvent) -> None:
    """An inbox row that always fails is not tried any more."""
    if (row := _row(session, event)) is not None:
        _drop(row, BROKEN)


def may_work(engine: Engine) -> bool:
    """Whether anything is to be done for a shadow, and no question waits for anything."""
    with reading(engine) as session:
        return inbox.has(session, KIND) and not inbox.are_asking(session)


class Shadowing:
    """Makes a workspace's shadow answers, in spare time. Safe to run twice for one row.

    Args:
        composing: with infinite patience, and nobody to show anything to.
    """

    def __init__(self, engine: Engine, composing: Composing, spare: SpareTime) -> None:
        self._engine = engine
        self._composing = composing
        self._spare = spare

    async def handle(self, event: InboxEvent) -> None:
        """Make the answer that an inbox row of kind "shadow" names, or drop it.

        Raises:
            Later: questions come first, or no server answers.
        """
        if (task := await asyncio.to_thread(self._open, event)) is None:
            return
        logs.note(release=f"v{task.release.number}", adapter=task.adapter or BASE)
        try:
            reply = await self._spare.use(self._compose(task))
        except Wanted as wanted:
            raise Later(str(wanted), AGAIN_S) from wanted
        except Failed as failed:  # ever later: each try counts against the servers
            delay_s = min(AGAIN_S * 2**event.attempts, LONGEST_S)
            raise Later(str(failed), delay_s) from failed
        except (NoServer, Busy) as away:
            raise Later(str(away), AGAIN_S) from away
        await asyncio.to_thread(self._keep, event, reply)

    async def _compose(self, task: Task) -> Reply | None:
        """None where no server has the release's adapter."""
        try:
            return await self._composing.write(task, await self._composing.recall(task))
        except NotReady as missing:
            log.info("%s", missing)
            return None

    def _open(self, event: InboxEvent) -> Task | None:
        with transaction(self._engine) as session:
            if (row := _row(session, event)) is None:  # forgotten, or made by an earlier holder
                return None
            shadow = releases.shadow(session, row.team_id)
            if shadow is None or shadow.id != row.release_id:
                _drop(row, ENDED)
                return None
            if event.received_at < now() - TOO_OLD:
                _drop(row, OLD)
                return None
            question = session.get_one(Question, row.question_id)
            adapter = releases.adapter_of(session, shadow)
            return Task(question, shadow, adapter.name if adapter else None, None)

    def _keep(self, event: InboxEvent, reply: Reply | None) -> None:
        with transaction(self._engine) as session:
            if (row := _row(session, event)) is None:
                return
            shadow = releases.shadow(session, row.team_id)
            if shadow is None or shadow.id != row.release_id:
                _drop(row, ENDED)
            elif reply is None:
                _drop(row, MISSING)
            elif not _is_fair(session, row, reply):
                _drop(row, LEARNED)
            else:
                row.text, row.mode, row.adapter = reply.text, reply.mode, reply.adapter
                row.confidence, row.made_at = reply.confidence, now()
                row.example_id = reply.match.example_id if reply.match else None


def _row(session: Session, event: InboxEvent) -> ShadowAnswer | None:
    """The row that is to be filled, locked: who forgets the question goes before, or finds the
    words. None where that was done, or the row is gone; SQLite may have given its number to
    another question's since."""
    row = session.get(ShadowAnswer, event.payload["shadow_id"], with_for_update=True)
    if row is None or row.answer_id != event.payload["answer_id"]:
        return None
    return row if row.mode is None and row.dropped is None else None


def _drop(row: ShadowAnswer, why: str) -> None:
    log.info("a shadow answer is dropped: %s", why)
    row.dropped, row.made_at = why, now()


def _is_fair(session: Session, row: ShadowAnswer, reply: Reply) -> bool:
    """Whether the other answer could have used the same example: the very correction of it, for
    one, it could not."""
    if reply.match is None:
        return True
    # Held: it is forgotten before, and seen here, or with the words that were made from it.
    example = session.get(Example, reply.match.example_id, with_for_update={"read": True})
    shown = session.exec(select(Answer.answered_at).where(Answer.id == row.answer_id)).one()
    live = example is not None and example.status is ExampleStatus.LIVE
    return live and example is not None and example.changed_at <= shown
