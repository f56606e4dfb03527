"""When a run is due: by the clock, or because enough was learned since the last one.

Nothing is remembered in the process: Run rows say what was done, so a time that was missed while
no worker ran is caught up once, and two workers queue it once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from sqlalchemy import func
from sqlmodel import Session, col, select

from bot.store import runs
from bot.store.schema import (
    DatasetExample,
    Example,
    ExampleStatus,
    Run,
    RunTrigger,
    Team,
    now,
)
from training.settings import WorkerSettings

# How far to look back for the last due time: tried in turn, because cron expressions can only be
# followed forwards, and following every minute of a year would take long.
WINDOWS = tuple(timedelta(days=days) for days in (0.05, 1.1, 8, 32, 370, 1500))


def queue_due(session: Session, settings: WorkerSettings) -> list[Run]:
    """Queue what is due for each team that is neither paused nor gone; return the runs made."""
    standing = select(Team).where(col(Team.paused).is_(False), col(Team.removed_at).is_(None))
    made = [_queue(session, team, settings) for team in session.exec(standing)]
    return [run for run in made if run is not None]


def last_due(cron: str, timezone: str, after: datetime, until: datetime) -> datetime | None:
    """The newest time of the five-field `cron` in (after, until], or None.

    Args:
        cron: read in `timezone`; the other times may be in any.
    """
    trigger = CronTrigger.from_crontab(cron, timezone=ZoneInfo(timezone))
    for window in WINDOWS:
        start = max(after, until - window)
        if (found := _last_from(trigger, start, until)) is not None or start == after:
            return found
    return None


def new_examples(session: Session, team_id: str) -> int:
    """How many examples could be learned that the newest run did not have.

    A run that had too little to start with counts as having seen what there was.
    """
    rows = (
        select(func.count())
        .select_from(Example)
        .where(
            Example.team_id == team_id,
            Example.status == ExampleStatus.LIVE,
            col(Example.scope).is_(None),
        )
    )
    newest = runs.newest(session, team_id, 1)
    if not newest:
        return session.exec(rows).one()
    if newest[0].dataset_id is None:
        seen_until = newest[0].started_at or newest[0].queued_at
        return session.exec(rows.where(Example.created_at > seen_until)).one()
    had = select(DatasetExample.example_id).where(DatasetExample.dataset_id == newest[0].dataset_id)
    return session.exec(rows.where(col(Example.id).not_in(had))).one()


def _queue(session: Session, team: Team, settings: WorkerSettings) -> Run | None:
    after = _reference(session, team)
    if settings.train_alone:  # what was missed is caught up while its window lasts
        after = max(after, now() - timedelta(minutes=settings.rest_minutes))
    due = last_due(settings.train_cron, settings.timezone, after, now())
    if due is not None:
        return _request(session, team, RunTrigger.SCHEDULE, settings, due)
    if settings.train_alone:  # people ask in the daytime, and teach then
        return None
    if new_examples(session, team.team_id) >= settings.min_new_examples:
        return _request(session, team, RunTrigger.NEW_EXAMPLES, settings, None)
    return None


def _request(
    session: Session,
    team: Team,
    trigger: RunTrigger,
    settings: WorkerSettings,
    due: datetime | None,
) -> Run | None:
    request = runs.request_run(
        session,
        team_id=team.team_id,
        trigger=trigger,
        due_at=due,
        recipe={},  # the settings decide
    )
    return request.run if request.created else None


def _reference(session: Session, team: Team) -> datetime:
    """From when on due times count: nothing was missed before the team was there."""
    newest = select(func.max(Run.due_at)).where(Run.team_id == team.team_id)
    return session.exec(newest).one() or team.created_at


def _last_from(trigger: CronTrigger, start: datetime, until: datetime) -> datetime | None:
    found: datetime | None = None
    at = trigger.get_next_fire_time(None, start + timedelta(microseconds=1))
    while at is not None and at <= until:
        found = at
        at = trigger.get_next_fire_time(at, at + timedelta(microseconds=1))
    return found
