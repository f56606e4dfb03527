"""When a run is due: by the clock, caught up once, or because enough is new."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import col, select

from bot import pausing
from bot.store.database import reading, transaction
from bot.store.runs import claim_run, finish_run
from bot.store.schema import Example, Run, RunStatus, RunTrigger, Team, now
from tests.training.stage import TEAM, teach, worker_settings
from training import dataset, schedule
from training.settings import WorkerSettings

NIGHTLY = "0 3 * * *"
START = datetime(2026, 1, 1, tzinfo=UTC)


def fields(**others: object) -> WorkerSettings:
    return worker_settings(Path(), "http://127.0.0.1:9", **others)


def runs(engine: Engine) -> list[Run]:
    with reading(engine) as session:
        return list(session.exec(select(Run).order_by(col(Run.id))))


def queue_due(engine: Engine, made: WorkerSettings) -> int:
    with transaction(engine) as session:
        return len(schedule.queue_due(session, made))


def end_newest(engine: Engine, status: RunStatus = RunStatus.KEPT) -> None:
    with transaction(engine) as session:
        run = claim_run(session, "test", 60)
        assert run is not None
        assert run.id is not None
        finish_run(session, run.id, run.fence, status, [])


def founded(engine: Engine, days_ago: float) -> None:
    with transaction(engine) as session:
        session.get_one(Team, TEAM).created_at = now() - timedelta(days=days_ago)


@settings(max_examples=200)
@given(st.integers(1, 60 * 24 * 40), st.integers(0, 60 * 24 * 40))
def test_the_last_due_time_is_the_newest_that_has_passed(until_min: int, after_min: int) -> None:
    """It lies in (after, until], at three o'clock, and less than a day before `until`; there is
    none only when three o'clock did not come by."""
    until = START + timedelta(minutes=until_min)
    after = START + timedelta(minutes=after_min)
    found = schedule.last_due(NIGHTLY, "UTC", after, until)
    newest = until.replace(hour=3, minute=0)
    newest -= timedelta(days=1) if newest > until else timedelta()
    assert found == (newest if newest > after else None)


def test_a_due_time_is_in_the_named_time_zone() -> None:
    """Three o'clock in Vienna is two o'clock UTC in winter."""
    found = schedule.last_due(NIGHTLY, "Europe/Vienna", START, START + timedelta(days=1))
    assert found == START.replace(hour=2)


def test_a_rare_time_is_found_far_back() -> None:
    """Once a year is caught up too."""
    found = schedule.last_due("0 0 29 2 *", "UTC", START - timedelta(days=1400), START)
    assert found == datetime(2024, 2, 29, tzinfo=UTC)


def test_missed_nights_are_caught_up_once(engine: Engine) -> None:
    """After ten days without a worker one run is queued, however many workers look; the next one
    only at the next due time."""
    teach(engine, facts=1)
    founded(engine, days_ago=10)
    assert [queue_due(engine, fields()) for _ in range(3)] == [1, 0, 0]
    end_newest(engine)
    assert queue_due(engine, fields()) == 0
    (run,) = runs(engine)
    assert run.trigger is RunTrigger.SCHEDULE
    assert run.due_at is not None
    assert now() - timedelta(days=1) <= run.due_at <= now()
    assert run.recipe == {}  # the settings decide


def test_a_window_that_is_over_is_not_caught_up(engine: Engine) -> None:
    """Where servers rest for a training, a missed night is made good while its window lasts, and
    not in the daytime."""
    teach(engine, facts=1)
    founded(engine, days_ago=10)
    due = now() - timedelta(minutes=30)
    cron = f"{due.minute} {due.hour} * * *"
    for minutes, queued in ((25, 0), (35, 1)):
        made = fields(train_cron=cron, train_alone=True, rest_minutes=minutes)
        assert queue_due(engine, made) == queued


def test_a_new_team_has_missed_nothing(engine: Engine) -> None:
    """Due times before the team was there do not count."""
    teach(engine, facts=1)
    never = "0 0 1 1 *" if now().month != 1 else "0 0 1 6 *"
    assert queue_due(engine, fields(train_cron=never)) == 0


def test_a_paused_team_queues_nothing(engine: Engine) -> None:
    """Neither the clock nor new examples start a run of a paused team."""
    teach(engine)
    founded(engine, days_ago=10)
    with transaction(engine) as session:
        session.get_one(Team, TEAM).paused = True
    assert queue_due(engine, fields(min_new_examples=1)) == 0


def test_what_a_pause_missed_is_caught_up_once(engine: Engine) -> None:
    """Ten nights were missed, and one run was left waiting: after the pause there is one run."""
    teach(engine, facts=1)
    founded(engine, days_ago=20)
    queue_due(engine, fields())
    with transaction(engine) as session:
        session.exec(select(Run)).one().due_at = now() - timedelta(days=10)
        pausing.pause(session, TEAM, by="U0ADMIN")
        assert claim_run(session, "test", 60) is None
    assert queue_due(engine, fields()) == 0
    with transaction(engine) as session:
        pausing.resume(session, TEAM, by="U0ADMIN")
    assert queue_due(engine, fields()) == 0
    end_newest(engine)
    assert queue_due(engine, fields()) == 0
    (run,) = runs(engine)
    assert run.due_at is not None
    assert run.due_at > now() - timedelta(days=1)


def test_a_night_in_a_pause_is_caught_up_after_it(engine: Engine) -> None:
    """Nothing is queued while it lasts, and one run when it ends."""
    teach(engine, facts=1)
    founded(engine, days_ago=10)
    with transaction(engine) as session:
        pausing.pause(session, TEAM, by="U0ADMIN")
    assert queue_due(engine, fields()) == 0
    with transaction(engine) as session:
        pausing.resume(session, TEAM, by="U0ADMIN")
    assert [queue_due(engine, fields()) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize(("least", "queued"), [(33, 0), (32, 1)])
def test_enough_new_examples_queue_a_run(engine: Engine, least: int, queued: int) -> None:
    """32 new examples are enough for 32 and not for 33."""
    teach(engine)
    assert queue_due(engine, fields(min_new_examples=least)) == queued


def test_servers_rest_by_the_clock_alone(engine: Engine) -> None:
    """Enough new examples are no reason to let people wait for answers in the daytime."""
    teach(engine)
    assert queue_due(engine, fields(min_new_examples=1, train_alone=True)) == 0


def test_what_the_last_run_had_is_not_new(engine: Engine, tmp_path: Path) -> None:
    """Only examples that the newest run's dataset lacks count."""
    teach(engine)
    queue_due(engine, fields(min_new_examples=1))
    with transaction(engine) as session:
        examples = dataset.learnable(session, TEAM)
        from bot.embedder import LexicalEmbedder

        vectors = LexicalEmbedder().embed([example.question for example in examples])
        frozen = dataset.freeze(session, TEAM, dataset.split(examples, vectors), tmp_path)
        session.exec(select(Run)).one().dataset_id = frozen.id
    end_newest(engine, RunStatus.RELEASED)
    assert queue_due(engine, fields(min_new_examples=1)) == 0
    teach(engine, facts=1, start=8)
    with reading(engine) as session:
        assert schedule.new_examples(session, TEAM) == 4
    assert queue_due(engine, fields(min_new_examples=4)) == 1


def test_a_refused_run_is_not_asked_for_again_and_again(engine: Engine) -> None:
    """What was too little to learn from does not count as new until more is there."""
    teach(engine)
    queue_due(engine, fields(min_new_examples=1))
    end_newest(engine, RunStatus.REFUSED)
    assert queue_due(engine, fields(min_new_examples=1)) == 0
    with transaction(engine) as session:
        first = session.exec(select(Example)).first()
        assert first is not None
        values = first.model_dump(exclude={"id", "created_at", "changed_at"})
        session.add(Example(**values))
    assert queue_due(engine, fields(min_new_examples=1)) == 1
