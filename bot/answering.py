"""One question becomes one answer: release → memory → quote or generate → receipt → outbox."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import outbox, prompt, releases, showing
from bot.abstaining import Abstaining, may_begin
from bot.dispatcher import InLine, Later
from bot.grounding import says
from bot.knowing import Knowing
from bot.memory import RIVALS, Decision, Match, Memory
from bot.prompt import MAX_QUESTION_CHARS, Note, Turn
from bot.recognising import Recognising
from bot.routing import Busy, Failed, Grew, NoModel, NoServer, Router
from bot.store import answers
from bot.store.database import reading, transaction
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
    now,
)
from bot.waiting import Delay, Waiting
from serving import logs, tracing
from serving.client import BASE, ChatMessage, Completion, Refused

log = logging.getLogger(__name__)
# A release whose adapter no replica has yet is waited for this long; then the base answers.
PATIENCE_S = 60.0
# For so long nobody is told that no server answers: it may be back.
GRACE_S = 3.0
LONGEST_WAIT_S = 60.0  # of a question that servers failed at, before it is tried again
NO_WORDS = "I have no answer to this."
TOO_MUCH = "This is too much text for me. Could you ask in a few sentences?"
CUT_SHORT = "[…]"
CUTS = (500, 120)  # characters of the question, when the model refuses a prompt as too long

Use = Decision | Literal["known"]  # known: the weights have proved to say it by themselves


@dataclass(frozen=True)
class Reply:
    """An answer's words and where they come from."""

    text: str
    mode: AnswerMode
    release: Release
    adapter: str | None  # None: the base model
    confidence: float | None
    match: Match | None  # the example that was quoted, stood in the prompt, or is known without
    awaited: int | None = None  # the number of the release that should have answered
    source: str | None = None  # the address of the approved message, where the asker may read it
    needed: float | None = None  # of a withheld answer: the confidence that it did not reach
    hint: str | None = None  # the address of an answer to something like it, which was not used
    began: bool = False  # whether people have read some of it while it was written
    wrote: Completion | None = None  # what a model said, where it comes of that


@dataclass(frozen=True)
class _Task:
    question: Question
    release: Release
    adapter: str | None
    event: InboxEvent | None  # its row in the inbox


ReadThread = Callable[[Question], Awaitable[Sequence[Turn]]]
Render = Callable[[Reply], Sequence[dict[str, Any]]]  # the payloads of its messages
Cite = Callable[[Question, Match], Awaitable[str | None]]
Notice = Callable[[Delay], dict[str, Any]]  # the payload of its message
Spills = Callable[[str], bool]  # whether a text tells what was taught for another question


class Show(Protocol):
    """Shows an answer while it is written; it never takes long, and never fails, unless nobody
    reads on (`bot.routing.Enough`)."""

    @property
    def began(self) -> bool:
        """Whether people may have read some of it."""

    async def grew(self, text: str) -> None:
        """The answer says so much by now; less than before when it was begun anew."""


class Promising(Protocol):
    """What becomes of a question whose answer is withheld: see `bot.cases.Cases`."""

    def promise(self, question: Question) -> str:
        """What is said in the place of the answer."""

    def considered(self, session: Session, question: Question, *, unsure: bool) -> None:
        """The question was answered, or not."""


class _Growing:
    """An answer that is written: shown once it is so sure that it is given however it ends, and
    as long as it spills nothing."""

    def __init__(self, show: Show, limit: float | None, spills: Spills) -> None:
        self._show = show
        self._limit = limit
        self._spills = spills
        self._is_sure = limit is None  # nothing is withheld

    @property
    def began(self) -> bool:
        """Whether people may have read some of it: what was read is not taken back."""
        return self._show.began

    async def grew(self, so_far: Completion) -> None:
        """It says so much by now."""
        self._is_sure = self._is_sure or may_begin(so_far, self._limit or 0.0)
        if self._is_sure and not self._spills(so_far.text):
            await self._show.grew(so_far.text.lstrip())


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
    ) -> None:
        """
        Args:
            render: makes the messages of an answer. None: nobody posts it, because whoever asked
                reads it as it is stored. What they have read while it was written stands then,
                whatever changed meanwhile.
        """
        self._engine = engine
        self._memory = memory
        self._router = router
        self._read_thread = read_thread
        self._render = render
        self._said = said
        self._cite = cite
        self._show = show
        self._abstaining = abstaining
        self._cases = cases
        self._knowing = knowing
        self._recognising = recognising
        self._waiting = waiting
        self._notice = notice
        self._quote = quote
        self._max_tokens = max_tokens
        self._grace_s = grace_s
        self._patience_s = patience_s

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
        while (task := await asyncio.to_thread(self._open, question_id, event)) is not None:
            logs.note(release=f"v{task.release.number}", adapter=task.adapter or BASE)
            reply = await self._compose(task)
            if await asyncio.to_thread(self._commit, task, reply):
                self._said()
                return
            # While the answer was made, the question was edited, the release rolled back, or the
            # example revoked.

    def _open(self, question_id: int, event: InboxEvent | None) -> _Task | None:
        with transaction(self._engine) as session:
            question = session.get_one(Question, question_id)
            if question.deleted_at is not None:
                self._drop(session, question)
                return None
            if answers.current(session, question_id) is not None:
                return None
            release = _release_of(session, question)
            adapter = releases.adapter_of(session, release)
            return _Task(question, release, adapter.name if adapter else None, event)

    async def _compose(self, task: _Task) -> Reply:
        with tracing.span("recall"):
            match, use = await self._recall(task)
        logs.note(memory=use)
        source = None
        if match is not None and use != "none" and self._cite is not None:
            source = await self._cite(task.question, match)
        if match is not None and use == "quote":
            return _quoted(task, match, AnswerMode.QUOTED, source)
        try:
            return await self._write(task, match, use, source)
        except (NoServer, Busy) as why:
            if match is not None and self._stands_in(task, match, why):
                return _quoted(task, match, AnswerMode.QUOTED_AWAY, source)
            raise await self._put_off(task, why) from why

    async def _write(self, task: _Task, match: Match | None, use: Use, source: str | None) -> Reply:
        """What a model says, when it is the question's turn."""
        if self._waiting is not None and task.event is not None:
            await asyncio.to_thread(self._waiting.join, task.event)
        if match is None or use == "none":
            return await self._generate(task, None)
        if use == "hint":
            return replace(await self._generate(task, None), hint=source)
        said = await self._in_own_words(task, match, use) if use in ("known", "told") else None
        return replace(said or await self._generate(task, match), source=source)

    async def _recall(self, task: _Task) -> tuple[Match | None, Use]:
        """The best match, and whether it is to be quoted, told, put into the prompt, or known
        without."""
        if self._memory is None:
            return None, "none"
        asked = (task.question.team_id, task.question.channel, task.question.text)
        matches = await asyncio.to_thread(self._memory.matches, *asked, RIVALS + 1)
        match = matches[0] if matches else None
        use = self._memory.decide(match, quote=self._quote)
        if match is None or use not in ("prompt", "hint"):
            return match, use
        if self._recognising is not None:
            text, adapter = task.question.text, task.adapter
            recognised = await self._recognising.among(text, adapter, matches)
            if recognised is not None:
                return recognised, self._memory.decide(recognised, quote=self._quote)
        if use == "prompt" and await self._knows(task, match):
            return match, "known"
        return match, use

    async def _in_own_words(self, task: _Task, match: Match, use: Use) -> Reply | None:
        """What is known, by heart; what the weights recognise without quoting, by heart where that
        is proved, else with it in the prompt, else in the base's words: it reads better than
        a small model that was taught much. None where nobody says what was approved."""
        turns = await self._read_thread(task.question)
        by_heart = use == "known" or await self._knows(task, match)
        reply = await self._checked(task, match, turns) if by_heart else None
        if reply is not None or use == "known":
            return reply
        note = Note(match.question, match.answer)
        if (reply := await self._checked(task, match, turns, note)) is not None:
            return reply
        base = await asyncio.to_thread(self._base_release, task.question.team_id)
        return await self._checked(replace(task, release=base, adapter=None), match, turns, note)

    async def _knows(self, task: _Task, match: Match) -> bool:
        if self._knowing is None:
            return False
        return await asyncio.to_thread(self._knowing.knows, task.adapter, match)

    async def _checked(
        self, task: _Task, match: Match, turns: Sequence[Turn], note: Note | None = None
    ) -> Reply | None:
        """The model's answer with the match in the prompt, or by heart; None where it does not say
        what was approved.

        Nobody sees it while it is written, as what people have read is not taken back.
        """
        completion, on_base = await self._ask(task, turns, note, None)
        text = completion.text.strip()
        whole = completion.finish_reason != "length" and not on_base
        asked = task.question.text[:MAX_QUESTION_CHARS]  # `says` takes the square of its length
        if not whole or not says(text, match.answer, match.question, asked):
            log.info("%s does not say example %s", task.adapter or BASE, match.example_id)
            return None
        mode = AnswerMode.OPEN_BOOK if note else AnswerMode.KNOWN
        confidence = completion.mean_logprob
        return Reply(text, mode, task.release, task.adapter, confidence, match, wrote=completion)

    async def _generate(self, task: _Task, match: Match | None) -> Reply:
        turns = await self._read_thread(task.question)
        note = Note(match.question, match.answer) if match else None
        mode = AnswerMode.OPEN_BOOK if match else AnswerMode.CLOSED_BOOK
        spills = await self._spilling(task, turns) if match is None else _nothing
        growing = await asyncio.to_thread(self._growing, task.question, mode, match, spills)
        completion, on_base = await self._ask(task, turns, note, growing)
        if spills(completion.text) and not on_base:
            log.info("%s tells what it was taught for another question", task.adapter)
            base = await asyncio.to_thread(self._base_release, task.question.team_id)
            task = replace(task, release=base, adapter=None)
            completion, on_base = await self._ask(task, turns, note, growing)
        text, confidence = _whole(completion), completion.mean_logprob
        reply = Reply(text, mode, task.release, task.adapter, confidence, match, wrote=completion)
        if on_base:
            base = await asyncio.to_thread(self._base_release, task.question.team_id)
            reply = replace(reply, release=base, adapter=None, awaited=task.release.number)
        if growing is not None and growing.began:
            return replace(reply, began=True)
        return await asyncio.to_thread(self._considered, task.question, reply)

    def _considered(self, question: Question, reply: Reply) -> Reply:
        """The reply, or that Mynah is not sure: then what it would have said is kept nowhere."""
        if self._abstaining is None or self._cases is None:
            return reply
        needed = self._abstaining.missed(
            question.team_id, reply.mode, reply.confidence, _similarity(reply.match)
        )
        if needed is None:
            return reply
        words = self._cases.promise(question)
        return replace(reply, text=words, mode=AnswerMode.UNSURE, needed=needed)

    async def _ask(
        self, task: _Task, turns: Sequence[Turn], note: Note | None, growing: _Growing | None
    ) -> tuple[Completion, bool]:
        """The completion, and whether the base stood in for the release's adapter."""
        prompts = _prompts(task.question.text, turns, note)
        grew = growing.grew if growing else None
        try:
            return await self._complete(prompts, task.adapter or BASE, grew), False
        except NoModel as error:
            waited_s = _waited_s(task)
            if task.adapter is None or waited_s < self._patience_s:
                why = f"release v{task.release.number} is not ready"
                raise Later(why, max(1.0, waited_s / 8)) from error
        try:
            return await self._complete(prompts, BASE, grew), True
        except NoModel as error:
            raise Later(str(error)) from error

    def _stands_in(self, task: _Task, match: Match, why: Exception) -> bool:
        """Whether the approved answer is given as it is, for no server answers."""
        if self._memory is None or not self._quote or isinstance(why, Busy):
            return False
        return self._lasts(task, why) and self._memory.stands_in(match)

    def _lasts(self, task: _Task, why: Exception) -> bool:
        """Whether it is more than a moment's trouble: what broke off once is tried again first."""
        once = isinstance(why, Failed) and not _failures(task.event)
        return not once and _waited_s(task) >= self._grace_s

    async def _put_off(self, task: _Task, why: Exception) -> Later:
        """What hands the question back: in line, or for a while where servers failed at it, so that
        what they cannot bear holds up nobody else. Whoever has waited for a while is told."""
        if self._lasts(task, why):
            await asyncio.to_thread(self._notify, task, isinstance(why, NoServer))
        if isinstance(why, Failed):
            count = _failures(task.event) + 1
            delay_s = min(2.0 ** (count - 1), LONGEST_WAIT_S)
            return Later(f"try {count} failed: {why}", delay_s)
        left_s = self._grace_s - _waited_s(task)
        return InLine(str(why), left_s) if left_s > 0 else InLine(str(why))

    def _notify(self, task: _Task, is_away: bool) -> None:
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

    async def _spilling(self, task: _Task, turns: Sequence[Turn]) -> Spills:
        if self._recognising is None or self._memory is None:  # nothing but weights to tell it
            return _nothing
        read = [turn.text for turn in turns]
        return await self._recognising.spilling(task.adapter, task.question.text, *read)

    def _growing(
        self, question: Question, mode: AnswerMode, match: Match | None, spills: Spills
    ) -> _Growing | None:
        if self._show is None:
            return None
        limit = None
        if self._abstaining is not None:
            limit = self._abstaining.limit(question.team_id, mode, _similarity(match))
        return _Growing(self._show(question), limit, spills)

    async def _complete(
        self, prompts: Sequence[list[ChatMessage]], model: str, grew: Grew | None
    ) -> Completion:
        """Try ever shorter prompts: how many tokens a text has, only the server knows."""
        for messages in prompts:
            try:
                return await self._router.complete(
                    messages, model=model, max_tokens=self._max_tokens, grew=grew
                )
            except Refused as error:
                log.warning("the prompt was refused: %s", error)
        return Completion(TOO_MUCH, (), "stop")

    def _base_release(self, team_id: str) -> Release:
        with reading(self._engine) as session:
            return session.exec(
                select(Release).where(Release.team_id == team_id, Release.number == 1)
            ).one()

    def _commit(self, task: _Task, reply: Reply) -> bool:
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
            self._store(session, question, reply)
            if self._cases is not None:
                unsure = reply.mode is AnswerMode.UNSURE
                self._cases.considered(session, question, unsure=unsure)
        return True

    def _store(self, session: Session, question: Question, reply: Reply) -> None:
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

    def _drop(self, session: Session, question: Question) -> None:
        """What was streamed of an answer that nobody wants any more goes, too."""
        said = answers.shown(session, question)
        if said is not None and said.kind is OutboxKind.STREAM:
            outbox.drop_stream(session, said)
            self._said()


def _quoted(task: _Task, match: Match, mode: AnswerMode, source: str | None) -> Reply:
    return Reply(
        match.answer, mode, task.release, task.adapter, match.similarity, match, source=source
    )


def _waited_s(task: _Task) -> float:
    return (now() - task.question.asked_at).total_seconds()


def _failures(event: InboxEvent | None) -> int:
    """How often servers failed at the question, one time after the other."""
    found = re.match(rf"{Later.word}: try (\d+) failed", (event and event.error) or "")
    return int(found[1]) if found else 0


def _id(row: Question | Release | Answer) -> int:
    if row.id is None:
        raise ValueError("the row was not stored yet")
    return row.id


def _similarity(match: Match | None) -> float | None:
    return match.similarity if match else None


def _release_of(session: Session, question: Question) -> Release:
    return releases.for_thread(session, question.team_id, question.channel, question.thread_ts)


def _holds(session: Session, task: _Task, question: Question, reply: Reply) -> bool:
    """Whether the question still reads so, its release still answers, and the example counts."""
    if question.text != task.question.text:
        return False
    if _release_of(session, question).id != task.release.id:
        return False
    if reply.match is None:
        return True
    status = select(Example.status).where(col(Example.id) == reply.match.example_id)
    return session.exec(status).first() == ExampleStatus.LIVE


def _nothing(_: str) -> bool:
    return False


def _whole(completion: Completion) -> str:
    """What the model said, with a mark where it had to stop in the middle."""
    text = completion.text.strip() or NO_WORDS
    return f"{text} {CUT_SHORT}" if completion.finish_reason == "length" else text


def _prompts(text: str, turns: Sequence[Turn], note: Note | None) -> list[list[ChatMessage]]:
    whole = prompt.build(text, thread=turns, note=note)
    return [whole, *(prompt.build(text[:cut]) for cut in CUTS)]
