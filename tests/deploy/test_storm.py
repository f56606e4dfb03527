"""The storm: its plan is certain, its eye is sharp, and a small one leaves everything in place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bot import examples, feedback, releases
from bot.store.database import transaction
from bot.store.schema import FeedbackKind
from deploy.storm.acts import MENTION, Act, Do
from deploy.storm.ending import Ending, Rating, ending
from deploy.storm.people import Message
from deploy.storm.plan import STORIES, plan
from deploy.storm.run import storm
from deploy.storm.verdict import Verdict, judge_answers, judge_ratings
from deploy.storm.weather import forecast

HELP = "C0HELP"


def test_a_plan_is_its_seed() -> None:
    """The same seed is the same plan; it has as many acts as were asked for, of every kind."""
    first = plan(5, 1000)
    assert first == plan(5, 1000) != plan(6, 1000)
    assert sum(len(story) for story in first) == 1000
    assert {act.do for story in first for act in story} == set(Do)
    assert len(first) > 5 * len(STORIES)


def test_weather_is_spread_over_the_acts() -> None:
    """So many kills, none after the last act."""
    weather = forecast(5, 1000, 20)
    assert len(weather.kills) == 20
    assert 0 <= weather.kills[0] < 500 < weather.kills[-1] < 1000
    assert len(weather.faults) > 50


ASK = Act(Do.SAY, "asker", "s1", f"{MENTION} why s1v1?")
EDIT = Act(Do.EDIT, "asker", "s1", f"{MENTION} why s1v2?")
EMPTY = Act(Do.EDIT, "asker", "s1", MENTION)
DELETE = Act(Do.DELETE, "asker", "s1")
APPROVE = Act(Do.REACT, "staff", "answer:s1", "white_check_mark")
REJECT = Act(Do.REACT, "staff", "answer:s1", "x")
NO_MORE = Act(Do.UNREACT, "staff", "answer:s1", "white_check_mark")
REPLY = Act(Do.SAY, "staff", "s1.reply", "so s1v3", thread="s1")
MEMO = Act(Do.REACT, "staff", "s1.reply", "memo")
APPROVED = Rating("answer:s1", "staff", "approve")
CORRECTED = Rating("s1.reply", "staff", "correct")


@pytest.mark.parametrize(
    ("story", "answered", "standing"),
    [
        ([ASK], {"s1": {"s1v1"}}, set()),
        ([ASK, EDIT], {"s1": {"s1v2"}}, set()),
        ([ASK, DELETE], {}, set()),
        ([ASK, EMPTY], {}, set()),
        ([ASK, EMPTY, EDIT], {"s1": {"s1v2"}}, set()),
        ([ASK, APPROVE], {"s1": {"s1v1"}}, {APPROVED}),
        ([ASK, APPROVE, NO_MORE], {"s1": {"s1v1"}}, set()),
        ([ASK, APPROVE, EDIT], {"s1": {"s1v2"}}, set()),
        ([ASK, APPROVE, REJECT], {"s1": {"s1v1"}}, {Rating("answer:s1", "staff", "reject")}),
        (
            [ASK, APPROVE, REJECT, NO_MORE],
            {"s1": {"s1v1"}},
            {Rating("answer:s1", "staff", "reject")},
        ),
        ([ASK, REPLY, MEMO], {"s1": {"s1v1", "s1v3"}}, {CORRECTED}),
        ([ASK, Act(Do.REACT, "asker", "answer:s1", "white_check_mark")], {"s1": {"s1v1"}}, set()),
        (
            [ASK, REPLY, Act(Do.REACT, "staff2", "s1.reply", "memo")],
            {"s1": {"s1v1", "s1v3"}},
            set(),
        ),
    ],
)
def test_where_a_story_must_end(
    story: Sequence[Act], answered: dict[str, set[str]], standing: set[Rating]
) -> None:
    """One answer to the last words, and the ratings of staff that nothing took away."""
    assert ending([story]) == Ending(answered, standing)


def said(*texts: str) -> list[Message]:
    """What the bot says in a thread."""
    return [{"text": text} for text in texts]


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        (said("s1v2"), {}),
        (said(), {"lost": 1}),
        (said("s1v1"), {"lost": 1, "unwanted_answers": 1}),
        (said("s1v2", "s1v2"), {"duplicate_answers": 1}),
        (said("s1v2", "s1v1"), {"unwanted_answers": 1}),
    ],
)
def test_every_wrong_answer_is_seen(answers: list[Message], found: dict[str, int]) -> None:
    """None, one to old words, one too many: each is told of, and nothing else is."""
    verdict = Verdict()
    judge_answers(verdict, ending([[ASK, EDIT]]), answers)
    assert {name: count for name, count in verdict.counts().items() if count} == found
    assert len(verdict.lines()) == sum(found.values())


@pytest.mark.parametrize(
    ("given", "wanted", "found"),
    [
        ([], set(), {}),
        ([], {APPROVED}, {"lost": 1}),
        (["taught"], {APPROVED}, {}),
        (["taught"], set(), {"wrong_feedback": 2}),  # it stands, and it teaches
        (["recorded"], {APPROVED}, {"wrong_feedback": 1}),
    ],
)
def test_every_wrong_rating_is_seen(
    engine: Engine, given: list[str], wanted: set[Rating], found: dict[str, int]
) -> None:
    """Lost, standing without reason, teaching nothing: each is told of."""
    with transaction(engine) as session:
        releases.ensure_team(session, "T1")
        for what in given:
            row, _ = feedback.record(
                session, team_id="T1", channel=HELP, target_ts="2.0", user="U0STAFF",
                kind=FeedbackKind.APPROVE,
            )  # fmt: skip
            if what == "taught":
                draft = examples.draft("why is the sky blue", "because it is")
                examples.add(
                    session, draft, team_id="T1", feedback_id=row.id or 0, approved_by="U0STAFF",
                    sources=[],
                )  # fmt: skip
    verdict = Verdict()
    judge_ratings(verdict, Ending(standing=wanted), {"2.0": "answer:s1"}, engine)
    assert {name: count for name, count in verdict.counts().items() if count} == found


@pytest.mark.timeout(600)
def test_a_small_storm_loses_nothing(tmp_path: Path) -> None:
    """Doubled, reordered, refused and killed: every question and rating is as it must be."""
    figures = storm(acts=120, kills=3, seed=11, home=tmp_path)
    assert figures["deviations"] == []
    assert (figures["acts"], figures["kills"]) == (120, 3)
    assert figures["deliveries"] > figures["events"] > 120
