"""Cases in the store: one a message and a thread, whoever opens them; and the gaps they show."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import cases, releases
from bot.cases import ASKED, MYNAH, UNSURE, Cases
from bot.clusters import clusters
from bot.embedder import open_embedder
from bot.gaps import gap_channels, gaps
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Audit,
    Case,
    CaseStatus,
    ChannelKind,
    Example,
    ExampleSource,
    ExampleStatus,
    OutboxKind,
    OutboxMessage,
    Question,
    Release,
    now,
)

TEAM, OTHER = "T0MYNAH", "T0OTHER"
_clock = count(1)
LEXICAL = open_embedder("none")


def shown(case: Case, *, asker: str, ping: bool) -> dict[str, Any]:
    """A card that a test can read."""
    return {"status": case.status, "asker": asker, "ping": ping}


CASES = Cases(shown, oncall=True, card_channel="C0REVIEW")


def asked(
    engine: Engine, text: str = "Which port?", *, team_id: str = TEAM, thread_ts: str = "",
    channel: str = "C1", user: str = "U1", unsure: bool = False,
) -> Question:  # fmt: skip
    """A stored question."""
    ts = f"1700000000.{next(_clock):06d}"
    with transaction(engine) as session:
        releases.ensure_team(session, team_id)
        question = Question(
            team_id=team_id, channel=channel, thread_ts=thread_ts or ts, ts=ts, user=user, text=text
        )
        session.add(question)
        session.flush()
        if unsure:
            base = session.exec(select(Release).where(Release.team_id == team_id)).one()
            answer = Answer(
                team_id=team_id, question_id=question.id or 0, mode=AnswerMode.UNSURE,
                release_id=base.id or 0, channel=channel,
            )  # fmt: skip
            session.add(answer)
        return question


def opened(engine: Engine, question: Question, by: str = MYNAH) -> Case | None:
    """Open the case of a question."""
    reason = UNSURE if by == MYNAH else ASKED
    with transaction(engine) as session:
        return CASES.open(session, cases.of_question(question, by=by, reason=reason))


def changed(
    engine: Engine, change: Callable[[Session, Case, str], None], case: Case, user: str
) -> Case:
    """Claim, resolve or withdraw; the case as it stands then."""
    with transaction(engine) as session:
        found = cases.by_id(session, case.team_id, case.id or 0)
        assert found is not None
        change(session, found, user)
        return found


def cards(engine: Engine) -> list[tuple[OutboxKind, Any]]:
    """What is to be said."""
    with reading(engine) as session:
        rows = session.exec(select(OutboxMessage).order_by(OutboxMessage.id))  # type: ignore[arg-type]
        return [(row.kind, row.payload.get("status")) for row in rows]


def test_a_message_has_one_case(store: Engine) -> None:
    """Opened again, by whomever, it is the same one, with one card."""
    question = asked(store)
    assert opened(store, question) is not None
    assert opened(store, question) is None
    assert opened(store, question, "U2") is None
    assert cards(store) == [(OutboxKind.POST, "open")]


def test_a_thread_has_one_open_case(store: Engine) -> None:
    """A second message of the thread has none while the first one's is open or claimed."""
    first = asked(store)
    second = asked(store, thread_ts=first.ts)
    case = opened(store, first)
    assert case is not None
    assert opened(store, second) is None
    changed(store, CASES.claim, case, "U9")
    assert opened(store, second) is None
    changed(store, CASES.resolve, case, "U9")
    assert opened(store, second) is not None


def test_of_many_at_once_one_opens_it(store: Engine) -> None:
    """Eight processes hear of two messages of one thread: one case, one card."""
    first = asked(store)
    second = asked(store, thread_ts=first.ts)

    def open_one(number: int) -> Case | None:
        return opened(store, (first, second)[number % 2], f"U{number}")

    with ThreadPoolExecutor(8) as threads:
        found = [one for one in threads.map(open_one, range(8)) if one is not None]
    assert len(found) == 1
    assert cards(store) == [(OutboxKind.POST, "open")]


def test_of_many_at_once_one_claims_it(store: Engine) -> None:
    """Eight staff members press at once: one has it, and the card says so once."""
    case = opened(store, asked(store))
    assert case is not None
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: changed(store, CASES.claim, case, f"U{n}"), range(8)))
    assert cards(store) == [(OutboxKind.POST, "open"), (OutboxKind.UPDATE, "claimed")]
    with reading(store) as session:
        [row] = session.exec(select(Audit).where(Audit.action == "case.claim"))
        assert session.get_one(Case, case.id).claimed_by == row.actor


def test_withdrawn_is_not_opened_beside_another(store: Engine) -> None:
    """A case that was called off stays so while its thread has another open one."""
    first = asked(store)
    case = opened(store, first, "U1")
    assert case is not None
    changed(store, CASES.withdraw, case, "U1")
    assert opened(store, asked(store, thread_ts=first.ts)) is not None
    assert opened(store, first, "U1") is None
    with reading(store) as session:
        assert session.get_one(Case, case.id).status is CaseStatus.WITHDRAWN


def test_case_that_comes_back_has_a_card_again(store: Engine) -> None:
    """Its question was deleted and came back: the card is said anew, and goes with it once more."""
    question = asked(store)
    assert opened(store, question) is not None
    forgotten(store, question)
    forgotten(store, question)
    assert opened(store, question) is not None
    forgotten(store, question)
    kinds = [kind for kind, _ in cards(store)]
    assert kinds == [OutboxKind.POST, OutboxKind.DELETE, OutboxKind.RENEW, OutboxKind.DELETE]


def forgotten(engine: Engine, question: Question) -> None:
    """The question's message was deleted."""
    with transaction(engine) as session:
        cases.forget_message(session, question.team_id, question.channel, question.ts)


def test_settled_cases_stay_settled(store: Engine) -> None:
    """Nothing opens, claims or withdraws a resolved case again."""
    question = asked(store)
    case = opened(store, question)
    assert case is not None
    changed(store, CASES.resolve, case, "U9")
    assert opened(store, question, "U2") is None
    for change in (CASES.claim, CASES.withdraw, CASES.resolve):
        found = changed(store, change, case, "U8")
        assert (found.status, found.resolved_by) == (CaseStatus.RESOLVED, "U9")
    assert len(cards(store)) == 2


def test_only_a_later_answer_settles_a_case(store: Engine) -> None:
    """What was said before the case's message, or in another thread, is no answer to it."""
    question = asked(store)
    case = opened(store, question)
    assert case is not None
    with transaction(store) as session:
        CASES.answered(session, TEAM, "C1", question.thread_ts, "1600000000.000001", by="U9")
        CASES.answered(session, TEAM, "C1", "1.0", "1800000000.000001", by="U9")
        CASES.answered(session, TEAM, "C2", question.thread_ts, "1800000000.000001", by="U9")
        CASES.answered(session, OTHER, "C1", question.thread_ts, "1800000000.000001", by="U9")
        assert session.get_one(Case, case.id).status is CaseStatus.OPEN
        CASES.answered(session, TEAM, "C1", question.thread_ts, "1800000000.000001", by="U9")
        assert session.get_one(Case, case.id).status is CaseStatus.RESOLVED


def found(engine: Engine, *readable: str) -> list[tuple[str, int]]:
    """The gaps as a reader of these channels sees them."""
    with reading(engine) as session:
        rows = gaps(session, TEAM, readable or ("C1",), LEXICAL)
        return [(one.newest.text, one.count) for one in rows]


def test_gaps_put_questions_together(store: Engine) -> None:
    """Questions that ask for much the same are one gap, named by its newest; newest first."""
    asked(store, "How do I reset my password?", unsure=True)
    opened(store, asked(store, "Where is the coffee machine?"), "U1")
    asked(store, "Please reset my password", unsure=True)
    asked(store, "Which port does the console listen on?")  # Mynah knew this one
    assert found(store) == [("Please reset my password", 2), ("Where is the coffee machine?", 1)]


def test_gaps_show_only_what_may_be_read(store: Engine) -> None:
    """Private channels' and other teams' questions are in nobody else's list."""
    asked(store, "Why was my salary cut?", channel="G9", unsure=True)
    asked(store, "What is this?", team_id=OTHER, unsure=True)
    assert found(store, "C1") == []
    assert found(store, "C1", "G9") == [("Why was my salary cut?", 1)]
    with reading(store) as session:
        assert gap_channels(session, TEAM, "U9", 5) == ["G9"]


def test_gaps_do_not_ask_about_everybodys_direct_messages(store: Engine) -> None:
    """Few channels, however many people Mynah was not sure for; of direct messages one's own."""
    for number in range(9):
        direct = asked(store, "Why?", channel=f"D{number}", user=f"U{number}", unsure=True)
        with transaction(store) as session:
            session.get_one(Question, direct.id).channel_kind = ChannelKind.IM
    for channel in ("C1", "C1", "G1", "G2"):
        asked(store, "Why?", channel=channel, unsure=True)
    with reading(store) as session:
        assert gap_channels(session, TEAM, "U3", 9) == ["C1", "D3", "G1", "G2"]
        assert gap_channels(session, TEAM, "U3", 1) == ["C1"]


def test_taught_deleted_and_withdrawn_questions_are_no_gaps(store: Engine) -> None:
    """A gap closes when one of its questions was taught, and opens again when that is revoked."""
    asked(store, "How do I reset my password?", unsure=True)
    taught = asked(store, "Please reset my password", unsure=True)
    deleted = asked(store, "Where is the coffee machine?", unsure=True)
    case = opened(store, asked(store, "Who waters the plants?"), "U1")
    assert case is not None
    changed(store, CASES.withdraw, case, "U1")
    with transaction(store) as session:
        session.get_one(Question, deleted.id).deleted_at = now()
        example = Example(
            team_id=TEAM, question="q", answer="a", approved_by="U9", content_hash="x"
        )
        session.add(example)
        session.flush()
        session.add(
            ExampleSource(example_id=example.id or 0, team_id=TEAM, channel="C1", ts=taught.ts)
        )
    assert found(store) == []
    with transaction(store) as session:
        session.get_one(Example, example.id).status = ExampleStatus.REVOKED
    assert found(store) == [("Please reset my password", 2)]


@pytest.mark.parametrize("seed", range(20))
def test_clusters_are_a_partition_of_what_is_alike(seed: int) -> None:
    """Every row is in one group, like its first one; groups begin with rows unlike each other."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(40, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    groups = clusters(rows, 0.8)
    assert sorted(row for group in groups for row in group) == list(range(40))
    for group in groups:
        assert all(rows[group[0]] @ rows[row] >= 0.8 for row in group[1:])
    firsts = [group[0] for group in groups]
    assert firsts == sorted(firsts)
    closeness = rows[firsts] @ rows[firsts].T
    assert (np.tril(closeness, -1) < 0.8).all()


def test_rows_that_say_nothing_are_alone() -> None:
    """A text without a word is like no other, and no rows make no groups."""
    assert clusters(np.zeros((2, 3), np.float32), 0.4) == [[0], [1]]
    assert clusters(np.zeros((0, 3), np.float32), 0.4) == []
