"""What the bot says to a question by a release: release → memory → quote or generate.

Nothing is stored here and nothing is posted: `bot.answering` does that with an answer, and
`bot.shadowing` with what a release would have said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, Protocol

from sqlalchemy import Engine
from sqlmodel import select

from bot import prompt
from bot.abstaining import Abstaining, may_begin
from bot.dispatcher import Later
from bot.grounding import says
from bot.knowing import Knowing
from bot.memory import RIVALS, Decision, Match, Memory
from bot.prompt import MAX_QUESTION_CHARS, Note, Turn
from bot.recognising import Recognising
from bot.routing import Grew, NoModel, Router
from bot.store.database import reading
from bot.store.schema import AnswerMode, InboxEvent, Question, Release, now
from bot.waiting import Waiting
from serving import logs, tracing
from serving.client import BASE, ChatMessage, Completion, Refused

log = logging.getLogger(__name__)
# A release whose adapter no replica has yet is waited for this long; then the base answers.
PATIENCE_S = 60.0
NO_WORDS = "I have no answer to this."
TOO_MUCH = "This is too much text for me. Could you ask in a few sentences?"
CUT_SHORT = "[…]"
CUTS = (500, 120)  # characters of the question, when the model refuses a prompt as too long

Use = Decision | Literal["known"]  # known: the weights have proved to say it by themselves


class NotReady(Later):
    """Servers answer, but none has the adapter."""


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
class Task:
    """A question, and the release that is to answer it."""

    question: Question
    release: Release
    adapter: str | None
    event: InboxEvent | None  # its row in the inbox, by which it has its place in line


class Recalled(NamedTuple):
    """The best match, whether it is to be quoted, told, put into the prompt, or known without, and
    the address of the approved message, where the asker may read it."""

    match: Match | None
    use: Use
    source: str | None


ReadThread = Callable[[Question], Awaitable[Sequence[Turn]]]
Cite = Callable[[Question, Match], Awaitable[str | None]]
Spills = Callable[[str], bool]  # whether a text tells what was taught for another question


class Show(Protocol):
    """Shows an answer while it is written; it never takes long, and never fails, unless nobody
    reads on (`bot.routing.Enough`)."""

    @property
    def began(self) -> bool:
        """Whether people may have read some of it."""

    async def grew(self, text: str) -> None:
        """The answer says so much by now; less than before when it was begun anew."""


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


class Composing:
    """Finds the words of an answer.

    Args:
        show: shows them while they are written.
        promise: what is said in the place of an answer that is not sure; None: all are given.
        patience_s: with infinity the base never answers in the place of a missing adapter.
    """

    def __init__(
        self,
        engine: Engine,
        memory: Memory | None,
        router: Router,
        *,
        read_thread: ReadThread,
        cite: Cite | None = None,
        show: Callable[[Question], Show] | None = None,
        abstaining: Abstaining | None = None,
        promise: Callable[[Question], str] | None = None,
        knowing: Knowing | None = None,
        recognising: Recognising | None = None,
        waiting: Waiting | None = None,
        quote: bool = True,
        max_tokens: int = 256,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._engine = engine
        self._memory = memory
        self._router = router
        self._read_thread = read_thread
        self._cite = cite
        self._show = show
        self._abstaining = abstaining
        self._promise = promise
        self._knowing = knowing
        self._recognising = recognising
        self._waiting = waiting
        self._quote = quote
        self._max_tokens = max_tokens
        self._patience_s = patience_s

    async def recall(self, task: Task) -> Recalled:
        """What memory has to say to the question."""
        with tracing.span("recall"):
            match, use = await self._matched(task)
        logs.note(memory=use)
        if match is None or use == "none" or self._cite is None:
            return Recalled(match, use, None)
        return Recalled(match, use, await self._cite(task.question, match))

    async def write(self, task: Task, recalled: Recalled) -> Reply:
        """What is quoted, or what a model says, when it is the question's turn.

        Raises:
            NoServer, Busy: no model can answer now.
            Later: no server has the release's adapter.
        """
        match, use, source = recalled
        if match is not None and use == "quote":
            return quoted(task, match, AnswerMode.QUOTED, source)
        if self._waiting is not None and task.event is not None:
            await asyncio.to_thread(self._waiting.join, task.event)
        if match is None or use == "none":
            return await self._generate(task, None)
        if use == "hint":
            return replace(await self._generate(task, None), hint=source)
        said = await self._in_own_words(task, match, use) if use in ("known", "told") else None
        return replace(said or await self._generate(task, match), source=source)

    async def _matched(self, task: Task) -> tuple[Match | None, Use]:
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

    async def _in_own_words(self, task: Task, match: Match, use: Use) -> Reply | None:
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

    async def _knows(self, task: Task, match: Match) -> bool:
        if self._knowing is None:
            return False
        return await asyncio.to_thread(self._knowing.knows, task.adapter, match)

    async def _checked(
        self, task: Task, match: Match, turns: Sequence[Turn], note: Note | None = None
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

    async def _generate(self, task: Task, match: Match | None) -> Reply:
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
        if self._abstaining is None or self._promise is None:
            return reply
        needed = self._abstaining.missed(
            question.team_id, reply.mode, reply.confidence, _similarity(reply.match)
        )
        if needed is None:
            return reply
        words = self._promise(question)
        return replace(reply, text=words, mode=AnswerMode.UNSURE, needed=needed)

    async def _ask(
        self, task: Task, turns: Sequence[Turn], note: Note | None, growing: _Growing | None
    ) -> tuple[Completion, bool]:
        """The completion, and whether the base stood in for the release's adapter."""
        prompts = _prompts(task.question.text, turns, note)
        grew = growing.grew if growing else None
        try:
            return await self._complete(prompts, task.adapter or BASE, grew), False
        except NoModel as error:
            waited = waited_s(task)
            if task.adapter is None or waited < self._patience_s:
                why = f"release v{task.release.number} is not ready"
                raise NotReady(why, max(1.0, waited / 8)) from error
        try:
            return await self._complete(prompts, BASE, grew), True
        except NoModel as error:
            raise NotReady(str(error)) from error

    async def _spilling(self, task: Task, turns: Sequence[Turn]) -> Spills:
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


def quoted(task: Task, match: Match, mode: AnswerMode, source: str | None) -> Reply:
    """The approved answer, word for word."""
    return Reply(
        match.answer, mode, task.release, task.adapter, match.similarity, match, source=source
    )


def waited_s(task: Task) -> float:
    """How long ago it was asked, in seconds."""
    return (now() - task.question.asked_at).total_seconds()


def _similarity(match: Match | None) -> float | None:
    return match.similarity if match else None


def _nothing(_: str) -> bool:
    return False


def _whole(completion: Completion) -> str:
    """What the model said, with a mark where it had to stop in the middle."""
    text = completion.text.strip() or NO_WORDS
    return f"{text} {CUT_SHORT}" if completion.finish_reason == "length" else text


def _prompts(text: str, turns: Sequence[Turn], note: Note | None) -> list[list[ChatMessage]]:
    whole = prompt.build(text, thread=turns, note=note)
    return [whole, *(prompt.build(text[:cut]) for cut in CUTS)]
