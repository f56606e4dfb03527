"""What admins must hear of: a server that answers nobody, and when it is back; a live adapter that
no server has.

Nothing is rolled back for it: the adapter was proven, and what ails a server would ail another
release as well. A server's trouble is said once, a missing adapter once a day.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import mrkdwn, outbox, releases
from bot.store import rollouts
from bot.store.database import reading, transaction
from bot.store.schema import OutboxMessage, Replica, Team, now
from serving.settings import name_of
from training.settings import WorkerSettings

MOST_CHARS = 500  # of what a server said
SERVER = "server:"  # begins the key of a word about one: since when, and its URL


class Alarm(NamedTuple):
    """Something to be said to the admins of one workspace, once for each key."""

    team_id: str
    channel: str
    key: str
    text: str


class Alarms:
    """Looks at what is in trouble, and since when.

    Args:
        down: how long a server may answer nothing at all; one that is started again is back soon.
        missing: how long a live adapter may be on none of the servers that answer.
    """

    def __init__(
        self, settings: WorkerSettings, engine: Engine, down: timedelta, missing: timedelta
    ) -> None:
        self._settings, self._engine = settings, engine
        self._down, self._longest = down, missing
        self._missing: dict[int, datetime] = {}  # by rollout: since when no server has its adapter

    def tell(self, silent: Mapping[str, str], absent: Collection[str] = ()) -> None:
        """Say what there is to say to each workspace that has an admin channel.

        Args:
            silent: the servers that answer /health, but not questions, and how that shows.
            absent: the servers of which it is known why they do not answer.
        """
        with reading(self._engine) as session:
            alarms = self._found(session, silent, absent)
            found = [one for one in alarms if _is_new(session, one)]
        if found:
            with transaction(self._engine) as session:
                for one in found:
                    outbox.say(
                        session, team_id=one.team_id, key=one.key, channel=one.channel,
                        payload={"text": one.text},
                    )  # fmt: skip

    def _found(
        self, session: Session, silent: Mapping[str, str], absent: Collection[str]
    ) -> Iterator[Alarm]:
        urls = [url for url in self._settings.vllm_urls if url not in absent]
        servers = select(Replica).where(col(Replica.url).in_(urls)).order_by(col(Replica.url))
        rows = session.exec(servers).all()
        for team_id in session.exec(select(Team.team_id)).all():
            channel = name_of(team_id, self._settings.admin_channel)
            if channel:
                troubles = [*self._servers(rows, silent), *self._adapter(session, team_id, rows)]
                texts = [(key, f":warning: {text}") for key, text in troubles]
                texts += _back(session, team_id, [row for row in rows if row.url not in silent])
                yield from (Alarm(team_id, channel, key, text) for key, text in texts)

    def _adapter(
        self, session: Session, team_id: str, rows: Sequence[Replica]
    ) -> Iterator[tuple[str, str]]:
        live = rollouts.live_row(session, team_id)
        release = None if live is None else releases.live(session, team_id)
        adapter = None if release is None else releases.adapter_of(session, release)
        if live is None or release is None or adapter is None:
            return
        healthy = [row for row in rows if row.healthy]
        if not healthy or any(adapter.name in row.adapters for row in healthy):
            self._missing.pop(live.id or 0, None)
            return
        since = self._missing.setdefault(live.id or 0, now())
        if now() - since >= self._longest:
            why = next((row.error for row in healthy if row.error), None) or "it is not loaded"
            yield (
                f"not-ready:{live.id}:{now().date()}",
                f"v{release.number} is live, but no model server has its adapter ready: "
                f"`{_plain(why)}`. Its questions wait; after a while the base model answers them. "
                "`/mynah rollback` puts the release before it back.",
            )

    def _servers(
        self, rows: Sequence[Replica], silent: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        for row in rows:
            since = row.trouble_since
            if since is None or (row.url not in silent and now() - since < self._down):
                continue
            yield (
                f"{SERVER}{since.isoformat()} {row.url}",
                f"A model server is in trouble since {since:%H:%M} UTC: "
                f"`{_plain(row.error or '')}`. "
                "`mynah serve` starts it again by itself if it runs there.",
            )


def _back(session: Session, team_id: str, rows: Sequence[Replica]) -> Iterator[tuple[str, str]]:
    """Of those servers that are well again the word, where their trouble was told."""
    for row in rows:
        told = select(OutboxMessage.key).where(
            OutboxMessage.team_id == team_id,
            col(OutboxMessage.key).startswith(SERVER),
            col(OutboxMessage.key).endswith(f" {row.url}", autoescape=True),
        )
        last = session.exec(told.order_by(col(OutboxMessage.id).desc()).limit(1)).first()
        if row.trouble_since is None and last is not None:
            since = datetime.fromisoformat(last.removeprefix(SERVER).partition(" ")[0])
            yield (
                f"back:{last}",
                f":white_check_mark: The model server at `{_plain(row.url)}` answers again; it was "
                f"in trouble since {since:%H:%M} UTC.",
            )


def _is_new(session: Session, one: Alarm) -> bool:
    return outbox.said(session, one.team_id, one.key) is None


def _plain(text: str) -> str:
    """As it stands between backticks."""
    return mrkdwn.escape(text[:MOST_CHARS].replace("`", "'"))
