"""Answering: one question, one answer, by the right release, with its receipt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot import examples, feedback, releases
from bot.answering import Answering
from bot.composing import NO_WORDS, TOO_MUCH, Reply
from bot.dispatcher import InLine, Later
from bot.embedder import open_embedder
from bot.knowing import Knowing
from bot.memory import Memory
from bot.prompt import Turn
from bot.recognising import WITHIN_S, Recognising
from bot.routing import Router
from bot.store.database import reading, transaction
from bot.store.schema import (
    Adapter,
    Answer,
    AnswerExample,
    AnswerMode,
    Evaluation,
    Example,
    FeedbackKind,
    InboxEvent,
    OutboxMessage,
    Question,
    Replica,
    Run,
    RunTrigger,
    now,
)
from serving.client import ChatMessage, VllmClient
from tests.fake_vllm import API_KEY, FakeVllm
from tests.lora_files import make_base

TEAM = "T0MYNAH"
NAME = "mynah-0123456789ab"
PORT = "Which port does the console listen on?"


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[FakeVllm]:
    """A stand-in for vLLM that says which model heard what."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    with FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=base) as running:
        yield running


class NarrowVllm(FakeVllm):
    """A server whose context window holds `longest_chars` characters."""

    longest_chars = 700

    async def _chat(self, request: Request) -> Response:
        messages = (await request.json())["messages"]
        if sum(len(message["content"]) for message in messages) > self.longest_chars:
            return JSONResponse({"error": {"message": "longer than the context"}}, 400)
        return await super()._chat(request)


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[NarrowVllm]:
    """A stand-in for a vLLM with a small context window."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    with NarrowVllm(adapters_dir=tmp_path / "adapters", base_dir=base) as running:
        yield running


class Desk:
    """An Answering with its parts, and what a test asks of it."""

    def __init__(
        self,
        engine: Engine,
        *servers: FakeVllm,
        embedder: str = "none",
        knowing: Knowing | None = None,
        within_s: float = WITHIN_S,
        **settings: Any,
    ) -> None:
        self.engine = engine
        self.said = 0
        self.turns: Sequence[Turn] = ()
        self.memory = Memory(engine, open_embedder(embedder))
        self.clients = [VllmClient(server.url, api_key=API_KEY) for server in servers]
        self.router = Router(engine, self.clients, fresh_s=0)
        recognising = None
        if knowing is not None:
            recognising = Recognising(self.memory, self.router, knowing, within_s=within_s)
        self.answering = Answering(
            engine, self.memory, self.router, read_thread=self.read, render=render, said=self.count,
            knowing=knowing, recognising=recognising, **settings,
        )  # fmt: skip
        with transaction(engine) as session:
            releases.ensure_team(session, TEAM)

    async def read(self, question: Question) -> Sequence[Turn]:
        """The thread that the test set."""
        return self.turns

    def count(self) -> None:
        """Something was said."""
        self.said += 1

    def ask(self, text: str, *, ago_s: float = 0, ts: str = "1.0") -> int:
        """Store a question; its id."""
        asked_at = now() - timedelta(seconds=ago_s)
        with transaction(self.engine) as session:
            question = Question(
                team_id=TEAM, channel="C1", thread_ts=ts, ts=ts, user="U1", text=text,
                asked_at=asked_at,
            )  # fmt: skip
            session.add(question)
            session.flush()
            assert question.id is not None
            return question.id

    def answers(self) -> list[Answer]:
        """Every answer."""
        with reading(self.engine) as session:
            return list(session.exec(select(Answer)))

    def outbox(self) -> list[dict[str, Any]]:
        """What is to be said."""
        with reading(self.engine) as session:
            return [row.payload for row in session.exec(select(OutboxMessage))]

    def teach(self, question: str, answer: str) -> Example:
        """Approve an answer."""
        with transaction(self.engine) as session:
            given, _ = feedback.record(
                session, team_id=TEAM, channel="C1", target_ts=question, user="U9",
                kind=FeedbackKind.APPROVE,
            )  # fmt: skip
            assert given.id is not None
            return examples.add(
                session, examples.draft(question, answer), team_id=TEAM, feedback_id=given.id,
                approved_by="U9", sources=[],
            )  # fmt: skip

    def promote(self) -> None:
        """Let v2, with an adapter, answer."""
        with transaction(self.engine) as session:
            adapter = Adapter(
                team_id=TEAM, name=NAME, sha256="0" * 64, path="/x", base_model="b",
                base_sha256="0", rank=8,
            )  # fmt: skip
            run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND)
            session.add_all([adapter, run])
            session.flush()
            assert adapter.id is not None
            assert run.id is not None
            session.add(Evaluation(team_id=TEAM, run_id=run.id, adapter_id=adapter.id, passed=True))
            release = releases.add_candidate(session, TEAM, adapter.id, by="gate")
            releases.promote(session, release, by="gate")


def render(reply: Reply) -> list[dict[str, Any]]:
    """A payload that a test can read."""
    return [{"text": reply.text, "release": reply.release.number, "awaited": reply.awaited}]


Open = Callable[..., Desk]


@pytest.fixture
async def open_desk() -> AsyncIterator[Open]:
    """Makes a Desk; its connections are closed after the test."""
    async with AsyncExitStack() as stack:

        def opened(engine: Engine, *servers: FakeVllm, **settings: Any) -> Desk:
            desk = Desk(engine, *servers, **settings)
            for client in desk.clients:
                stack.push_async_callback(client.aclose)
            return desk

        yield opened


async def test_answer_and_its_message_are_one_transaction(
    store: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """The answer, its receipt and the outbox row are there together, and said once."""
    desk = open_desk(store, vllm)
    await desk.answering.answer(desk.ask(PORT))
    [answer] = desk.answers()
    assert (answer.text, answer.mode) == (f"base heard: {PORT}", AnswerMode.CLOSED_BOOK)
    assert (answer.adapter, answer.confidence) == (None, -0.25)
    assert desk.outbox() == [{"text": f"base heard: {PORT}", "release": 1, "awaited": None}]
    assert desk.said == 1


async def test_answering_again_changes_nothing(
    store: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """A question that has its answer is left alone; two at once make one answer."""
    desk = open_desk(store, vllm)
    vllm.delay_s = 0.2
    question = desk.ask(PORT)
    await asyncio.gather(desk.answering.answer(question), desk.answering.answer(question))
    await desk.answering.answer(question)
    assert len(desk.answers()) == len(desk.outbox()) == 1


async def test_close_match_is_quoted_without_the_model(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """A very close match is the approved answer, word for word; no server is needed."""
    desk = open_desk(engine, vllm)
    example = desk.teach(PORT, "Port 9443.")
    vllm.down()
    await desk.answering.answer(desk.ask(PORT))
    [answer] = desk.answers()
    assert (answer.text, answer.mode) == ("Port 9443.", AnswerMode.QUOTED)
    assert answer.confidence == pytest.approx(1.0)
    with reading(engine) as session:
        [used] = session.exec(select(AnswerExample)).all()
    assert (used.example_id, used.answer_id) == (example.id, answer.id)


async def test_without_quoting_the_match_goes_into_the_prompt(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """With quoting off the approved answer stands in the prompt, and the receipt says so."""
    desk = open_desk(engine, vllm, quote=False)
    desk.teach(PORT, "Port 9443.")
    await desk.answering.answer(desk.ask(PORT))
    assert "Port 9443." in vllm.asked[-1]["messages"][-1]["content"]
    assert [answer.mode for answer in desk.answers()] == [AnswerMode.OPEN_BOOK]


async def test_revoked_while_writing_is_not_used(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """An example that is revoked while its answer is written is not in the answer."""
    desk = open_desk(engine, vllm, quote=False)
    example = desk.teach(PORT, "Port 9443.")
    vllm.delay_s = 0.5
    answering = asyncio.create_task(desk.answering.answer(desk.ask(PORT)))
    await asyncio.sleep(0.25)
    with transaction(engine) as session:
        assert example.feedback_id is not None
        examples.revoke(session, example.feedback_id, "wrong")
    await answering
    [answer] = desk.answers()
    assert (answer.text, answer.mode) == (f"base heard: {PORT}", AnswerMode.CLOSED_BOOK)


async def test_edited_while_writing_is_answered_as_edited(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """The answer is to the words that stand in Slack when it is given."""
    desk = open_desk(engine, vllm)
    vllm.delay_s = 0.5
    question = desk.ask("Wich prot?")
    answering = asyncio.create_task(desk.answering.answer(question))
    await asyncio.sleep(0.25)
    with transaction(engine) as session:
        session.get_one(Question, question).text = PORT
    await answering
    assert [answer.text for answer in desk.answers()] == [f"base heard: {PORT}"]


async def test_no_server_means_later(engine: Engine, vllm: FakeVllm, open_desk: Open) -> None:
    """With every server down the question waits; nothing is stored or said."""
    desk = open_desk(engine, vllm)
    vllm.down()
    with pytest.raises(Later, match="No vLLM server answers"):
        await desk.answering.answer(desk.ask(PORT))
    assert (desk.answers(), desk.outbox(), desk.said) == ([], [], 0)


async def test_nearest_approved_answer_stands_in(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """While nobody answers, but not before that has lasted a while; what fits less well waits, and
    so does everything where quoting is off."""
    desk = open_desk(engine, vllm)
    desk.teach("Which port does the console listen on?", "It listens on 9443.")
    desk.teach("Who waters the garden?", "Anna does so every morning.")
    near, far = "Which port does the web console use?", "Which console has a garden?"
    vllm.down()
    with pytest.raises(InLine):
        await desk.answering.answer(desk.ask(near, ts="1.0"))
    with pytest.raises(InLine):
        await desk.answering.answer(desk.ask(far, ts="2.0", ago_s=10))
    with pytest.raises(InLine):
        await open_desk(engine, vllm, quote=False).answering.answer(
            desk.ask(near, ts="3.0", ago_s=10)
        )
    assert desk.answers() == []
    await desk.answering.answer(desk.ask(near, ts="4.0", ago_s=10))
    [answer] = desk.answers()
    assert (answer.text, answer.mode) == ("It listens on 9443.", AnswerMode.QUOTED_AWAY)
    with reading(engine) as session:
        assert len(session.exec(select(AnswerExample)).all()) == 1


async def test_what_broke_off_once_is_tried_again_first(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """One answer that failed says little of the model; it is tried later each time."""
    desk = open_desk(engine, vllm)
    desk.teach("Which port does the console listen on?", "It listens on 9443.")
    desk.teach("Who waters the garden?", "Anna does so every morning.")
    vllm.fail_status = 500
    event = InboxEvent(team_id=TEAM, event_id="1", kind="question", lane="1")
    waits = []
    for question in ("Why so?", "Which port does the web console use?"):
        event.error, number = None, desk.ask(question, ts=question, ago_s=10)
        for _ in range(2):
            try:
                await desk.answering.answer(number, event)
            except Later as later:
                event.error = f"{later.word}: {later}"
                waits.append((type(later), later.delay_s))
    assert waits == [(Later, 1), (Later, 2), (Later, 1)]
    assert [answer.mode for answer in desk.answers()] == [AnswerMode.QUOTED_AWAY]


@pytest.mark.parametrize("status", [401, 403])
async def test_wrong_key_means_later(
    engine: Engine, vllm: FakeVllm, open_desk: Open, status: int
) -> None:
    """A server that does not take the key says nothing about the question: it waits."""
    desk = open_desk(engine, vllm)
    vllm.fail_status = status
    with pytest.raises(Later, match="No vLLM server answers"):
        await desk.answering.answer(desk.ask(PORT))
    assert (desk.answers(), desk.outbox()) == ([], [])


async def test_adapter_is_waited_for_then_the_base_answers(
    engine: Engine, vllm: FakeVllm, open_desk: Open
) -> None:
    """A release that is nowhere ready is waited for; after a minute the base answers."""
    desk = open_desk(engine, vllm)
    desk.promote()
    with pytest.raises(Later, match="release v2 is not ready"):
        await desk.answering.answer(desk.ask("Soon?", ts="1.0"))
    await desk.answering.answer(desk.ask("Now?", ts="2.0", ago_s=61))
    assert desk.outbox() == [{"text": "base heard: Now?", "release": 1, "awaited": 2}]
    [answer] = desk.answers()
    assert answer.adapter is None


async def test_replica_that_lost_the_adapter_is_passed_over(
    engine: Engine, vllm: FakeVllm, open_desk: Open, tmp_path: Path
) -> None:
    """A stale row leads to a server that does not know the adapter: the next one is asked."""
    with FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=tmp_path / "base") as other:
        desk = open_desk(engine, vllm, other)
        desk.promote()
        other.adapters[NAME] = "/x"
        ready = {NAME: {"load_s": 0.1, "ready_at": "2026-01-01T00:00:00+00:00"}}
        with transaction(engine) as session:
            session.add(Replica(url=vllm.url, healthy=True, adapters=ready))
        await desk.answering.answer(desk.ask(PORT))
    assert [answer.text for answer in desk.answers()] == [f"{NAME} heard: {PORT}"]
    assert len(vllm.asked) == 1


async def test_no_words_are_said_as_such(engine: Engine, vllm: FakeVllm, open_desk: Open) -> None:
    """A model that says nothing does not make an empty message."""
    vllm.script = lambda messages, model: "  "
    desk = open_desk(engine, vllm)
    await desk.answering.answer(desk.ask(PORT))
    assert [answer.text for answer in desk.answers()] == [NO_WORDS]


async def test_prompt_that_is_too_long_is_shortened(
    engine: Engine, narrow: NarrowVllm, open_desk: Open
) -> None:
    """A refused prompt is tried again without the thread and with less of the question."""

    def size(messages: Sequence[ChatMessage], model: str) -> str:
        return f"{len(messages)} messages, {len(messages[-1]['content'])} characters"

    narrow.script = size
    desk = open_desk(engine, narrow)
    desk.turns = [Turn("user", "x" * 400)] * 6
    await desk.answering.answer(desk.ask("y" * 3000))
    assert [answer.text for answer in desk.answers()] == ["2 messages, 500 characters"]


async def test_prompt_that_is_always_too_long_is_said_so(
    engine: Engine, narrow: NarrowVllm, open_desk: Open
) -> None:
    """When no cut helps, the asker is told, and the question does not wait for ever."""
    narrow.longest_chars = 10
    desk = open_desk(engine, narrow)
    await desk.answering.answer(desk.ask("y" * 3000))
    assert [answer.text for answer in desk.answers()] == [TOO_MUCH]
