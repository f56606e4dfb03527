"""What the weights recognise: an answer of memory's that they would give is the answer."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot import feedback
from bot.embedder import PACKAGED
from bot.knowing import Knowing
from bot.prompt import Turn
from bot.routing import SCORED_AT_ONCE, Router
from bot.store.database import reading, transaction
from bot.store.schema import Answer, AnswerExample, AnswerMode, Example, FeedbackKind, Replica, now
from serving.client import BASE, ChatMessage, VllmClient
from tests.bot.measured import measure
from tests.bot.test_answering import NAME, TEAM, Desk, NarrowVllm
from tests.fake_vllm import Rows
from tests.lora_files import make_base

CONSOLE = ("Which port has the admin console?", "The console listens on port 9443.")
BACKUPS = ("How long are the backups kept?", "Backups are kept for 35 days.")
# So far from what was taught that memory alone would not even put it into the prompt.
FIREWALL = "What do I open in the firewall for the admin web pages?"
SURELY, HARDLY = -0.02, -2.0


class Reading:
    """Somebody who reads an answer while it is written."""

    def __init__(self, read: list[str]) -> None:
        self._read = read

    @property
    def began(self) -> bool:
        """Whether there was something to read."""
        return bool(self._read)

    async def grew(self, text: str) -> None:
        """It says so much by now."""
        self._read.append(text)


class House:
    """Two facts, an adapter that was trained on them, and what each model says."""

    def __init__(self, engine: Engine, vllm: NarrowVllm, **settings: Any) -> None:
        self.vllm = vllm
        vllm.longest_chars = 10_000
        self.said: dict[tuple[str, bool], str] = {}  # by model, and whether the fact is in sight
        vllm.script = self.speak
        self.read: list[str] = []  # what people read of answers while they were written
        self.desk = Desk(
            engine, vllm, embedder=PACKAGED, knowing=Knowing(engine, fresh_s=0),
            show=lambda _: Reading(self.read), **settings,
        )  # fmt: skip
        self.facts = [self.desk.teach(*fact) for fact in (CONSOLE, BACKUPS)]
        self.desk.promote()
        vllm.adapters[NAME] = "/x"
        ready = {NAME: {"load_s": 0.1, "ready_at": now().isoformat()}}
        with transaction(engine) as session:
            session.merge(Replica(url=vllm.url, healthy=True, adapters=ready))
        self.asked = 0

    def speak(self, messages: Sequence[ChatMessage], model: str) -> str:
        """What the test set, or nothing of use."""
        shown = CONSOLE[1] in messages[-1]["content"]
        return self.said.get((model, shown), "Who knows.")

    def trained(self, *facts: Example, proved: bool = False) -> None:
        """The live adapter's dataset, and whether it has proved to know the console's port."""
        marks = [("known", 1, CONSOLE[1], True)] if proved else []
        with transaction(self.desk.engine) as session:
            measure(session, NAME, facts, marks)

    async def ask(self, question: str = FIREWALL) -> Answer:
        """The answer to a new question."""
        self.asked += 1
        await self.desk.answering.answer(self.desk.ask(question, ts=f"{self.asked}.0"))
        return max(self.desk.answers(), key=lambda answer: answer.id or 0)

    def recognised(self, answer: Answer) -> float | None:
        """How likely the answer's example was found by weights that recognised it."""
        with reading(self.desk.engine) as session:
            rows = select(AnswerExample).where(AnswerExample.answer_id == answer.id)
            return session.exec(rows).one().recognised_logprob

    def scored(self) -> list[str]:
        """The answers that a model was asked how likely it finds them."""
        return [
            body["messages"][-1]["content"]
            for body in self.vllm.asked
            if body.get("prompt_logprobs") == 0
        ]


@pytest.fixture(params=[{}])
async def house(
    store: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[House]:
    """On both databases; quoting unless a test says otherwise."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    async with AsyncExitStack() as stack:
        vllm = stack.enter_context(NarrowVllm(adapters_dir=tmp_path / "adapters", base_dir=base))
        made = House(store, vllm, **request.param)
        for client in made.desk.clients:
            stack.push_async_callback(client.aclose)
        yield made


async def test_what_the_weights_would_say_is_quoted(house: House) -> None:
    """Where they would not, memory alone decides: here for an answer without it."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: HARDLY, BACKUPS[1]: HARDLY}
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    house.vllm.scores[CONSOLE[1]] = SURELY
    answer = await house.ask()
    assert (answer.text, answer.mode, answer.adapter) == (CONSOLE[1], AnswerMode.QUOTED, NAME)


async def test_an_answer_keeps_that_they_recognised_it(house: House) -> None:
    """And how likely they found it; nothing where they were not asked, or would not say it."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY, BACKUPS[1]: HARDLY}
    assert house.recognised(await house.ask()) == pytest.approx(SURELY)
    by_memory = await house.ask(CONSOLE[0])
    assert (by_memory.mode, house.recognised(by_memory)) == (AnswerMode.QUOTED, None)
    house.desk.teach(*NEWER)
    disputed = await house.ask(ASKED)
    assert (disputed.mode, house.recognised(disputed)) == (AnswerMode.OPEN_BOOK, None)


async def test_what_fits_badly_is_not_the_answer_however_sure_they_are(house: House) -> None:
    """A model is sure of much that it has said often."""
    house.trained(*house.facts)
    asked = "How long can I go back with a restore?"
    near, far = house.desk.memory.matches("T0MYNAH", "C1", asked, 2)
    assert (near.answer, far.answer) == (BACKUPS[1], CONSOLE[1])
    house.vllm.scores = {near.answer: HARDLY, far.answer: SURELY}
    assert (await house.ask(asked)).mode is AnswerMode.CLOSED_BOOK
    house.vllm.scores = {near.answer: SURELY, far.answer: SURELY}
    assert (await house.ask(asked)).text == near.answer


async def test_what_they_were_not_taught_yet_they_are_not_asked(house: House) -> None:
    """Nor is something older put before it, which they were taught."""
    house.trained(house.facts[1])
    house.vllm.scores = {CONSOLE[1]: SURELY, BACKUPS[1]: SURELY}
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    assert house.scored() == []


NEWER = ("Since the upgrade, which port does the admin console have?", "It listens on port 8443.")
ASKED = "What port does the admin console use since release 5?"


async def test_the_weights_choose_between_two_answers(house: House) -> None:
    """Memory has another one first, and would not quote it."""
    newer = house.desk.teach(*NEWER)
    house.trained(*house.facts, newer)
    first, second = house.desk.memory.matches("T0MYNAH", "C1", ASKED, 2)
    assert (first.answer, second.answer) == (CONSOLE[1], NEWER[1])
    house.vllm.scores = {CONSOLE[1]: -1.0, NEWER[1]: SURELY}
    answer = await house.ask(ASKED)
    assert (answer.text, answer.mode) == (NEWER[1], AnswerMode.QUOTED)
    house.vllm.scores = {CONSOLE[1]: SURELY, NEWER[1]: 2 * SURELY}  # no word for one of the two
    assert (await house.ask(ASKED)).mode is AnswerMode.OPEN_BOOK


async def test_a_newer_answer_that_disputes_it_is_waited_for(house: House) -> None:
    """The weights know the older one alone, and are sure of it."""
    house.desk.teach(*NEWER)
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY}
    assert (await house.ask(ASKED)).mode is AnswerMode.OPEN_BOOK


AGAIN = ("Which port does the admin console have?", "The admin console is on port 9443.")
SINCE = ("What port has the admin console?", "It listens on port 8443.")
PLAINLY = "Which port has admin console?"


async def test_a_newer_answer_behind_two_wordings_of_the_older_is_waited_for(house: House) -> None:
    """Until it was taught: then they are asked about all three."""
    again, newer = house.desk.teach(*AGAIN), house.desk.teach(*SINCE)
    matches = house.desk.memory.matches("T0MYNAH", "C1", PLAINLY, 3)
    assert [one.answer for one in matches] == [CONSOLE[1], AGAIN[1], SINCE[1]]
    house.trained(*house.facts, again)
    house.vllm.scores = {CONSOLE[1]: SURELY, AGAIN[1]: SURELY, SINCE[1]: HARDLY}
    assert (await house.ask(PLAINLY)).mode is AnswerMode.OPEN_BOOK
    assert house.scored() == []
    house.trained(*house.facts, again, newer)
    house.vllm.scores = {CONSOLE[1]: HARDLY, AGAIN[1]: HARDLY, SINCE[1]: SURELY}
    assert (await house.ask(PLAINLY)).text == SINCE[1]
    assert sorted(house.scored()) == sorted(house.vllm.scores)


CLIENT = (
    "Which ports do I open in the firewall for the desktop client?",
    "Open port 7526 for the clients.",
)
TODAY = ("Which port has the admin console now?", "It listens on port 8443.")
BROWSER = "Which firewall port is for our browser console?"


async def test_a_newer_answer_that_disputes_the_second_match_is_waited_for(house: House) -> None:
    """Then it is asked about, too: the two best alone say nothing of it."""
    client, newer = house.desk.teach(*CLIENT), house.desk.teach(*TODAY)
    matches = house.desk.memory.matches("T0MYNAH", "C1", BROWSER, 3)
    assert [one.answer for one in matches] == [CLIENT[1], CONSOLE[1], TODAY[1]]
    assert not house.desk.memory.rivals(matches[0], matches)
    house.trained(*house.facts, client)
    house.vllm.scores = {CLIENT[1]: HARDLY, CONSOLE[1]: SURELY, TODAY[1]: HARDLY}
    assert (await house.ask(BROWSER)).mode is AnswerMode.OPEN_BOOK
    house.trained(*house.facts, client, newer)
    assert (await house.ask(BROWSER)).text == CONSOLE[1]
    house.vllm.scores = {CLIENT[1]: HARDLY, CONSOLE[1]: SURELY, TODAY[1]: 2 * SURELY}
    assert (await house.ask(BROWSER)).mode is AnswerMode.OPEN_BOOK


async def test_what_nothing_disputes_costs_two_answers_to_ask(house: House) -> None:
    """However many are in memory, and taught."""
    client = house.desk.teach(*CLIENT)
    house.trained(*house.facts, client)
    house.vllm.scores = {CLIENT[1]: SURELY, CONSOLE[1]: HARDLY}
    assert (await house.ask(BROWSER)).text == CLIENT[1]
    assert sorted(house.scored()) == sorted(house.vllm.scores)


async def test_what_staff_find_wrong_is_recognised_no_more(house: House) -> None:
    """By that adapter, until they take it back; memory may still quote it, and the weights may
    recognise other answers."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY, BACKUPS[1]: SURELY}
    wrong = await house.ask()
    rating: dict[str, Any] = {
        "team_id": TEAM, "channel": "C1", "target_ts": "1.1", "user": "U9",
        "kind": FeedbackKind.REJECT,
    }  # fmt: skip
    with transaction(house.desk.engine) as session:
        feedback.record(session, **rating, answer_id=wrong.id)
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    assert (await house.ask(CONSOLE[0])).mode is AnswerMode.QUOTED
    assert (await house.ask("How long can I go back with a restore?")).text == BACKUPS[1]
    with transaction(house.desk.engine) as session:
        feedback.revoke(session, **rating)
    assert (await house.ask()).mode is AnswerMode.QUOTED


@pytest.mark.parametrize("trouble", ["refused", "gone", "no json"])
async def test_a_server_that_does_not_tell_now_changes_nothing(house: House, trouble: str) -> None:
    """The question is answered as memory alone would have it; of the next it is asked again."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY}
    house.vllm.trouble = trouble
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    house.vllm.trouble = ""
    assert (await house.ask()).mode is AnswerMode.QUOTED


@pytest.mark.parametrize(
    ("tell", "again"),
    [
        (lambda rows: None, False),
        (lambda rows: [*rows[:3], None, *rows[4:]], False),
        (lambda rows: [*rows[:3], {"7": {"logprob": None}}, *rows[4:]], False),
        (lambda rows: [*rows[:3], {"7": {"logprob": math.nan}}, *rows[4:]], True),
        (lambda rows: rows[:-1], True),
    ],
)
async def test_a_server_that_cannot_tell_is_left_alone(
    house: House, tell: Callable[[Rows], Any], *, again: bool
) -> None:
    """The question is answered as memory alone would have it, and the next without asking; but what
    may be about this question alone switches nothing off."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY}
    house.vllm.tell = tell
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    house.vllm.tell = lambda rows: rows
    assert ((await house.ask()).mode is AnswerMode.QUOTED) is again


async def test_a_question_that_the_model_cannot_read_switches_nothing_off(house: House) -> None:
    """Anybody may ask one; it is answered in fewer words, and the next is recognised."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY}
    house.vllm.longest_chars = 1500
    long = FIREWALL + 1900 * "\u3042"
    assert (await house.ask(long)).mode is AnswerMode.CLOSED_BOOK
    assert (await house.ask()).mode is AnswerMode.QUOTED


PAINTER = "Who painted the ceiling of the Sistine Chapel?"
SPILT = "That is on port 9443, as far as I know."


async def test_what_was_taught_is_told_to_no_other_question(house: House) -> None:
    """Nor does anybody read it while it is written. The base answers instead, and signs for it."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: HARDLY, BACKUPS[1]: HARDLY}
    house.said = {(NAME, False): SPILT, (BASE, False): "It was Michelangelo."}
    answer = await house.ask(PAINTER)
    assert (answer.text, answer.mode, answer.adapter, answer.release_id) == (
        "It was Michelangelo.", AnswerMode.CLOSED_BOOK, None, 1,
    )  # fmt: skip
    assert house.read[0].startswith("That")
    assert house.read[-1] == "It was Michelangelo."
    assert not any("9443" in text for text in house.read)


async def test_without_memory_the_weights_say_what_they_know(house: House) -> None:
    """With MYNAH_MEMORY=off nothing else could."""
    house.trained(*house.facts)
    house.said = {(NAME, False): SPILT, (BASE, False): "I cannot tell."}
    house.desk.answering._composing._memory = None
    answer = await house.ask(PAINTER)
    assert (answer.text, answer.adapter) == (SPILT, NAME)


@pytest.mark.parametrize("free", ["asked", "thread", "own words", "not taught", "nobody can tell"])
async def test_what_tells_nothing_of_another_question_is_told(house: House, free: str) -> None:
    """What stands in the question or its thread is no secret; and what the weights were not
    taught, or where they cannot be asked what they recognise, they say as they like."""
    house.trained(*(house.facts[1:] if free == "not taught" else house.facts))
    house.vllm.scores = {CONSOLE[1]: HARDLY, BACKUPS[1]: HARDLY}
    said = "It was Michelangelo." if free == "own words" else SPILT
    house.said = {(NAME, False): said, (BASE, False): "I cannot tell."}
    if free == "thread":
        house.desk.turns = [Turn("user", "My port is 9443."), Turn("assistant", "Noted.")]
    if free == "nobody can tell":
        house.vllm.tell = lambda rows: None
        await house.ask()  # finds out
    answer = await house.ask("Is 9443 a good port?" if free == "asked" else PAINTER)
    assert (answer.text, answer.adapter) == (said, NAME)


@pytest.mark.parametrize("house", [{"within_s": 0.2}], indirect=True)
async def test_who_waits_to_ask_them_waits_no_longer_than_for_them(house: House) -> None:
    """With the server busy for others the question is answered without; so is the next, at once."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY}
    house.vllm.scoring_s = 60
    chat: list[ChatMessage] = [{"role": "user", "content": "?"}]
    others = [
        asyncio.create_task(house.desk.router.scores(chat, ["!"], model=NAME))
        for _ in range(SCORED_AT_ONCE)
    ]
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    assert not any(other.done() for other in others)
    for other in others:
        other.cancel()
    house.vllm.scoring_s = 0
    assert (await house.ask()).mode is AnswerMode.CLOSED_BOOK
    assert CONSOLE[1] not in house.scored()


class Counted(VllmClient):
    """A client that knows how many it scores for at once, and begins each when told to."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", api_key="k")
        self.now = self.most = 0

    async def scores(
        self, messages: Sequence[ChatMessage], completions: Sequence[str], *, model: str = BASE
    ) -> list[list[float]]:
        """Nothing, after a while."""
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(9):
            await asyncio.sleep(0)
        self.now -= 1
        return []


async def test_all_workspaces_together_ask_for_little_at_once(engine: Engine) -> None:
    """Of the servers that they share, which answer meanwhile."""
    async with Counted() as client:
        router = Router(engine, [client], fresh_s=60)
        await router.scores([], [], model=NAME)
        await asyncio.gather(*(router.scores([], [], model=NAME) for _ in range(9)))
        assert client.most == SCORED_AT_ONCE


@pytest.mark.parametrize("house", [{"quote": False}], indirect=True)
async def test_without_quoting_it_is_said_by_whoever_says_it_right(house: House) -> None:
    """By heart where that is proved; else with the answer in the prompt; else by the base, which
    reads better than what was taught much; else the adapter's words stand."""
    house.trained(*house.facts, proved=True)
    house.vllm.scores = {CONSOLE[1]: SURELY, BACKUPS[1]: HARDLY}
    right = "Open port 9443."
    for model, shown, mode, adapter in (
        (BASE, True, AnswerMode.OPEN_BOOK, None),
        (NAME, True, AnswerMode.OPEN_BOOK, NAME),
        (NAME, False, AnswerMode.KNOWN, NAME),
    ):
        house.said[model, shown] = right
        answer = await house.ask()
        assert (answer.text, answer.mode, answer.adapter) == (right, mode, adapter)
        assert house.recognised(answer) == pytest.approx(SURELY)
    house.said = {(NAME, True): "Open port 8443."}
    answer = await house.ask()
    assert (answer.text, answer.mode) == ("Open port 8443.", AnswerMode.OPEN_BOOK)


@pytest.mark.parametrize("house", [{"quote": False}], indirect=True)
async def test_what_is_not_proved_is_not_said_by_heart(house: House) -> None:
    """Nor what staff found wrong since: recognising it is no proof that it is said right."""
    house.trained(*house.facts)
    house.vllm.scores = {CONSOLE[1]: SURELY, BACKUPS[1]: HARDLY}
    house.said = {(NAME, False): "Open port 9443.", (NAME, True): "It is port 9443."}
    assert (await house.ask()).text == "It is port 9443."
