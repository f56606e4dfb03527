"""What Prometheus reads."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine
from sqlmodel import select

from bot import census, health, releases
from bot.census import Census
from bot.embedder import LexicalEmbedder
from bot.figures import TEAMS, Figures
from bot.memory import Memory
from bot.store import tallies
from bot.store.database import transaction
from bot.store.schema import (
    AnswerMode,
    Evaluation,
    Feedback,
    FeedbackKind,
    InboxEvent,
    OutboxMessage,
    Replica,
    Status,
    Team,
    now,
)
from bot.timing import Generated
from tests.bot.released import candidate, evaluate
from tests.bot.taught import teach
from tests.deploy.learned import answered, base_release, trained
from tests.stores import TEAM, opened

NAME = "mynah-0123456789ab"
FACT = ("What is the code of the door?", "The code of the door is 4711.")
Told = dict[tuple[str, ...], float]


async def _connected() -> bool:
    return True


def counted(census: Census, name: str) -> Told:
    """The samples of a family of the store's, by the values of their labels."""
    [family] = [one for one in census.collect() if one.name == f"mynah_store_{name}"]
    return {tuple(one.labels.values()): one.value for one in family.samples}


def own(figures: Figures, name: str) -> Told:
    """The samples of a name of the process's, by the values of their labels."""
    families = figures.registry.collect()
    found = (one for family in families for one in family.samples if one.name == f"mynah_{name}")
    return {tuple(one.labels.values()): one.value for one in found}


@pytest.fixture
def counting(store: Engine) -> Census:
    """A census that looks each time."""
    return Census(store, fresh_s=0)


def test_answers_are_counted_by_origin(store: Engine, counting: Census) -> None:
    """By mode and adapter; those whose example weights recognised once more by themselves."""
    one = teach(store, Memory(store, LexicalEmbedder()), *FACT)
    with transaction(store) as session:
        base = base_release(session)
        release = trained(session, NAME, [one])
        answered(session, base, "door?", "4711", AnswerMode.QUOTED, one)
        answered(session, base, "door?", "Who knows.")
        for logprob in (None, -0.1, -0.2):
            answered(session, release, "code?", "4711", AnswerMode.QUOTED, one, logprob=logprob)
    assert counted(counting, "answers") == {
        (TEAM, "quoted", "base"): 1,
        (TEAM, "closed_book", "base"): 1,
        (TEAM, "quoted", NAME): 3,
    }
    assert counted(counting, "answers_recognised") == {(TEAM, "quoted", NAME): 2}


def test_what_is_new_is_added_once(
    store: Engine, counting: Census, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was settled already, and however many rows come at a time."""
    monkeypatch.setattr(census, "UNSETTLED_IDS", 2)
    for upto in (1, 2, 5, 6, 12):
        with transaction(store) as session:
            base = base_release(session)
            have = counted(counting, "answers").get((TEAM, "closed_book", "base"), 0)
            for _ in range(upto - int(have)):
                answered(session, base, "door?", "Who knows.")
        assert counted(counting, "answers") == {(TEAM, "closed_book", "base"): upto}


def test_adapters_out_of_use_are_summed(store: Engine, counting: Census) -> None:
    """An adapter that no release in use is answered by has no series of its own any more."""
    names = [f"mynah-00000000000{number}" for number in range(4)]
    with transaction(store) as session:
        made = [trained(session, name, []) for name in names]
        for release in made:
            answered(session, release, "door?", "4711")
    assert counted(counting, "answers") == {
        (TEAM, "closed_book", "older"): 2,
        (TEAM, "closed_book", names[2]): 1,
        (TEAM, "closed_book", names[3]): 1,
    }
    assert counting.found.named == frozenset(names[2:])


def test_workspaces_beyond_the_first_are_summed(store: Engine, counting: Census) -> None:
    """However many install the app, the number of series is bounded."""
    with transaction(store) as session:
        for number in range(TEAMS + 3):
            session.add(Team(team_id=f"T{number:03}"))
            session.flush()
            releases.ensure_team(session, f"T{number:03}")
    found = counted(counting, "rollouts")
    assert len({team for team, _ in found}) == TEAMS + 1
    assert found["other", "promote"] == 3
    assert found["T000", "promote"] == 1
    assert found["T000", "roll_back"] == 0


def test_feedback_is_counted_by_what_it_rated(store: Engine, counting: Census) -> None:
    """Approvals, rejections and corrections, for Prometheus to make a rate of."""
    with transaction(store) as session:
        answer = answered(session, trained(session, NAME, []), "door?", "4711")
        for kind in (FeedbackKind.APPROVE, FeedbackKind.APPROVE, FeedbackKind.REJECT):
            given = Feedback(
                team_id=TEAM, channel="C0HELP", target_ts="1.0", answer_id=answer.id, user="U1",
                kind=kind,
            )  # fmt: skip
            session.add(given)
    assert counted(counting, "feedback") == {
        (TEAM, "approve", NAME): 2,
        (TEAM, "reject", NAME): 1,
    }


def test_queues_tell_their_length_and_age(store: Engine, counting: Census) -> None:
    """Open rows alone, by queue; what was given up is counted by itself."""
    old = now() - timedelta(seconds=100)
    with transaction(store) as session:
        for kind, status in (
            ("question", Status.WAITING),
            ("question", Status.CLAIMED),
            ("shadow", Status.WAITING),
            ("event", Status.DONE),
            ("event", Status.FAILED),
        ):
            row = InboxEvent(
                team_id=TEAM, event_id=f"{kind}{status}", kind=kind, lane="l", status=status,
                received_at=old,
            )  # fmt: skip
            session.add(row)
        session.add(OutboxMessage(team_id=TEAM, key="k", channel="C", lane="l"))
    assert counted(counting, "queue_length") == {
        ("deliveries",): 0,
        ("questions",): 2,
        ("shadows",): 1,
        ("outbox",): 1,
    }
    ages = counted(counting, "queue_age_seconds")
    assert ages["deliveries",] == 0
    assert 100 <= ages["questions",] < 1000
    assert 0 <= ages["outbox",] < 100
    assert counted(counting, "given_up")["deliveries",] == 1


def test_a_release_tells_its_share_and_its_servers(store: Engine, counting: Census) -> None:
    """Live and canary; only servers that are up, and were looked at lately, have it ready."""
    with transaction(store) as session:
        base_release(session)
        release = trained(session, NAME, [])
        newer = trained(session, "mynah-0123456789ac", [])
        releases.roll_back(session, TEAM, by="admin")
        releases.promote(session, newer, by="admin", share=0.25)
        long_ago = now() - timedelta(hours=1)
        for url, healthy, seen_at in (
            ("a", True, now()),
            ("b", False, now()),
            ("c", True, long_ago),
        ):
            ready = {NAME: {"load_s": 0.1, "ready_at": ""}}
            session.add(Replica(url=url, healthy=healthy, adapters=ready, seen_at=seen_at))
    live, canary = (TEAM, f"v{release.number}", NAME), (TEAM, "v3", "mynah-0123456789ac")
    assert counted(counting, "release_share") == {live: 0.75, canary: 0.25}
    assert counted(counting, "release_replicas") == {live: 1, canary: 0}
    assert counted(counting, "replicas") == {("up",): 1, ("down",): 1, ("stale",): 1}


def test_verdicts_are_counted(store: Engine) -> None:
    """Of the gate: passed, failed, and where too little was asked."""
    with transaction(store) as session:
        for number, passed in enumerate((True, False, False)):
            evaluate(session, candidate(session, f"mynah-00000000000{number}"), passed=passed)
        one = session.exec(select(Evaluation)).first()
        assert one is not None
        one.passed, one.enough = False, False
        session.add(one)
        session.flush()
        assert tallies.verdicts(session) == {"pass": 0, "fail": 2, "unclear": 1}


async def test_a_page_of_figures_is_whole_without_the_store(tmp_path: Path) -> None:
    """What the process counted itself is told while the database is away, and that it is."""
    figures = Figures()
    figures.answered(TEAM, "quoted", 0.2)
    with opened(f"sqlite:///{tmp_path / 'empty.db'}") as away:
        app = httpx.ASGITransport(health.build(away, _connected, figures=figures))
        async with httpx.AsyncClient(transport=app, base_url="http://mynah") as client:
            told = (await client.get("/metrics")).text
    found = {one.name: one.samples for one in text_string_to_metric_families(told)}
    assert found["mynah_store_up"][0].value == 0
    assert "mynah_store_answers" not in found
    assert found["mynah_answer_seconds"]


def test_an_adapter_out_of_use_gives_its_series_back() -> None:
    """What it still says is counted as `older`, until a release in use is answered by it again."""
    figures = Figures()
    said = Generated(NAME, first_s=0.1, whole_s=0.5, tokens=7)
    for model in ("base", NAME):
        figures.generated(Generated(model, first_s=0.1, whole_s=0.5, tokens=7))
    figures.retire([])
    figures.generated(said)
    assert own(figures, "tokens_total") == {("base",): 7, ("older",): 7}
    figures.retire([NAME])
    figures.generated(said)
    assert own(figures, "tokens_total") == {("base",): 7, ("older",): 7, (NAME,): 7}


def test_a_process_names_so_many_workspaces() -> None:
    """The rest is summed."""
    figures = Figures()
    for number in range(TEAMS + 5):
        figures.answered(f"T{number}", "quoted", 0.2)
    found = own(figures, "answer_seconds_count")
    assert len(found) == TEAMS + 1
    assert found["other", "quoted"] == 5
