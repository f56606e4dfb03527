"""A team's releases as people read them: what each is doing now, since when, by whose word."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlmodel import Session, col, select

from bot.store import bases, rollouts
from bot.store.schema import Adapter, Evaluation, Release, RolloutAction


@dataclass(frozen=True)
class ReleaseView:
    """One release and what last happened to it."""

    number: int
    adapter_name: str | None  # None: the base model
    action: RolloutAction
    share: float  # of new threads, now: 1 for the live release, 0 unless live or canary
    at: datetime
    by: str
    live: bool
    rolled_back: bool  # somebody went back from it to an earlier one, at any time
    score: float | None  # `figures["score"]` of its newest evaluation
    other_base: bool = False  # trained on another base model than is served: it cannot answer now
    shadow: bool = False  # it answers for the record alone


def history(session: Session, team_id: str) -> list[ReleaseView]:
    """Every release of the team, newest first."""
    live = rollouts.live_row(session, team_id)
    if live is None:
        return []
    canary = rollouts.canary_row(session, live)
    shares = {canary.release_id: canary.share} if canary else {}
    shares[live.release_id] = 1
    rows = select(Release).where(Release.team_id == team_id).order_by(col(Release.number).desc())
    left, shadow = _rolled_back(session, team_id), rollouts.shadow_row(session, team_id)
    views = [_view(session, release, shares, left) for release in session.exec(rows)]
    of_shadow = None if shadow is None else session.get_one(Release, shadow.release_id).number
    return [replace(view, shadow=view.number == of_shadow) for view in views]


def earlier_live(session: Session, team_id: str) -> list[ReleaseView]:
    """The releases that answered before and do not now, newest first: one can go back to them."""
    was_live = select(Release.number).where(Release.team_id == team_id, rollouts.ever_live())
    was_live = was_live.where(bases.fits())
    numbers = set(session.exec(was_live))
    views = history(session, team_id)
    return [view for view in views if view.number in numbers and not view.live]


def _view(
    session: Session, release: Release, shares: dict[int, float], left: set[int]
) -> ReleaseView:
    last = rollouts.newest_row(session, release)
    if last is None:
        raise ValueError(f"release {release.id} has no rollout")
    adapter = None if release.adapter_id is None else session.get_one(Adapter, release.adapter_id)
    share = shares.get(last.release_id, 0.0)
    return ReleaseView(
        number=release.number, adapter_name=adapter.name if adapter else None, action=last.action,
        share=share, at=last.at, by=last.by, live=share == 1,
        rolled_back=last.release_id in left, score=_score(session, release),
        other_base=not bases.is_fit(session, last.release_id),
    )  # fmt: skip


def _rolled_back(session: Session, team_id: str) -> set[int]:
    rows = select(Release.id).where(Release.team_id == team_id, rollouts.was_rolled_back())
    return {release_id for release_id in session.exec(rows) if release_id is not None}


def _score(session: Session, release: Release) -> float | None:
    if release.adapter_id is None:
        return None
    rows = select(Evaluation.figures).where(Evaluation.adapter_id == release.adapter_id)
    newest = session.exec(rows.order_by(col(Evaluation.id).desc())).first()
    score = newest.get("score") if newest else None
    return None if score is None else float(score)
