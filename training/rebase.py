"""Noticing that another base model is served than before, and what follows from it.

Only the active worker does it, when it becomes active: it renews its lease in each transaction.
Killed at any moment, the next one goes on: what is left to do is seen from the store.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import rebasing
from bot.store import bases
from bot.store.database import transaction
from bot.store.schema import Run, RunStatus, ServedBase, Team
from bot.store.teams import lock_team
from serving.base import BaseSpec
from serving.settings import name_of
from training import ending
from training.settings import WorkerSettings

log = logging.getLogger("mynah.worker")


class Rebase:
    """The base model of this worker against the one that the store knows.

    Args:
        still_active: renews the worker's lease; False where another worker has it.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        engine: Engine,
        base: BaseSpec,
        still_active: Callable[[Session], bool],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._base = base
        self._still_active = still_active

    def settle(self) -> bool:
        """Note the base model and bring each workspace to what fits it; False where the lease was
        lost on the way."""
        with transaction(self._engine) as session:
            if not self._still_active(session):
                return False
            self._note(session)
            teams = list(session.exec(select(Team.team_id).order_by(Team.team_id)))
        # One after the other: a transaction keeps all who write in that workspace waiting.
        return all(self._settle(team_id) for team_id in teams)

    def _settle(self, team_id: str) -> bool:
        with transaction(self._engine) as session:
            if not self._still_active(session):
                return False
            channel = name_of(team_id, self._settings.admin_channel)
            if rebasing.settle(session, team_id, admin_channel=channel):
                log.info("%s: the base model was changed: adapters of another are left", team_id)
        return True

    def _note(self, session: Session) -> None:
        before = bases.newest(session)
        if before is not None and before.sha256 == self._base.sha256:
            return
        base = ServedBase(model=self._base.model, sha256=self._base.sha256)
        session.add(base)
        session.flush()
        log.info("the base model is %s", bases.named(base.model, base.sha256))
        if before is not None:
            self._end_run(session, rebasing.why_changed(base, before))

    def _end_run(self, session: Session, why: str) -> None:
        """A run that is half done would go on with what it trained on the model before."""
        run = session.exec(select(Run).where(Run.status == RunStatus.RUNNING)).first()
        if run is None:
            return
        lock_team(session, run.team_id)
        channel = name_of(run.team_id, self._settings.admin_channel)
        reason = f"{why}: `/mynah train` begins anew"
        ending.end(session, run, run.fence, RunStatus.FAILED, [reason], admin_channel=channel)
