"""When a run's progress is told, and how long it still takes."""

import pytest
from sqlalchemy import Engine, update
from sqlmodel import col, select

from bot.store.database import reading, transaction
from bot.store.schema import OutboxKind, OutboxMessage, Run, RunTrigger, Status
from tests.stores import TEAM
from training.telling import TELL_EVERY_S, News, tell


def test_each_phase_is_told_and_then_now_and_then() -> None:
    """A new phase at once; within a phase not more often than Slack likes."""
    news = News()
    assert news.is_due("training", 0.0, 0)
    assert not news.is_due("training", 0.1, TELL_EVERY_S - 1)
    assert news.is_due("training", 0.2, TELL_EVERY_S)
    assert news.is_due("comparing", 0.0, TELL_EVERY_S + 1)
    assert not news.is_due("comparing", 0.1, TELL_EVERY_S + 2)


def test_time_left_follows_the_phase_so_far() -> None:
    """A run that was taken up in the middle counts from there; too early, nothing is claimed."""
    news = News()
    news.is_due("training", 0.5, 100)
    assert news.left_s(0.52, 110) is None
    assert news.left_s(0.75, 150) == pytest.approx(50)


def test_a_run_whose_message_never_came_still_says_its_end(engine: Engine) -> None:
    """Its first words were refused (the bot was not in the channel): the later ones are posted."""
    with transaction(engine) as session:
        run = Run(team_id=TEAM, trigger=RunTrigger.COMMAND, report_channel="C1")
        session.add(run)
        session.flush()
        tell(session, run, "queued", step="start", admin_channel="")
        session.execute(update(OutboxMessage).values(status=Status.FAILED))
    with transaction(engine) as session:
        tell(session, session.get_one(Run, 1), "v2 is live", step="end", admin_channel="")
    with reading(engine) as session:
        last = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id))).all()[-1]
    assert (last.kind, last.channel, last.payload) == (
        OutboxKind.POST,
        "C1",
        {"text": "v2 is live"},
    )
