"""Two speeds: what the weights have proved to know leaves the prompt, and comes back in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlmodel import select

from bot import feedback, releases
from bot.knowing import Knowing
from bot.memory import Match
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerExample,
    AnswerMode,
    FeedbackKind,
    Replica,
    now,
)
from serving.client import ChatMessage
from tests.bot.measured import measure
from tests.bot.released import promoted
from tests.bot.test_answering import NAME, PORT, TEAM, Desk
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base

FACT = "The console listens on port 9443."
RIGHT = [("known", 1, FACT, True)]


class Speaker:
    """Says what the test sets by heart, and the fact where it stands in the prompt."""

    by_heart = "It is port 9443."

    def __call__(self, messages: Sequence[ChatMessage], model: str) -> str:
        return FACT if _in_prompt(messages) else self.by_heart


def _in_prompt(messages: Sequence[ChatMessage]) -> bool:
    return FACT in messages[-1]["content"]


class House:
    """A desk that does not quote, an adapter that is live and loaded, and one taught fact."""

    def __init__(self, engine: Engine, vllm: FakeVllm) -> None:
        self.vllm, self.speaker = vllm, Speaker()
        vllm.script = self.speaker
        self.desk = Desk(engine, vllm, quote=False, knowing=Knowing(engine, fresh_s=0))
        self.fact = self.desk.teach(PORT, FACT)
        self.desk.promote()
        self.serve(NAME)
        self.asked = 0

    def serve(self, *names: str) -> None:
        """Have the server serve these adapters."""
        self.vllm.adapters.update(dict.fromkeys(names, "/x"))
        ready = {name: {"load_s": 0.1, "ready_at": now().isoformat()} for name in names}
        with transaction(self.desk.engine) as session:
            session.merge(Replica(url=self.vllm.url, healthy=True, adapters=ready))

    def measured(self, *marks: tuple[str, int, str, bool], enough: bool = True) -> None:
        """The adapter was asked so."""
        with transaction(self.desk.engine) as session:
            measure(session, NAME, [self.fact], marks or RIGHT, enough=enough)

    async def ask(self) -> tuple[AnswerMode, list[bool]]:
        """How the same question is answered, and whether each prompt had the fact in it."""
        before, self.asked = len(self.vllm.asked), self.asked + 1
        await self.desk.answering.answer(self.desk.ask(PORT, ts=f"{self.asked}.0"))
        prompts = [_in_prompt(request["messages"]) for request in self.vllm.asked[before:]]
        return self.newest().mode, prompts

    def newest(self) -> Answer:
        """The last answer."""
        return max(self.desk.answers(), key=lambda answer: answer.id or 0)


@pytest.fixture
async def house(store: Engine, tmp_path: Path) -> AsyncIterator[House]:
    """On both databases."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    async with AsyncExitStack() as stack:
        vllm = stack.enter_context(FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=base))
        made = House(store, vllm)
        for client in made.desk.clients:
            stack.push_async_callback(client.aclose)
        yield made


KNOWN, OPEN = (AnswerMode.KNOWN, [False]), (AnswerMode.OPEN_BOOK, [True])


async def test_what_is_proved_leaves_the_prompt_and_stands_in_the_receipt(house: House) -> None:
    """Before the proof it is in the prompt; with it the weights answer alone, and the answer still
    names the example."""
    assert await house.ask() == OPEN
    house.measured()
    assert await house.ask() == KNOWN
    answer = house.newest()
    assert (answer.text, answer.adapter, answer.confidence) == ("It is port 9443.", NAME, -0.25)
    with reading(house.desk.engine) as session:
        rows = select(AnswerExample).where(AnswerExample.answer_id == answer.id)
        assert [used.example_id for used in session.exec(rows)] == [house.fact.id]


async def test_too_little_to_tell_of_all_tells_of_one(house: House) -> None:
    """An evaluation without a verdict is evidence for each fact that it asked for."""
    house.measured(enough=False)
    assert await house.ask() == KNOWN


@pytest.mark.parametrize(
    "by_heart",
    ["It is port 8443.", "I am not sure.", "Port 9443 of the Gateway.", "It never uses port 9443."],
)
async def test_what_is_not_said_by_heart_goes_into_the_prompt(house: House, by_heart: str) -> None:
    """What contradicts the approved answer, or does not say it, is never given: the model is asked
    again with the approved answer."""
    house.measured()
    house.speaker.by_heart = by_heart
    assert await house.ask() == (AnswerMode.OPEN_BOOK, [False, True])
    assert house.newest().text == FACT


async def test_a_later_adapter_that_forgot_it_has_it_in_the_prompt(house: House) -> None:
    """At once after the promotion, and no longer after the roll back."""
    house.measured()
    house.serve(NAME, "mynah-forgetful")
    with transaction(house.desk.engine) as session:
        promoted(session, "mynah-forgetful")
        measure(session, "mynah-forgetful", [house.fact], [("known", 1, FACT, False)])
    assert await house.ask() == OPEN
    with transaction(house.desk.engine) as session:
        releases.roll_back(session, TEAM, by="U0ADMIN")
    assert await house.ask() == KNOWN


async def test_the_base_knows_nothing(house: House) -> None:
    """Rolled back to the base, what was learned is in the prompt."""
    house.measured()
    with transaction(house.desk.engine) as session:
        releases.roll_back(session, TEAM, by="U0ADMIN")
    assert await house.ask() == OPEN


async def test_a_new_answer_to_the_same_question_is_not_known(house: House) -> None:
    """Whatever the weights knew of the old one."""
    house.measured()
    house.desk.teach(f"{PORT} ", f"{FACT} It was 8443 before.")
    assert await house.ask() == OPEN


async def test_measured_again_the_newest_evaluation_counts(house: House) -> None:
    """Also where it proves less."""
    house.measured()
    assert await house.ask() == KNOWN
    house.measured(("known", 1, FACT, True), ("wording", 1, FACT, False))
    assert await house.ask() == OPEN


async def test_what_staff_find_wrong_is_known_no_more(house: House) -> None:
    """Until they take it back: what was thought to be known is in the prompt again."""
    house.measured()
    await house.ask()
    rating: dict[str, Any] = {
        "team_id": TEAM, "channel": "C1", "target_ts": "1.1", "user": "U9",
        "kind": FeedbackKind.REJECT,
    }  # fmt: skip
    with transaction(house.desk.engine) as session:
        feedback.record(session, **rating, answer_id=house.newest().id)
    assert await house.ask() == OPEN
    with transaction(house.desk.engine) as session:
        feedback.revoke(session, **rating)
    assert await house.ask() == KNOWN


async def test_a_close_match_is_quoted_all_the_same(house: House) -> None:
    """Knowing changes what is generated, never what is quoted."""
    house.measured()
    house.desk.answering._composing._quote = True
    assert await house.ask() == (AnswerMode.QUOTED, [])


def test_the_proof_is_read_once_for_many_questions(engine: Engine) -> None:
    """Within a minute no further question costs a query."""
    match = Match(1, PORT, FACT, 1.0, "U9")
    queries: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: queries.append(args[2]))
    knowing = Knowing(engine)
    assert not knowing.knows(NAME, match)
    once = len(queries)
    assert once > 0
    assert not any(knowing.knows(NAME, match) for _ in range(5))
    assert not knowing.knows(None, match)
    assert len(queries) == once


def test_what_is_no_longer_asked_for_is_not_kept(engine: Engine) -> None:
    """One adapter after the other goes live: a process that lives long keeps the proof of few."""
    match = Match(1, PORT, FACT, 1.0, "U9")
    knowing = Knowing(engine, fresh_s=0)
    for number in range(9):
        knowing.knows(f"mynah-{number}", match)
    assert len(knowing._kept) == 1
