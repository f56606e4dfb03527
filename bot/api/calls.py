"""The questions of other systems in one workspace: stored, answered, and handed to who waits.

A caller waits while its question is answered, so it stands in no queue: when nobody can be answered
in time, or nobody waits any more, the question is taken back. A question that the caller named is
answered once, whoever asks it again, at whichever bot.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Engine, delete
from sqlmodel import Session, col, select

from bot.answering import Answering, Promising
from bot.api import allowance
from bot.api.errors import ApiError, unanswered
from bot.api.reading import Asked
from bot.composing import CUT_SHORT, Show
from bot.dispatcher import Later
from bot.prompt import Turn
from bot.pump import LostClaim, hold
from bot.routing import Enough
from bot.store import leases
from bot.store.callers import channel_of
from bot.store.database import reading, transaction
from bot.store.once import insert_once
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    ApiCall,
    ApiKey,
    Lease,
    Question,
    Release,
    now,
)
from bot.watching import Watch

log = logging.getLogger(__name__)
LOOK_S = 0.2  # how often a second bot looks whether the first one has the answer
SOURCE_S = 2.0  # an answer waits no longer for Slack to say where its source is
KEPT = timedelta(hours=24)  # so long a name stands for its question
LEASE = "api:"
UNSURE = "I am not sure about this one, so I would rather not guess."

Cite = Callable[[int], Awaitable[str | None]]  # the address of an example's source
Forget = Callable[[str, str], Awaitable[None]]  # channel and ts of a question
Read = Callable[[Question], Awaitable[Sequence[Turn]]]


class Make(Protocol):
    """Makes the `Answering` of a workspace, which has all of its memory, models and settings."""

    def __call__(
        self, *, read_thread: Read, render: None, said: Callable[[], None],
        show: Callable[[Question], Show], cases: Promising, patience_s: float,
        reread: Callable[[Question], bool],
    ) -> Answering: ...  # fmt: skip


class NotSure:
    """An answer that is withheld: staff find the question on the Home tab, and no case is opened,
    as nobody of the workspace waits in a thread."""

    def promise(self, question: Question) -> str:
        """What is said in its place."""
        return UNSURE

    def considered(self, session: Session, question: Question, *, unsure: bool) -> None:
        """Nothing to open or to withdraw."""


@dataclass(frozen=True)
class Answered:
    """An answer as its caller gets it."""

    answer: int  # its id
    text: str
    mode: AnswerMode
    release: str
    adapter: str | None
    confidence: float | None
    source: str | None  # the address of the approved message
    cut: bool
    prompt_tokens: int
    completion_tokens: int


class Exchange:
    """One question while somebody waits for its answer: a `Show` that hands the words on."""

    def __init__(self, asked: Asked, question: Question, call: ApiCall | None) -> None:
        self.asked = asked
        self.question_id = question.id or 0
        self.asked_at: datetime = question.asked_at
        self.call = call
        self.owner = secrets.token_hex(8)  # of the lease on a named question
        self.began = False  # whether some of it was handed on
        self._sent = ""  # what was, since it was last begun
        self._pieces: asyncio.Queue[str] = asyncio.Queue()
        self._clock: asyncio.Timeout | None = None
        self._silence_s = 0.0
        self._left = False

    @property
    def lease(self) -> str:
        """Its name; "" where the question has none."""
        return f"{LEASE}{self.call.id}" if self.call is not None else ""

    def within(self, silence_s: float) -> asyncio.Timeout:
        """A clock by which something has to be heard: each word winds it up."""
        self._clock, self._silence_s = asyncio.timeout(silence_s), silence_s
        return self._clock

    def leave(self) -> None:
        """Nobody waits any more."""
        self._left = True

    async def grew(self, text: str) -> None:
        """The answer says so much by now. Raises Enough."""
        if self._left and self.began:
            raise Enough
        text = text.rstrip()  # a space at the end of all is none of it
        # Else it is another server that began anew, and says the same so far.
        if self.asked.stream and not self._sent.startswith(text):
            self._hand_on(text)
        if self._clock is not None and not self._clock.expired():
            self._clock.reschedule(asyncio.get_running_loop().time() + self._silence_s)

    def close(self, answered: Answered) -> None:
        """The whole of it: the rest is handed on."""
        if answered.text != self._sent:
            self._hand_on(answered.text)

    def _hand_on(self, text: str) -> None:
        """What was handed on is not taken back: an answer that begins anew (its server died, say)
        follows whole behind a mark."""
        if not text.startswith(self._sent):
            self._pieces.put_nowait(f" {CUT_SHORT}\n\n")
            self._sent = ""
        self._pieces.put_nowait(text.removeprefix(self._sent))
        self.began, self._sent = True, text

    async def piece(self) -> str:
        """The next piece of the answer; it may never come."""
        return await self._pieces.get()

    def waiting(self) -> str | None:
        """A piece that waits to be read; None for none."""
        return None if self._pieces.empty() else self._pieces.get_nowait()


class Calls:
    """Answers what other systems ask of one workspace.

    Args:
        deadline_s: a caller waits no longer for the next word of an answer, and for all of one that
            the model is not sure of from its beginning.
        lease_s: a named question whose bot died is taken over after so long.
    """

    def __init__(
        self, engine: Engine, team_id: str, make: Make, cite: Cite, forget: Forget, *,
        deadline_s: float, lease_s: float, per_minute: int, watch: Watch | None = None,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._team_id = team_id
        self._cite = cite
        self._forget = forget
        self._deadline_s = deadline_s
        self._lease_s = lease_s
        self._per_minute = per_minute
        self._watch = watch or Watch()
        self._open: dict[int, Exchange] = {}
        self._answering = make(
            read_thread=self._read_thread, render=None, said=lambda: None, show=self._shown,
            cases=NotSure(), patience_s=deadline_s / 3, reread=self._stands_alone,
        )  # fmt: skip

    async def begin(self, key: ApiKey, asked: Asked, name: str | None) -> Exchange:
        """Store a question; one that was asked by this name before is that same question.

        Raises:
            ApiError: the key may not ask so much, was revoked, or the name stands for another
                question.
        """
        return await asyncio.to_thread(self._store, key, asked, name)

    async def answer(self, exchange: Exchange) -> Answered:
        """Answer a question; cancelled, it is taken back unless it is answered by then.

        Raises:
            ApiError: nobody can answer it in time.
        """
        async with self._watch.asking(self._team_id, exchange.question_id):
            return await self._answered(exchange)

    async def _answered(self, exchange: Exchange) -> Answered:
        began = time.monotonic()
        try:
            async with exchange.within(self._deadline_s):
                await self._settle(exchange)
            answered = await self._read(exchange.question_id)
        except (TimeoutError, LostClaim) as error:
            log.warning("api: question %s has no answer in time", exchange.question_id)
            await asyncio.to_thread(self._take_back, exchange)
            raise unanswered() from error
        except BaseException:
            await asyncio.to_thread(self._take_back, exchange)
            raise
        took = time.monotonic() - began
        log.info("api: question %s: answer %s, %s by %s in %.2f s", exchange.question_id,
                 answered.answer, answered.mode, answered.release, took)  # fmt: skip
        exchange.close(answered)
        return answered

    async def forget(self, key: ApiKey, question_id: int) -> bool:
        """Forget a question of the key's, its answer, and what was learned from them, as when a
        message is deleted in Slack. False where there is none."""
        found = await asyncio.to_thread(self._unnamed, key, question_id)
        if found is not None:
            await self._forget(found.channel, found.ts)
        return found is not None

    def _unnamed(self, key: ApiKey, question_id: int) -> Question | None:
        """A question of the key's, which nothing asked by its name gets any more."""
        with transaction(self._engine) as session:
            question = own(session, key, question_id)
            if question is not None:
                named = col(ApiCall.question_id) == question.id
                session.execute(delete(ApiCall).where(named))
            return question

    def spend(self, session: Session, key: ApiKey) -> ApiKey:
        """Take one request off the key's allowance. Raises ApiError."""
        return allowance.spend(session, key.id, self._per_minute)

    async def _settle(self, exchange: Exchange) -> None:
        """Have it answered, here or by whoever is at it."""
        if exchange.call is None:
            await self._make(exchange)
            return
        while True:
            if await asyncio.to_thread(self._take, exchange):
                break
            await asyncio.sleep(LOOK_S)  # another process is at it
        await hold(self._make(exchange), partial(self._renew, exchange), self._lease_s / 3)

    async def _make(self, exchange: Exchange) -> None:
        self._open[exchange.question_id] = exchange
        try:
            while True:
                try:
                    await self._answering.answer(exchange.question_id)
                    return
                except Later as later:
                    log.info("api: question %s waits: %s", exchange.question_id, later)
                    await asyncio.sleep(min(later.delay_s, 1.0))
        finally:
            self._open.pop(exchange.question_id, None)

    async def _read_thread(self, question: Question) -> Sequence[Turn]:
        return self._open[question.id or 0].asked.turns

    def _stands_alone(self, question: Question) -> bool:
        """Whether nothing was said before it: a thread is its caller's, and kept nowhere. Who has
        left by now does not undo the answer for that."""
        exchange = self._open.get(question.id or 0)
        return exchange is not None and not exchange.asked.turns

    def _shown(self, question: Question) -> Exchange:
        return self._open[question.id or 0]

    def _store(self, key: ApiKey, asked: Asked, name: str | None) -> Exchange:
        with transaction(self._engine) as session:
            key = self.spend(session, key)
            if name is None:
                return Exchange(asked, self._ask(session, key, asked), None)
            call = ApiCall(
                team_id=self._team_id, key_id=key.id or 0, name=name, body_sha256=asked.sha256
            )
            is_new = insert_once(session, call)
            same = select(ApiCall).where(ApiCall.key_id == key.id, ApiCall.name == name)
            call = session.exec(same).one()
            if call.body_sha256 != asked.sha256:
                words = "This Idempotency-Key stands for another request."
                raise ApiError(422, words, "idempotency_key_reused")
            if is_new:
                call.question_id = self._ask(session, key, asked).id
                session.add(call)
            return Exchange(asked, session.get_one(Question, call.question_id), call)

    def _ask(self, session: Session, key: ApiKey, asked: Asked) -> Question:
        channel = channel_of(key.name)
        while True:  # two may ask in the same microsecond
            ts = f"{time.time():.6f}"
            # Of whom the caller names nobody is taken for somebody who asked before.
            question = Question(
                team_id=self._team_id, channel=channel, thread_ts=asked.thread, ts=ts,
                user=f"{channel}/{asked.user or '#' + ts}", text=asked.question,
            )  # fmt: skip
            if insert_once(session, question):
                here = (Question.team_id == self._team_id, Question.channel == channel)
                return session.exec(select(Question).where(*here, Question.ts == question.ts)).one()

    def _take(self, exchange: Exchange) -> bool:
        """Whether it is answered already, or this process is the one to answer it."""
        with transaction(self._engine) as session:
            if first_answer(session, exchange.question_id) is not None:
                return True
            if not leases.acquire(session, exchange.lease, exchange.owner, self._lease_s):
                return False
            question = session.get_one(Question, exchange.question_id, with_for_update=True)
            if question.deleted_at is not None:  # nobody could answer it the last time
                question.text, question.deleted_at = exchange.asked.question, None
                question.asked_at = now()
                session.add(question)
            return True

    def _renew(self, exchange: Exchange) -> None:
        with transaction(self._engine) as session:
            if not leases.acquire(session, exchange.lease, exchange.owner, self._lease_s):
                raise LostClaim(f"api call {exchange.question_id}: {LostClaim.__doc__}")

    def _take_back(self, exchange: Exchange) -> None:
        """A question that nobody was answered is nobody's question."""
        with transaction(self._engine) as session:
            question = session.get_one(Question, exchange.question_id, with_for_update=True)
            if exchange.call is not None:
                if not leases.acquire(session, exchange.lease, exchange.owner, self._lease_s):
                    return  # somebody else is at it
                leases.release(session, exchange.lease, exchange.owner)
            if first_answer(session, exchange.question_id) is None:
                question.text, question.deleted_at = "", now()
                session.add(question)

    async def _read(self, question_id: int) -> Answered:
        """The answer that the bot gave, whatever staff put in its place since."""
        found = await asyncio.to_thread(self._found, question_id)
        if found is None:
            raise unanswered()
        answer, release, example_id = found
        return Answered(
            answer=answer.id or 0, text=answer.text, mode=answer.mode, release=f"v{release}",
            adapter=answer.adapter, confidence=answer.confidence,
            source=await self._source(example_id) if example_id is not None else None,
            cut=answer.text.endswith(CUT_SHORT), prompt_tokens=answer.prompt_tokens or 0,
            completion_tokens=answer.completion_tokens or 0,
        )  # fmt: skip

    def _found(self, question_id: int) -> tuple[Answer, int, int | None] | None:
        with reading(self._engine) as session:
            answer = first_answer(session, question_id)
            if answer is None:
                return None
            used = select(AnswerExample.example_id).where(AnswerExample.answer_id == answer.id)
            number = session.get_one(Release, answer.release_id).number
            return answer, number, session.exec(used).first()

    async def _source(self, example_id: int) -> str | None:
        try:
            async with asyncio.timeout(SOURCE_S):
                return await self._cite(example_id)
        except TimeoutError:
            return None


def own(session: Session, key: ApiKey, question_id: int) -> Question | None:
    """A question that was asked with a key of this name, unless it was taken back."""
    rows = select(Question).where(
        Question.id == question_id,
        Question.team_id == key.team_id,
        Question.channel == channel_of(key.name),
        col(Question.deleted_at).is_(None),
    )
    return session.exec(rows).first()


def first_answer(session: Session, question_id: int | None) -> Answer | None:
    """The answer that was given, whatever staff put in its place since."""
    own_words = (Answer.question_id == question_id, col(Answer.correction_id).is_(None))
    return session.exec(select(Answer).where(*own_words).order_by(col(Answer.id))).first()


def forget_old(session: Session) -> None:
    """Forget which names stood for which questions, a day later."""
    session.execute(delete(ApiCall).where(col(ApiCall.created_at) < now() - KEPT))
    over = (col(Lease.name).startswith(LEASE), col(Lease.until) < now())
    session.execute(delete(Lease).where(*over))
