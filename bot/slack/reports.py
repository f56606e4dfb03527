"""What admins read: the state of releases, memory, runs and servers, in a few lines of mrkdwn."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, select

from bot import canary, deciding, pausing
from bot import releases as rule
from bot.deciding import WORDS, Decided
from bot.mrkdwn import escape
from bot.pausing import Pause
from bot.releases import ReleaseView
from bot.run_words import NO_WORKER, person
from bot.store import bases, fleet, leases, proofs, runs
from bot.store.schema import Example, ExampleStatus, Replica, Run, RunStatus
from serving.resting import RESTS

SHOWN = 15
NAMED = 6


def status(session: Session, team_id: str) -> str:
    """What is live, remembered, running and reachable."""
    views = rule.history(session, team_id)
    live = next((view for view in views if view.live), None)
    newest = runs.newest(session, team_id, 1)
    count = _count(session, team_id)
    lines = [
        f"*Live:* {name(live) if live else 'nothing yet'}",
        *_base(session),
        f"*Memory:* {count} approved answer{'' if count == 1 else 's'}",
        *canary_line(session, team_id),
        *shadow_line(session, team_id),
        *learned(session, team_id, live),
        f"*Last run:* {escape(run(newest[0])) if newest else 'none yet'}",
        f"*Servers:* {servers(session)}",
        *no_worker(session),
    ]
    if (one := deciding.waiting(session, team_id)) is not None:
        version = f"v{one.release.number}"
        how = f"`/mynah promote {version}` or `/mynah discard {version}`"
        lines.insert(1, f"*Waiting:* {version} of run {one.run.id} passed: {how}")
    if (pause := pausing.standing(session, team_id)) is not None:
        lines.insert(0, f"Mynah is *{paused(pause)}*. `/mynah resume` goes on.")
    return "\n".join(lines)


def no_worker(session: Session) -> list[str]:
    """A line, where no worker runs."""
    return [] if leases.is_held(session, leases.WORKER) else [f"*Worker:* {NO_WORKER}"]


def _base(session: Session) -> list[str]:
    base = bases.newest(session)
    return [f"*Base model:* {escape(bases.named(base.model, base.sha256))}"] if base else []


def paused(pause: Pause | None) -> str:
    """A pause in words: by whom and since when, as far as that is known."""
    if pause is None:
        return "paused"
    since = f" since {pause.since:%Y-%m-%d %H:%M} UTC" if pause.since else ""
    return f"paused by {person(escape(pause.by))}{since}"


def releases(session: Session, team_id: str) -> str:
    """Every release, newest first."""
    views = rule.history(session, team_id)
    one = deciding.waiting(session, team_id)
    waits = one.release.number if one else None
    lines = [_line(view, waits) for view in views[:SHOWN]]
    lines = [*canary_line(session, team_id), *lines]
    if len(views) > SHOWN:
        lines.append(f"… and {len(views) - SHOWN} older ones")
    return "\n".join(lines) or "There are no releases yet."


def others(session: Session, team_id: str) -> str:
    """One line: which releases one could go back to, with their scores; empty when there is none.

    The base is named always, however many there are.
    """
    return ", ".join(short(view) for view in few(rule.earlier_live(session, team_id)))


def few(views: Sequence[ReleaseView]) -> Sequence[ReleaseView]:
    """The newest ones and the base, however many there are."""
    return views if len(views) <= NAMED else [*views[: NAMED - 1], views[-1]]


def decided(error: Decided) -> str:
    """What became of a candidate that does not wait any more."""
    last = error.last
    why = f" ({escape(last.reason)})" if last.reason and last.share == 0 else ""
    when = f"on {last.at:%Y-%m-%d at %H:%M} UTC"
    return f"v{error.number} was {WORDS[last.action]} by {person(escape(last.by))} {when}{why}"


def where(run: Run) -> str:
    """A run's state in words, as plain text."""
    if run.status is RunStatus.RUNNING:
        return f"running ({run.phase or 'starting'}, {run.progress:.0%})"
    return run.status.value


def run(row: Run) -> str:
    """A run by its number: where it stands, and why, as plain text."""
    why = f": {'; '.join(row.reasons)}" if row.reasons else ""
    return f"{row.id}, {where(row)}{why}"


def name(view: ReleaseView) -> str:
    """A release by its number and what it answers with."""
    return f"v{view.number} ({view.adapter_name or 'the base model'})"


def _line(view: ReleaseView, waits: int | None) -> str:
    state = "*live*" if view.live else "rolled back" if view.rolled_back else view.action.value
    if view.other_base:
        state = "for another base model"
    if view.number == waits:
        state = "waits for an admin"
    if 0 < view.share < 1:
        state = f"canary, {view.share:.0%} of new threads"
    if view.shadow:
        state += ", the shadow"
    since = f"since {_at(view)} by {person(escape(view.by))}"
    return f"• {name(view)}: {state}, {_score(view)}, {since}"


def _score(view: ReleaseView) -> str:
    return f"score {view.score:.2f}" if view.score is not None else "no score"


def short(view: ReleaseView) -> str:
    """A release in a few words: its name, and how good it is."""
    what = "the base model" if view.adapter_name is None else _score(view)
    return f"v{view.number} ({what}{', rolled back' if view.rolled_back else ''})"


def learned(session: Session, team_id: str, live: ReleaseView | None) -> list[str]:
    """A line: how much of what is in memory the weights know; none while there is nothing."""
    if live is None or live.adapter_name is None:
        return []
    proof = proofs.of_adapter(session, live.adapter_name)
    found, known = proofs.count(session, team_id, proof)
    line = f"*Learned:* {known} of {found} facts; {found - known} are in memory only"
    return [line] if found else []


def canary_line(session: Session, team_id: str) -> list[str]:
    """A line: the release on trial, and how its threads went so far; none where none is."""
    found = canary.trial(session, team_id)
    if found is None:
        return []
    view = next(one for one in rule.history(session, team_id) if one.number == found.number)
    share = f"{view.share:.0%} of new threads"
    return [f"*Canary:* {name(view)}, {share} since {_at(view)}: {found.so_far}"]


def shadow_line(session: Session, team_id: str) -> list[str]:
    """A line: the release that answers for the record alone; none where none does."""
    found = next((view for view in rule.history(session, team_id) if view.shadow), None)
    return [f"*Shadow:* {name(found)}, shown to nobody: `/mynah shadow`"] if found else []


def _at(view: ReleaseView) -> str:
    return f"{view.at:%Y-%m-%d %H:%M} UTC"


def _count(session: Session, team_id: str) -> int:
    alive = (Example.team_id == team_id, Example.status == ExampleStatus.LIVE)
    return session.exec(select(func.count()).select_from(Example).where(*alive)).one()


def servers(session: Session) -> str:
    """How many servers are ready, as the worker last saw them."""
    rows = session.exec(select(Replica)).all()
    if not rows:
        return "the worker has not looked yet"
    if all(map(fleet.is_stale, rows)):
        return "the worker has not looked for a while: is it running?"
    ready = f"{sum(row.healthy for row in rows)} of {len(rows)} ready"
    resting = next((row.error for row in rows if (row.error or "").startswith(RESTS)), None)
    return f"{ready} ({escape(resting)})" if resting else ready
