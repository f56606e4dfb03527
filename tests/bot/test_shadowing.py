"""The shadow: a release that answers what was answered already, for the record alone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import audit, deciding, examples, inbox, rebasing, releases, shadow_report, shadowing
from bot.abstaining import Abstaining
from bot.answering import Answering
from bot.composing import Composing, Reply
from bot.dispatcher import Later
from bot.embedder import open_embedder
from bot.memory import Match, Memory
from bot.prompt import Turn
from bot.releases import NoShadow, NoSuchRelease, OtherBase, ReleaseError
from bot.routing import Router
from bot.shadowing import ENDED, LEARNED, MISSING, OLD, Shadowing
from bot.sparing import SpareTime, Wanted
from bot.store import rollouts, shadows
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Audit,
    ChannelKind,
    Example,
    Feedback,
    FeedbackKind,
    InboxEvent,
    OutboxMessage,
    Question,
    RolloutAction,
    ServedBase,
    ShadowAnswer,
    Status,
    now,
)
from serving.client import BASE, ChatMessage, VllmClient
from tests.bot.released import candidate, made_adapter, promoted
from tests.bot.slack.house import until
from tests.bot.slack.waiting import passed
from tests.bot.taught import teach
from tests.bot.threads import Threads
from tests.fake_vllm import API_KEY, FakeVllm
from tests.lora_files import make_base
from tests.stores import TEAM

SHADOW = "mynah-shadow"
PORT = "Which port does the console listen on?"
SAID = "The console listens on port 9443."


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[FakeVllm]:
    """A stand-in for vLLM that says which model heard what."""
    (tmp_path / "adapters").mkdir()
    base = make_base(tmp_path / "base")
    with FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=base) as running:
        yield running


class Desk:
    """Answering and shadowing over one store, with v1 live and v2 the shadow."""

    def __init__(self, engine: Engine, client: VllmClient) -> None:
        self.engine = engine
        self.memory = Memory(engine, open_embedder("none"))
        self.spare = SpareTime()
        self.router = router = Router(engine, [client], fresh_s=0)
        self.answering = Answering(
            engine, self.memory, router, read_thread=alone, render=shown, said=lambda: None,
            spare=self.spare,
        )  # fmt: skip
        composing = Composing(
            engine, self.memory, router, read_thread=alone, promise=lambda _: "",
            abstaining=Abstaining(engine), patience_s=math.inf,
        )  # fmt: skip
        self.shadowing = Shadowing(engine, composing, self.spare)
        with transaction(engine) as session:
            releases.ensure_team(session, TEAM)
            candidate(session, SHADOW)
            releases.start_shadow(session, TEAM, 2, by="U0ADMIN")

    async def ask(self, text: str, ts: str = "1.0") -> int:
        """A question that is answered; its id."""
        with transaction(self.engine) as session:
            question = Question(
                team_id=TEAM, channel="C1", thread_ts=ts, ts=ts, user="U1", text=text
            )
            session.add(question)
            session.flush()
            number = question.id or 0
        await self.answering.answer(number)
        return number

    def never_quote(self) -> None:
        """As with MYNAH_QUOTE=off."""
        for one in (self.answering._composing, self.shadowing._composing):
            one._quote = False

    def events(self) -> list[InboxEvent]:
        """What waits for the shadow."""
        with reading(self.engine) as session:
            return list(session.exec(select(InboxEvent).order_by(col(InboxEvent.id))))

    async def work(self) -> None:
        """Handle what waits."""
        for event in self.events():
            await self.shadowing.handle(event)

    def recorded(self) -> list[ShadowAnswer]:
        """What the shadow said, or why it did not."""
        with reading(self.engine) as session:
            return list(session.exec(select(ShadowAnswer).order_by(col(ShadowAnswer.id))))


async def alone(question: Question) -> Sequence[Turn]:
    """No question has a thread."""
    return ()


def shown(reply: Reply) -> list[dict[str, str]]:
    """A payload that a test can read."""
    return [{"text": reply.text}]


@pytest.fixture
async def desk(store: Engine, vllm: FakeVllm) -> AsyncIterator[Desk]:
    """A desk whose server has the shadow's adapter."""
    vllm.adapters[SHADOW] = "/nowhere"
    async with AsyncExitStack() as stack:
        client = VllmClient(vllm.url, api_key=API_KEY)
        stack.push_async_callback(client.aclose)
        yield Desk(store, client)


# Which release is the shadow.


def test_a_release_that_never_passed_may_be_the_shadow(store: Engine) -> None:
    """It is a row with share 0, loaded everywhere, kept, and written down; it answers nobody."""
    with transaction(store) as session:
        promoted(session, "mynah-live")
        refused = candidate(session, SHADOW)
        releases.discard(session, refused, by="gate")
        releases.start_shadow(session, TEAM, 3, by="U0ADMIN")
        assert releases.shadow(session, TEAM) == refused
        names = {one.name for one in releases.desired_adapters(session)}
        assert names == {"mynah-live", SHADOW}
        assert releases.live(session, TEAM).number == 2
        assert releases.canary(session, TEAM) is None
        assert releases.for_thread(session, TEAM, "C1", "1.0").number == 2
        row = rollouts.shadow_row(session, TEAM)
        assert row is not None
        assert (row.action, row.share, row.by) == (RolloutAction.SHADOW, 0, "U0ADMIN")
        assert "release.shadow" in [one.action for one in session.exec(select(Audit))]
        view = releases.history(session, TEAM)[0]
        assert (view.action, view.shadow) == (RolloutAction.DISCARD, True)
        releases.end_shadow(session, TEAM, by="U0ADMIN")
        assert releases.shadow(session, TEAM) is None
        assert {one.name for one in releases.desired_adapters(session)} == {"mynah-live"}


def test_what_answers_people_is_no_shadow(store: Engine) -> None:
    """Nor is what nobody knows, what is one already, what fits another base, and what is gone."""
    with transaction(store) as session:
        promoted(session, "mynah-live")
        promoted(session, "mynah-canary", share=0.5)
        for name in (SHADOW, "mynah-gone"):
            candidate(session, name)
        candidate(session, "mynah-other", base_sha256="f" * 64)
        session.add(ServedBase(model="base", sha256="0"))
        session.flush()
        releases.start_shadow(session, TEAM, 4, by="U0ADMIN")
        audit.record(session, TEAM, "mynah", audit.FILES_REMOVED, "adapter:mynah-gone")
        session.flush()
        wrong: dict[int, tuple[type[ReleaseError], str]] = {
            2: (NoShadow, "v2 is live already"),
            3: (NoShadow, "v3 is the canary already"),
            4: (NoShadow, "v4 is the shadow already"),
            5: (NoShadow, "the files of v5 were removed"),
            6: (OtherBase, "v6 was trained on"),
            7: (NoSuchRelease, "there is no release v7"),
        }
        for number, (kind, words) in wrong.items():
            with pytest.raises(kind, match=words):
                releases.start_shadow(session, TEAM, number, by="U0ADMIN")


def test_one_shadow_at_a_time(store: Engine) -> None:
    """The next one takes its place; without one there is nothing to end."""
    with transaction(store) as session:
        candidate(session, "mynah-a")
        candidate(session, "mynah-b")
        for number in (2, 3):
            releases.start_shadow(session, TEAM, number, by="U0ADMIN")
        found = releases.shadow(session, TEAM)
        assert found is not None
        assert found.number == 3
        releases.end_shadow(session, TEAM, by="U0ADMIN")
        with pytest.raises(NoShadow):
            releases.end_shadow(session, TEAM, by="U0ADMIN")


@pytest.mark.parametrize("how", ["promote", "canary", "discard"])
def test_what_waits_goes_on_waiting_in_the_shadow(store: Engine, how: str) -> None:
    """Shadowing decides nothing; the admin's decision, whichever, ends it."""
    with transaction(store) as session:
        releases.ensure_team(session, TEAM)
        passed(session)
        releases.start_shadow(session, TEAM, 2, by="U0ADMIN")
        one = deciding.waiting(session, TEAM)
        assert one is not None
        assert one.release in rollouts.open_candidates(session, TEAM)
        if how == "discard":
            deciding.discard(session, one, by="U0ADMIN")
        else:
            share = 0.5 if how == "canary" else 1
            deciding.promote(session, one, by="U0ADMIN", share=share)
        assert releases.shadow(session, TEAM) is None


def test_ending_it_leaves_the_release_as_it_was(store: Engine) -> None:
    """What waits can still be promoted, and what was live be rolled back to."""
    with transaction(store) as session:
        promoted(session, "mynah-old")
        promoted(session, "mynah-live")
        passed(session)
        for number in (2, 4):
            releases.start_shadow(session, TEAM, number, by="U0ADMIN")
            releases.end_shadow(session, TEAM, by="U0ADMIN")
        one = deciding.waiting(session, TEAM)
        assert one is not None
        deciding.promote(session, one, by="U0ADMIN")
        releases.roll_back(session, TEAM, by="U0ADMIN", number=2)
        assert releases.live(session, TEAM).number == 2


def test_another_base_ends_it(store: Engine) -> None:
    """It cannot be loaded any more."""
    with transaction(store) as session:
        shadow = candidate(session, SHADOW)
        releases.discard(session, shadow, by="gate")
        releases.start_shadow(session, TEAM, 2, by="U0ADMIN")
        session.add(ServedBase(model="new", sha256="f" * 64))
        session.flush()
        rebasing.settle(session, TEAM, admin_channel="")
        assert releases.shadow(session, TEAM) is None


# What it says.


async def test_the_shadow_says_what_it_would_have_said(desk: Desk, vllm: FakeVllm) -> None:
    """By its own adapter, beside the answer that was shown; nothing more is to be posted."""
    number = await desk.ask(PORT)
    [before] = desk.recorded()
    assert (before.text, before.mode) == ("", None)
    await desk.work()
    [row] = desk.recorded()
    assert row.text == f"{SHADOW} heard: {PORT}"
    assert (row.question_id, row.adapter, row.mode) == (number, SHADOW, AnswerMode.CLOSED_BOOK)
    assert row.confidence == -0.25
    with reading(desk.engine) as session:
        answer = session.get_one(Answer, row.answer_id)
        assert answer.text == f"{BASE} heard: {PORT}"
        assert session.get_one(type(answer), row.answer_id).question_id == number
        [said] = session.exec(select(OutboxMessage))
    assert said.payload["text"] == answer.text


async def test_delivered_twice_it_is_recorded_once(desk: Desk, vllm: FakeVllm) -> None:
    """What another holder recorded meanwhile stands, and a row that was handled asks nobody."""
    await desk.ask(PORT)
    [event] = desk.events()

    def script(messages: Sequence[ChatMessage], model: str) -> str:
        with transaction(desk.engine) as session:
            row = session.exec(select(ShadowAnswer)).one()
            row.text, row.mode = "by another holder", AnswerMode.CLOSED_BOOK
        return "by this one"

    vllm.script = script
    await desk.shadowing.handle(event)
    assert [row.text for row in desk.recorded()] == ["by another holder"]
    asked = len(vllm.asked)
    await desk.shadowing.handle(event)
    assert len(vllm.asked) == asked


async def test_what_memory_quotes_is_not_asked_again(desk: Desk, vllm: FakeVllm) -> None:
    """It would say the same by whichever release: nothing is recorded."""
    teach(desk.engine, desk.memory, PORT, SAID)
    await desk.ask(PORT)
    assert (desk.events(), desk.recorded(), vllm.asked) == ([], [], [])


async def test_it_uses_memory_as_the_bot_does(desk: Desk, vllm: FakeVllm) -> None:
    """An approved answer that is near goes into its prompt, and is named."""
    known = teach(desk.engine, desk.memory, PORT, SAID)
    desk.never_quote()
    await desk.ask(PORT)
    await desk.work()
    [row] = desk.recorded()
    assert (row.mode, row.example_id) == (AnswerMode.OPEN_BOOK, known.id)
    by_shadow = [one for one in vllm.asked if one["model"] == SHADOW]
    assert SAID in str(by_shadow[0]["messages"])


async def test_what_it_is_not_sure_of_is_kept_nowhere(desk: Desk, vllm: FakeVllm) -> None:
    """As with answers that people get."""
    await desk.ask(PORT)
    vllm.logprob = -5
    await desk.work()
    [row] = desk.recorded()
    assert (row.mode, row.text) == (AnswerMode.UNSURE, "")


async def test_the_base_never_speaks_for_a_missing_adapter(desk: Desk, vllm: FakeVllm) -> None:
    """However long ago it was asked: it is dropped, and not tried again."""
    await desk.ask(PORT)
    with transaction(desk.engine) as session:
        session.exec(select(Question)).one().asked_at -= timedelta(minutes=5)
    del vllm.adapters[SHADOW]
    asked = len([one for one in vllm.asked if one["model"] == BASE])
    await desk.work()
    [row] = desk.recorded()
    assert (row.dropped, row.text, row.mode) == (MISSING, "", None)
    assert len([one for one in vllm.asked if one["model"] == BASE]) == asked


async def test_what_is_too_old_is_dropped(desk: Desk, vllm: FakeVllm) -> None:
    """Without asking anybody."""
    await desk.ask(PORT)
    with transaction(desk.engine) as session:
        session.exec(select(InboxEvent)).one().received_at -= timedelta(minutes=16)
    await desk.work()
    assert [row.dropped for row in desk.recorded()] == [OLD]
    assert [one["model"] for one in vllm.asked] == [BASE]


async def test_what_comes_after_the_end_is_dropped(desk: Desk, vllm: FakeVllm) -> None:
    """Whether it ended before the shadow was asked or while it answered."""
    await desk.ask(PORT)
    await desk.ask("And the second one?", ts="2.0")
    first, second = desk.events()
    while_asked = iter([True])

    def script(messages: Sequence[ChatMessage], model: str) -> str:
        if next(while_asked, False):
            with transaction(desk.engine) as session:
                releases.end_shadow(session, TEAM, by="U0ADMIN")
        return "late"

    vllm.script = script
    for event in (first, second):
        await desk.shadowing.handle(event)
    assert [row.dropped for row in desk.recorded()] == [ENDED, ENDED]


async def test_a_correction_of_the_answer_is_no_source_for_the_shadow(desk: Desk) -> None:
    """What memory has learned since the other one was given would not be a fair comparison."""
    await desk.ask(PORT)
    teach(desk.engine, desk.memory, PORT, SAID)
    await desk.work()
    assert [(row.text, row.dropped) for row in desk.recorded()] == [("", LEARNED)]


async def test_questions_come_first(desk: Desk, vllm: FakeVllm) -> None:
    """A question that comes while the shadow answers breaks it off; later it answers anew."""
    await desk.ask(PORT)
    [event] = desk.events()
    with desk.spare.taken(), pytest.raises(Later):
        await desk.shadowing.handle(event)
    vllm.token_delay_s = 5
    at_it = asyncio.create_task(desk.shadowing.handle(event))
    await until(lambda: len(vllm.asked) == 2)
    vllm.token_delay_s = 0
    await desk.ask("And the second one?", ts="2.0")
    with pytest.raises(Later):
        await at_it
    await desk.work()
    assert [row.dropped for row in desk.recorded()] == [None, None]
    assert [row.adapter for row in desk.recorded()] == [SHADOW, SHADOW]


async def test_servers_that_are_away_are_waited_for(desk: Desk, vllm: FakeVllm) -> None:
    """Nothing is dropped for that alone."""
    await desk.ask(PORT)
    vllm.down()
    with pytest.raises(Later):
        await desk.work()
    vllm.up()
    vllm.adapters[SHADOW] = "/nowhere"
    await until(lambda: not desk.router.is_away)
    await desk.work()
    assert [row.text for row in desk.recorded()] == [f"{SHADOW} heard: {PORT}"]


async def test_servers_that_fail_at_it_are_left_alone_for_longer_each_time(
    desk: Desk, vllm: FakeVllm
) -> None:
    """They would answer nobody else while they are."""
    await desk.ask(PORT)
    [event] = desk.events()
    vllm.fail_status = 500
    waits = []
    for event.attempts in (1, 4, 40):
        with pytest.raises(Later) as later:
            await desk.shadowing.handle(event)
        waits.append(later.value.delay_s)
    assert waits == [4.0, 32.0, 300.0]


async def test_a_thread_that_cannot_be_read_is_waited_for(desk: Desk, vllm: FakeVllm) -> None:
    """Trouble with Slack is no missing adapter."""

    async def away(question: Question) -> Sequence[Turn]:
        raise Later("Slack is away")

    await desk.ask(PORT)
    desk.shadowing._composing._read_thread = away
    with pytest.raises(Later, match="Slack"):
        await desk.work()
    desk.shadowing._composing._read_thread = alone
    await desk.work()
    assert [row.adapter for row in desk.recorded()] == [SHADOW]


async def test_another_row_of_the_same_number_is_left_alone(desk: Desk) -> None:
    """SQLite gives the number of what was forgotten out again: to another question's, maybe."""
    await desk.ask(PORT)
    await desk.ask("And the second one?", ts="2.0")
    first, _ = desk.events()
    with transaction(desk.engine) as session:
        gone, other = session.exec(select(ShadowAnswer).order_by(col(ShadowAnswer.id))).all()
        number, values = gone.id, other.model_dump()
        session.delete(gone)
        session.delete(other)
        session.flush()
        session.add(ShadowAnswer(**{**values, "id": number}))
    await desk.shadowing.handle(first)
    assert [(row.mode, row.text) for row in desk.recorded()] == [(None, "")]


async def test_a_row_that_always_fails_is_given_up(desk: Desk) -> None:
    """The record says so, and nothing waits any more."""
    await desk.ask(PORT)
    [event] = desk.events()
    with transaction(desk.engine) as session:
        shadowing.give_up(session, event)
    assert [row.dropped for row in desk.recorded()] == [shadowing.BROKEN]


@pytest.mark.parametrize("made", [True, False])
@pytest.mark.parametrize("ts", ["1.0", "1.5"])
async def test_forgotten_with_the_question_or_the_answer(desk: Desk, ts: str, made: bool) -> None:
    """The words go, and what was not made yet is not made any more."""
    await desk.ask(PORT)
    if made:
        await desk.work()
    with transaction(desk.engine) as session:
        session.exec(select(Answer)).one().ts = "1.5"
        session.flush()
        shadows.forget_message(session, TEAM, "C1", ts)
    await desk.work()
    assert desk.recorded() == []


async def test_forgotten_with_the_message_that_taught_it(desk: Desk) -> None:
    """What it said from an approved answer goes with that."""
    known = teach(desk.engine, desk.memory, PORT, SAID)
    desk.never_quote()
    await desk.ask(PORT)
    await desk.work()
    assert [row.example_id for row in desk.recorded()] == [known.id]
    with transaction(desk.engine) as session:
        given = session.get_one(Feedback, known.feedback_id)
        examples.forget_message(session, TEAM, given.channel, given.target_ts)
    assert desk.recorded() == []


async def test_a_thread_of_the_shadow_itself_is_not_recorded(store: Engine) -> None:
    """A thread that keeps the release would be compared with itself."""
    with transaction(store) as session:
        promoted(session, SHADOW)
        promoted(session, "mynah-live")
        releases.start_shadow(session, TEAM, 2, by="U0ADMIN")
        shadow = releases.shadow(session, TEAM)
        assert shadow is not None
        answer = Threads(session).ask(2)
        question = session.get_one(Question, answer.question_id)
        reply = Reply("So.", AnswerMode.CLOSED_BOOK, shadow, SHADOW, -0.1, None)
        shadowing.follow(session, question, answer, shadow, reply)
        assert session.exec(select(ShadowAnswer)).all() == []


async def test_what_weights_recognised_is_asked_again(store: Engine) -> None:
    """That is quoted by the word of one release's weights; another's may not say so."""
    with transaction(store) as session:
        candidate(session, SHADOW)
        releases.start_shadow(session, TEAM, 2, by="U0ADMIN")
        live = releases.live(session, TEAM)
        answer = Threads(session).ask(1, mode=AnswerMode.QUOTED)
        question = session.get_one(Question, answer.question_id)
        match = Match(1, PORT, SAID, 0.9, "U0STAFF", sure=-0.1)
        reply = Reply(SAID, AnswerMode.QUOTED, live, None, 0.9, match)
        shadowing.follow(session, question, answer, live, reply)
        assert len(session.exec(select(ShadowAnswer)).all()) == 1


# When it works.


def test_nothing_is_done_while_a_question_waits(store: Engine) -> None:
    """Being answered, in line, or new; one that is to be tried again later holds nothing up."""
    with transaction(store) as session:
        for kind in (shadowing.KIND, "question"):
            inbox.receive(
                session, team_id=TEAM, event_id=kind, kind=kind, lane=kind, payload={}
            )  # fmt: skip
    later = now() + timedelta(minutes=1)
    states = {
        "new": (Status.WAITING, now(), None),
        "being answered": (Status.CLAIMED, now(), None),
        "in line": (Status.WAITING, later, f"{inbox.IN_LINE}: others asked before"),
        "tried again": (Status.WAITING, later, "waiting: try 3 failed: it broke off"),
        "answered": (Status.DONE, now(), None),
    }
    found = {}
    for name, (status, at, error) in states.items():
        with transaction(store) as session:
            row = session.exec(select(InboxEvent).where(InboxEvent.kind == "question")).one()
            row.status, row.not_before, row.error = status, at, error
        found[name] = shadowing.may_work(store)
    waits = {name: name not in ("tried again", "answered") for name in states}
    assert found == {name: not one for name, one in waits.items()}
    with transaction(store) as session:
        session.exec(
            select(InboxEvent).where(InboxEvent.kind == "shadow")
        ).one().status = Status.DONE
    assert not shadowing.may_work(store)


def test_a_question_behind_one_that_is_tried_again_holds_nothing_up(store: Engine) -> None:
    """It waits for that one, and so cannot be answered."""
    with transaction(store) as session:
        for number, kind in enumerate((shadowing.KIND, "question", "question")):
            inbox.receive(
                session, team_id=TEAM, event_id=str(number), kind=kind, lane=kind, payload={}
            )
        row = session.exec(select(InboxEvent).where(InboxEvent.event_id == "1")).one()
        row.not_before, row.error = now() + timedelta(minutes=1), "waiting: try 7 failed: it broke"
    assert shadowing.may_work(store)


async def test_spare_time_ends_at_once() -> None:
    """Work is broken off by a question, not begun beside one, and goes with who waits for it."""
    spare, ended = SpareTime(), asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return "done"

    at_it = asyncio.create_task(spare.use(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with spare.taken():
        with pytest.raises(Wanted):
            await at_it
        with pytest.raises(Wanted):
            await spare.use(work())
    assert ended.is_set()
    ended.clear()
    at_it = asyncio.create_task(spare.use(work()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    at_it.cancel()
    with pytest.raises(asyncio.CancelledError):
        await at_it
    assert ended.is_set()
    assert await spare.use(asyncio.sleep(0, "done")) == "done"


# How it did.


class Record:
    """Answers beside those of v2, the shadow."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.threads = Threads(session)
        releases.ensure_team(session, TEAM)
        adapter = made_adapter(session, SHADOW)
        self.shadow = releases.add_candidate(session, TEAM, adapter.id or 0, by="gate")
        releases.start_shadow(session, TEAM, 2, by="U0ADMIN")

    def add(
        self, shown: str, shadow: str, *, approved: str = "", mode: AnswerMode | None = None,
        kind: FeedbackKind = FeedbackKind.CORRECT, dropped: str | None = None,
    ) -> None:  # fmt: skip
        """One question; `approved` is what staff said to what was shown."""
        answer = self.threads.ask(1, text=PORT)
        answer.text = shown
        made = None if dropped or not shadow else mode or AnswerMode.CLOSED_BOOK
        row = ShadowAnswer(
            team_id=TEAM, question_id=answer.question_id, answer_id=answer.id or 0,
            release_id=self.shadow.id or 0, text=shadow, mode=made, dropped=dropped,
        )  # fmt: skip
        self.session.add(row)
        if approved:
            given = Feedback(
                team_id=TEAM, channel="C1", target_ts=answer.ts or "", answer_id=answer.id,
                user="U0STAFF", kind=kind,
            )  # fmt: skip
            self.session.add(given)
            self.session.flush()
            example = Example(
                team_id=TEAM, feedback_id=given.id, question=PORT, answer=approved,
                approved_by="U0STAFF", content_hash=f"{answer.id}",
            )  # fmt: skip
            self.session.add(example)
        self.session.flush()


def test_the_report_counts_what_was_approved(store: Engine) -> None:
    """The same rule for both sides; what nobody approved says nothing of who is right."""
    with transaction(store) as session:
        record = Record(session)
        record.add("It is 8080.", "Port 9443 it is.", approved="It listens on port 9443.")
        record.add("It is on 9443.", "It is 8080.", approved="It is on 9443.",
                   kind=FeedbackKind.APPROVE)  # fmt: skip
        record.add("So  it is.", "So it is.\n")
        record.add("So.", " ", mode=AnswerMode.UNSURE, approved="It is on 9443.")
        record.add("So.", "", dropped=OLD)
        record.add("So.", "")
        found = shadow_report.read(session, TEAM)
    assert found is not None
    assert (found.number, found.adapter, found.over) == (2, SHADOW, False)
    assert (found.answered, found.same, found.unsure, found.unsure_shown) == (4, 1, 1, 0)
    assert (found.approved, found.corrected, found.right, found.right_shown) == (3, 2, 1, 1)
    assert (found.waiting, dict(found.dropped)) == (1, {OLD: 1})
    assert [one.shadow for one in found.pairs] == ["It is 8080.", "Port 9443 it is."]
    assert shadow_report.lines(found) == [
        "v2 answered 4 questions that memory did not quote: 1 with the same words as were shown.",
        "Not sure: v2 once, the other 0 times.",
        "3 of them have an approved answer (2 by a correction): v2 says it in 1, what was shown "
        "in 1.",
        "1 more wait until no question does.",
        "Left out: 1, because it waited for too long (1).",
    ]


def test_pairs_are_of_public_channels(store: Engine) -> None:
    """Neither of private ones, nor of what was public once, nor of other systems, nor deleted."""
    with transaction(store) as session:
        record = Record(session)
        answers = {}
        for place in ("public", "private", "closed", "api:web", "deleted"):
            record.add(f"{place} shown", f"{place} shadow")
            rows = select(Question).order_by(col(Question.id).desc())
            question = session.exec(rows).first()
            assert question is not None
            question.channel = place
            answers[place] = question
        answers["private"].channel_kind = ChannelKind.PRIVATE
        answers["deleted"].deleted_at = now()
        later = Question(
            team_id=TEAM, channel="closed", channel_kind=ChannelKind.PRIVATE, thread_ts="99.0",
            ts="99.0", user="U1", text="Who closed this?",
        )  # fmt: skip
        session.add(later)
        session.flush()
        found = shadow_report.read(session, TEAM)
    assert found is not None
    assert found.answered == 5
    assert [one.shadow for one in found.pairs] == ["public shadow"]
