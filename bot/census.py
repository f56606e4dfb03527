"""What the store holds, for Prometheus: the same from every bot, so that of several one is taken
(`max`), and nothing is added up.

Looked up at most every FRESH_S seconds. Rows that never change are counted once: of a table that
grows with every question only what is new is read. An adapter has its own series while a release
in use is answered by it, and is `older` afterwards; a workspace if it is one of the first TEAMS,
and is `other` else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily
from sqlalchemy import ColumnElement, Engine, Select, and_, func, or_, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col

from bot import releases
from bot.figures import OLDER, OTHER, TEAMS
from bot.store import fleet, rollouts
from bot.store.database import reading
from bot.store.schema import (
    Answer,
    AnswerExample,
    Feedback,
    InboxEvent,
    OutboxMessage,
    Release,
    Replica,
    Rollout,
    RolloutAction,
    Team,
    now,
)
from serving.client import BASE

log = logging.getLogger(__name__)
FRESH_S = 10.0
# Rows get their ids before they are committed: the newest ones are counted anew each time.
UNSETTLED_IDS = 1000
PREFIX = "mynah_store_"
HINT = "(from the store, the same in each bot: take max)"

Labels = tuple[str, ...]
Count = Mapping[Labels, float]


class Tally:
    """Counts the rows of a table that only grows, by columns that never change in them."""

    def __init__(self, number: Any, rows: Select[Any], columns: Sequence[Any]) -> None:
        self._number = number  # the column that grows
        self._rows = rows
        self._columns = columns
        self._settled = 0
        self._counts: Counter[Labels] = Counter()

    def read(self, session: Session) -> Counter[Labels]:
        """How many rows there are, by the columns' values."""
        newest = session.scalar(select(func.max(self._number))) or 0
        edge = max(newest - UNSETTLED_IDS, self._settled)
        self._counts += self._between(session, self._settled, edge)
        self._settled = edge
        return self._counts + self._between(session, edge, newest)

    def _between(self, session: Session, after: int, upto: int) -> Counter[Labels]:
        if upto <= after:
            return Counter()
        rows = self._rows.add_columns(*self._columns, func.count()).group_by(*self._columns)
        found = session.execute(rows.where(self._number > after, self._number <= upto))
        return Counter({tuple(_name(one) for one in labels): count for *labels, count in found})


def _answers() -> Tally:
    return Tally(Answer.id, select(), (Answer.team_id, Answer.mode, Answer.adapter))


def _recognised() -> Tally:
    rows = select().select_from(AnswerExample)
    rows = rows.join(Answer, col(AnswerExample.answer_id) == Answer.id)
    known = rows.where(col(AnswerExample.recognised_logprob).is_not(None))
    columns = (Answer.team_id, Answer.mode, Answer.adapter)
    return Tally(AnswerExample.answer_id, known, columns)


def _feedback() -> Tally:
    rows = select().select_from(Feedback).join(Answer, col(Feedback.answer_id) == Answer.id)
    return Tally(Feedback.id, rows, (Feedback.team_id, Feedback.kind, Answer.adapter))


@dataclass
class Tallies:
    """What is counted on from the last time."""

    answers: Tally = field(default_factory=_answers)
    recognised: Tally = field(default_factory=_recognised)
    feedback: Tally = field(default_factory=_feedback)


@dataclass(frozen=True)
class Found:
    """One look at the store."""

    named: frozenset[str] = frozenset()  # adapters that have series of their own
    families: Sequence[GaugeMetricFamily] = ()


class Census:
    """A collector for a Prometheus registry; while the store is away it says that alone."""

    def __init__(self, engine: Engine, *, fresh_s: float = FRESH_S) -> None:
        self._engine = engine
        self._fresh_s = fresh_s
        self._tallies = Tallies()
        self._lock = threading.Lock()
        self._due = float("-inf")
        self.found = Found()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The families, as prometheus_client asks for them."""
        up = GaugeMetricFamily(f"{PREFIX}up", "1 while this bot reaches the store")
        up.add_metric((), self._look())
        yield up
        yield from self.found.families

    def _look(self) -> bool:
        with self._lock:
            if time.monotonic() < self._due:
                return True
            try:
                with reading(self._engine) as session:
                    self.found = _read(session, self._tallies)
            except SQLAlchemyError as error:
                log.warning("the store was not counted: %s", getattr(error, "orig", error))
                self.found = Found(self.found.named)
                return False
            self._due = time.monotonic() + self._fresh_s
            return True


def _read(session: Session, tallies: Tallies) -> Found:
    known = _known(session)
    shares = _shares(session, known.teams)
    servers = _servers(session)
    answers, recognised, feedback = (
        known.folded(tally.read(session))
        for tally in (tallies.answers, tallies.recognised, tallies.feedback)
    )
    families = [
        *_queues(session),
        _family("answers", "Answers by where they come from", "team mode adapter", answers),
        _family(
            "answers_recognised", "Answers whose example weights recognised", "team mode adapter",
            recognised,
        ),
        _family(
            "feedback", "Feedback as it was given; what was taken back counts too",
            "team kind adapter", feedback,
        ),
        _family(
            "rollouts", "Changes of what answers", "team action", _rollouts(session, known)
        ),
        _family(
            "release_share", "Share of new threads that a release answers", "team release adapter",
            shares,
        ),
        _family(
            "release_replicas", "Servers that are up and have the release ready",
            "team release adapter", _ready(shares, servers),
        ),
        _family("replicas", "Servers by how the worker last saw them", "state", _states(servers)),
    ]  # fmt: skip
    return Found(known.adapters, families)


@dataclass(frozen=True)
class _Known:
    """Who has series of their own."""

    teams: Sequence[str]
    adapters: frozenset[str]

    def folded(self, counts: Counter[Labels]) -> Count:
        """By (team, anything, adapter); what has no series of its own is summed."""
        summed: Counter[Labels] = Counter()
        for (team, what, adapter), count in counts.items():
            summed[self.team(team), what, self._adapter(adapter)] += count
        return summed

    def team(self, team: str) -> str:
        return team if team in self.teams else OTHER

    def _adapter(self, adapter: str) -> str:
        return adapter if adapter in self.adapters or adapter == BASE else OLDER


def _known(session: Session) -> _Known:
    rows = select(col(Team.team_id)).order_by(col(Team.created_at), col(Team.team_id))
    teams = list(session.scalars(rows.limit(TEAMS)))
    wanted = {one for team in teams for one in rollouts.wanted(session, team)}
    in_use = (session.get_one(Release, one) for one in wanted)
    adapters = (releases.adapter_of(session, one) for one in in_use)
    return _Known(teams, frozenset(one.name for one in adapters if one is not None))


def _shares(session: Session, teams: Sequence[str]) -> Count:
    """By (team, release, adapter): what is live, and the canary."""
    shares: dict[Labels, float] = {}
    for team in teams:
        live = rollouts.live_row(session, team)
        canary = rollouts.canary_row(session, live) if live else None
        taken = canary.share if canary else 0.0
        for row, share in ((live, 1 - taken), (canary, taken)):
            if row is not None:
                shares[team, *_release(session, row)] = share
    return shares


def _release(session: Session, row: Rollout) -> tuple[str, str]:
    release = session.get_one(Release, row.release_id)
    adapter = releases.adapter_of(session, release)
    return f"v{release.number}", adapter.name if adapter else BASE


def _servers(session: Session) -> Mapping[str, Sequence[Replica]]:
    """By state; a server that nobody has looked at for long is neither up nor down."""
    found: dict[str, list[Replica]] = {"up": [], "down": [], "stale": []}
    for row in session.scalars(select(Replica)):
        found["stale" if fleet.is_stale(row) else "up" if row.healthy else "down"].append(row)
    return found


def _states(servers: Mapping[str, Sequence[Replica]]) -> Count:
    return {(state,): len(rows) for state, rows in servers.items()}


def _ready(shares: Count, servers: Mapping[str, Sequence[Replica]]) -> Count:
    return {
        labels: sum(labels[2] in (BASE, *row.adapters) for row in servers["up"])
        for labels in shares
    }


def _rollouts(session: Session, known: _Known) -> Count:
    columns = (col(Rollout.team_id), col(Rollout.action))
    # From the start at 0: a first roll back is a rise, too.
    summed: Counter[Labels] = Counter(
        {(team, str(action)): 0 for team in known.teams for action in RolloutAction}
    )
    for team, action, count in session.execute(select(*columns, func.count()).group_by(*columns)):
        summed[known.team(team), _name(action)] += count
    return summed


def _queues(session: Session) -> list[GaugeMetricFamily]:
    """By queue, as the bot works them off: see `bot.watching`."""
    length: dict[Labels, float] = {}
    age: dict[Labels, float] = {}
    given_up: dict[Labels, float] = {}
    for name, table, born, only in _QUEUES:
        # Spelled out, as the partial indexes are: only then do the planners use them.
        waiting, failed = (text(f"{table.__tablename__}.status {one}") for one in _STATES)
        rows = select(func.count(), func.min(born)).select_from(table).where(waiting, only)
        open_rows, oldest = session.execute(rows).one()
        length[(name,)] = open_rows
        age[(name,)] = max((now() - oldest).total_seconds(), 0.0) if oldest else 0.0
        gone = select(func.count()).select_from(table).where(failed, only)
        given_up[(name,)] = session.scalar(gone) or 0
    return [
        _family("queue_length", "Rows that wait or are worked on", "queue", length),
        _family("queue_age_seconds", "Age of the oldest of them", "queue", age),
        _family("given_up", "Rows given up", "queue", given_up),
    ]


_STATES = ("IN ('waiting', 'claimed')", "= 'failed'")
_QUESTION, _SHADOW = (col(InboxEvent.kind) == kind for kind in ("question", "shadow"))
_QUEUES: Final[Sequence[tuple[str, Any, Any, ColumnElement[bool]]]] = (
    ("deliveries", InboxEvent, col(InboxEvent.received_at), ~or_(_QUESTION, _SHADOW)),
    ("questions", InboxEvent, col(InboxEvent.received_at), _QUESTION),
    ("shadows", InboxEvent, col(InboxEvent.received_at), _SHADOW),
    ("outbox", OutboxMessage, col(OutboxMessage.created_at), and_(True)),
)


def _family(name: str, what: str, labels: str, counts: Count) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"{PREFIX}{name}", f"{what} {HINT}", labels=labels.split())
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _name(value: Any) -> str:
    """A label's value; of an answer without an adapter it is the base's."""
    return BASE if value is None else str(value)
