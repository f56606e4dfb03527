"""When another base model is served: what was trained on the one before answers no more.

Nothing of it is lost. The examples, and with them memory, stay; the adapters stay, and can answer
again as soon as their own base model is served again. All functions take a session inside
`transaction(engine)`.
"""

from __future__ import annotations

from sqlmodel import Session, col, select

from bot import audit, deciding, outbox, releases, run_message
from bot.deciding import Waiting
from bot.store import bases, rollouts
from bot.store.run_view import candidate, of_release
from bot.store.schema import Audit, Release, Run, RunStatus, ServedBase
from bot.store.teams import lock_team

BY = "mynah"
CHANGED = "base.change"


def settle(session: Session, team_id: str, *, admin_channel: str) -> bool:
    """Let the base model answer in the team, end what is on trial there, and tell the admins, if
    what is served has changed since this was last done; False where there is nothing to do.

    It happens in a paused workspace, too: there is no choice.
    """
    team = lock_team(session, team_id)
    base = bases.newest(session)
    if base is None:
        return False
    before = bases.before(session, base)
    # A workspace that came later knows no other base model.
    knows = before is None or team.created_at > base.at or _is_settled(session, team_id, base)
    why = _why(base, _was(session, team_id, before))
    _end_canary(session, team_id, why, admin_channel)
    left = releases.leave_other_base(session, team_id, by=BY, reason=why)
    ended = _end_trials(session, team_id, why, admin_channel)
    shadow = releases.shadow(session, team_id)
    if shadow is not None and not bases.is_fit(session, rollouts.id_of(shadow)):
        releases.end_shadow(session, team_id, by=BY, reason=why)
        ended = True
    if knows and left is None and not ended:
        return False
    audit.record(
        session, team_id, BY, CHANGED, f"base:{base.id}",
        base=bases.named(base.model, base.sha256), left=left.number if left else None,
    )  # fmt: skip
    if admin_channel:
        key, payload = f"news:base:{base.id}", {"text": _news(session, team_id, why, left)}
        outbox.say(session, team_id=team_id, key=key, channel=admin_channel, payload=payload)
    return True


def why_changed(base: ServedBase, before: ServedBase) -> str:
    """One line that names both models."""
    return _why(base, bases.named(before.model, before.sha256))


def _why(base: ServedBase, was: str) -> str:
    return f"the base model is {bases.named(base.model, base.sha256)} now, it was {was}"


def _was(session: Session, team_id: str, before: ServedBase | None) -> str:
    """The model before; where nobody had noted it, the one that what is live was trained on."""
    if before is not None:
        return bases.named(before.model, before.sha256)
    adapter = releases.adapter_of(session, releases.live(session, team_id))
    return bases.named(adapter.base_model, adapter.base_sha256) if adapter else "another one"


def _is_settled(session: Session, team_id: str, base: ServedBase) -> bool:
    rows = select(Audit.id).where(
        Audit.team_id == team_id, Audit.action == CHANGED, Audit.subject == f"base:{base.id}"
    )
    return session.exec(rows).first() is not None


def _end_canary(session: Session, team_id: str, why: str, admin_channel: str) -> None:
    """The run that left the canary, if it does not fit, says that it answers no more."""
    canary = releases.canary(session, team_id)
    if canary is None or bases.is_fit(session, rollouts.id_of(canary)):
        return
    if (run := of_release(session, canary)) is not None:
        deciding.take_back(session, run, by=BY, reason=why)
        run_message.tell(session, run, step="rebased", admin_channel=admin_channel, by=BY)


def _end_trials(session: Session, team_id: str, why: str, admin_channel: str) -> bool:
    """Discard the candidates that do not fit, with the runs that wait for an admin; True if any."""
    unfit = [
        release
        for release in rollouts.open_candidates(session, team_id)
        if not bases.is_fit(session, rollouts.id_of(release))
    ]
    for release in unfit:
        run = _waiting(session, release)
        if run is None:
            releases.discard(session, release, by=BY, reason=why)
        else:
            deciding.discard(session, Waiting(run, release), by=BY, reason=why)
            run_message.tell(session, run, step="decided", admin_channel=admin_channel, by=BY)
    return bool(unfit)


def _waiting(session: Session, release: Release) -> Run | None:
    rows = select(Run).where(Run.team_id == release.team_id, Run.status == RunStatus.PROVEN)
    found = session.exec(rows.order_by(col(Run.id).desc()))
    return next((run for run in found if candidate(session, run) == release), None)


def _news(session: Session, team_id: str, why: str, left: Release | None) -> str:
    """What it means, and what to do."""
    number = releases.live(session, team_id).number
    answers = (
        f"v{number} answers, which is the new base model" if number == 1 else f"v{number} answers"
    )
    lines = [f"*A new base model:* {why}. {answers}; approved answers are quoted as before."]
    if left is not None:
        lines.append(
            f"v{left.number} and other adapters of the model before cannot be loaded now. They are "
            "kept: if that model is served again, `/mynah rollback VERSION` brings them back."
        )
    if usual := _brought_back(session, team_id):
        lines.append(f"v{usual} was trained on this one: `/mynah rollback v{usual}` goes to it.")
    lines.append(
        "Everything that was taught is kept. The next run trains it into the new model: "
        "`/mynah train`, or *Train now* on the Home tab, starts one now."
    )
    return "\n".join(lines)


def _brought_back(session: Session, team_id: str) -> int | None:
    """The newest release with an adapter for what is served now."""
    earlier = releases.earlier_live(session, team_id)
    fit = [view.number for view in earlier if view.adapter_name and not view.rolled_back]
    return max(fit, default=None)
