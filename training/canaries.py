"""Watching canaries: what people do in their threads rolls one back, promotes it, or ends its time.

Whatever is decided is one transaction: the Rollout and its audit row, the run's end, and what is
said of it. So it happens once, whoever is killed, and not at all where somebody was quicker.
"""

from __future__ import annotations

import asyncio
import logging

from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import canary, canary_message, deciding, outbox, releases, run_message
from bot.canary import Decision, Trial, Verdict
from bot.run_words import CANARY
from bot.store import rollouts
from bot.store.database import reading, transaction
from bot.store.run_view import of_release, view
from bot.store.schema import Release, Run, Team, now
from bot.store.teams import lock_team
from serving.settings import name_of
from training.settings import WorkerSettings

log = logging.getLogger("mynah.canaries")


class Canaries:
    """Looks at every workspace's canary."""

    def __init__(self, settings: WorkerSettings, engine: Engine) -> None:
        self._settings = settings
        self._engine = engine

    async def look(self) -> None:
        """Decide on each canary on which there is something to decide."""
        for team_id in await asyncio.to_thread(self._teams):
            await asyncio.to_thread(self.decide, team_id)

    def decide(self, team_id: str) -> Decision | None:
        """Decide on the team's canary; None where there is none, or nothing changed."""
        judged = self.judge(team_id)
        done = self.carry_out(*judged) if judged else None
        return done.decision if done else None

    def judge(self, team_id: str) -> tuple[Trial, Verdict] | None:
        """The canary and what is to be done; None where there is none, or nothing is to be done."""
        with reading(self._engine) as session:
            found = canary.trial(session, team_id)
        if found is None:
            return None
        error, days = self._settings.canary_error, self._settings.canary_days
        verdict = canary.judge(found, error=error, days=days, at=now())
        return None if verdict.decision is Decision.GO_ON else (found, verdict)

    def carry_out(self, found: Trial, verdict: Verdict) -> Verdict | None:
        """Do it; None where Mynah is paused, or what answers is another by now."""
        with transaction(self._engine) as session:
            done = _apply(session, found, verdict, self._settings.admin_channel)
        if done is not None:
            log.info("v%s: %s (%s)", found.number, done.decision, done.reason)
        return done

    def _teams(self) -> list[str]:
        standing = select(Team.team_id).where(col(Team.removed_at).is_(None))
        with reading(self._engine) as session:
            return list(session.exec(standing))


def _apply(session: Session, found: Trial, verdict: Verdict, admin_channel: str) -> Verdict | None:
    """Do what was decided; None where the team is paused, or what answers has changed since."""
    team = lock_team(session, found.canary.team_id)
    if team.paused and verdict.decision is not Decision.ROLL_BACK:
        return None
    if not _stands(session, found):
        return None
    release = session.get_one(Release, found.canary.release_id)
    run = of_release(session, release)
    done = _change(session, found, verdict, release, run)
    _tell(session, found, done, run, name_of(team.team_id, admin_channel))
    return done


def _stands(session: Session, found: Trial) -> bool:
    """Whether the canary and what is live are still what the verdict is about."""
    live = rollouts.live_row(session, found.live.team_id)
    out = rollouts.canary_row(session, live) if live else None
    return (
        live is not None
        and out is not None
        and (live.id, out.id) == (found.live.id, found.canary.id)
    )


def _change(
    session: Session, found: Trial, verdict: Verdict, release: Release, run: Run | None
) -> Verdict:
    """Write what was decided. What was measured again meanwhile, and failed, is not promoted."""
    reason = verdict.reason
    if verdict.decision is Decision.PROMOTE:
        try:
            releases.promote(session, release, by=CANARY, reason=reason)
        except releases.NotProven as error:
            verdict = Verdict(Decision.ROLL_BACK, reason := str(error))
    if verdict.decision is Decision.ROLL_BACK:
        releases.roll_back(session, release.team_id, by=CANARY, reason=reason)
        if run is not None:
            deciding.take_back(session, run, by=CANARY, reason=reason)
    if verdict.decision is Decision.NOT_ENOUGH:
        waits = run is not None and deciding.ask(session, run, by=CANARY, reason=reason)
        releases.end_canary(session, release, by=CANARY, reason=reason, waits=waits)
    return verdict


def _tell(
    session: Session, found: Trial, verdict: Verdict, run: Run | None, admin_channel: str
) -> None:
    """Change the run's message, and say what became of its release where admins see it."""
    key, channel = f"canary:{found.canary.id}", admin_channel
    if run is not None:
        by = CANARY if verdict.decision is Decision.ROLL_BACK else ""
        run_message.tell(session, run, step=key, admin_channel=admin_channel, by=by)
        channel = channel or run.report_channel or ""
    if channel:
        outbox.say(
            session, team_id=found.canary.team_id, key=key, channel=channel,
            payload=canary_message.payload(found, verdict, view(session, run) if run else None),
        )  # fmt: skip
