"""Conflicts in Slack: found after each lesson, shown to staff, and settled by one press."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from slack_sdk.errors import SlackApiError
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import conflicts
from bot.conflicts import Comparison
from bot.embedder import Embedder
from bot.slack import conflict_card, conflict_cards, ephemeral
from bot.slack.interactions import Listeners, Press
from bot.slack.roles import Roles
from bot.slack.workspace import Workspace
from bot.store.database import reading, transaction
from bot.store.schema import Conflict, ConflictStatus, Example, ExampleSource
from bot.store.teams import lock_team

STAFF_ONLY = "Only staff can say which of two answers is right."
UNREADABLE = "You cannot read the channel of these answers, so somebody else has to settle it."
SETTLED = "This is settled already."


class Conflicting:
    """Finds conflicts and settles them.

    Args:
        channel: where staff settle what contradicts itself; "" for nowhere: then nothing is
            replaced that only the questions' likeness speaks for.
    """

    def __init__(
        self,
        engine: Engine,
        workspace: Workspace,
        roles: Roles,
        embedder: Embedder,
        *,
        channel: str,
        said: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._workspace = workspace
        self._roles = roles
        self._embedder = embedder
        self._channel = channel
        self._said = said
        self._team_id = workspace.identity.team_id

    def register(self, listeners: Listeners) -> None:
        """Handle the buttons."""
        for action_id in conflict_card.VERDICTS:
            listeners.actions[action_id] = self._on_press

    async def compare(self) -> None:
        """Compare what has begun to count since the last time, and tell staff of what is found."""
        while found := await asyncio.to_thread(self._compare):
            links = await self._links(
                {key for one in found.found for key in (one.newer_id, one.older_id)}
            )
            await asyncio.to_thread(self._note, found, links)
        self._said()

    async def settle(self, newer_id: int, verdict: ConflictStatus, user: str) -> str | None:
        """Settle the conflicts of an example with older ones; why not, if the person may not or
        there are none."""
        if not await self._roles.is_staff(user):
            return STAFF_ONLY
        scope = await asyncio.to_thread(self._scope, newer_id)
        if scope is not None and not await self._roles.may_read(user, scope):
            return UNREADABLE
        if refusal := await asyncio.to_thread(self._settle, newer_id, verdict, user):
            return refusal
        await self.compare()  # what is put back may contradict others
        return None

    async def _on_press(self, press: Press) -> None:
        verdict = conflict_card.VERDICTS[press.action_id]
        if refusal := await self.settle(int(press.value), verdict, press.user):
            await asyncio.to_thread(self._reply, press, refusal)
        self._said()

    def _compare(self) -> Comparison | None:
        return conflicts.compare(self._engine, self._team_id, self._embedder)

    def _note(self, found: Comparison, links: dict[str, str]) -> None:
        with transaction(self._engine) as session:
            replaces = bool(self._channel)
            new = conflicts.note(session, self._team_id, found, replaces=replaces)
            conflict_cards.tell(session, self._team_id, new, self._channel, links)
            conflict_cards.follow(session, self._team_id)

    async def _links(self, examples: Iterable[int]) -> dict[str, str]:
        """Where the answers were said, by example id."""
        found: dict[str, str] = {}
        for key, source in (await asyncio.to_thread(self._sources, list(examples))).items():
            try:
                found[str(key)] = await self._workspace.link(*source) or ""
            except SlackApiError:
                found[str(key)] = ""
        return found

    def _sources(self, examples: list[int]) -> dict[int, tuple[str, str]]:
        with reading(self._engine) as session:
            rows = select(ExampleSource).where(col(ExampleSource.example_id).in_(examples))
            ordered = session.exec(rows.order_by(col(ExampleSource.ts)))
            return {row.example_id: (row.channel, row.ts) for row in ordered}

    def _scope(self, newer_id: int) -> str | None:
        with reading(self._engine) as session:
            example = session.get(Example, newer_id)
            return example.scope if example is not None else None

    def _settle(self, newer_id: int, verdict: ConflictStatus, user: str) -> str | None:
        with transaction(self._engine) as session:
            lock_team(session, self._team_id)
            waiting = [
                one for one in conflicts.of_newer(session, newer_id) if one.team_id == self._team_id
            ]
            if not waiting:
                return None if _decided_by(session, newer_id, user) else SETTLED
            for one in waiting:
                conflicts.decide(session, one, verdict, user)
            session.flush()
            conflict_cards.show(session, self._team_id, newer_id, decided=waiting[0])
            conflict_cards.follow(session, self._team_id)
            return None

    def _reply(self, press: Press, refusal: str) -> None:
        with transaction(self._engine) as session:
            ephemeral.reply(session, self._team_id, press, refusal)


def _decided_by(session: Session, newer_id: int, user: str) -> bool:
    """Whether it was this person who settled it: the same press, handled twice."""
    mine = select(Conflict.id).where(Conflict.newer_id == newer_id, Conflict.decided_by == user)
    return session.exec(mine).first() is not None
