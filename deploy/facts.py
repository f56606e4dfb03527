"""What `mynah status` and `mynah releases` show, as plain JSON, and the report of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from bot import canary, deciding, pausing, releases
from bot.canary import Trial
from bot.deciding import Waiting
from bot.pausing import Pause
from bot.store import bases, fleet, leases, proofs, run_view, runs
from bot.store.run_view import id_of
from bot.store.schema import (
    Adapter,
    Dataset,
    Evaluation,
    Example,
    Pin,
    Release,
    Replica,
    Run,
    ServedBase,
    Team,
)


class BadInput(Exception):
    """What was typed names nothing that there is; the message says what there is."""


def one_team(session: Session, team_id: str | None) -> str:
    """The named team, or the only one there is. Raises BadInput."""
    known = session.exec(select(Team.team_id).order_by(Team.team_id)).all()
    if not known:
        raise BadInput("there is no workspace yet: start `mynah bot` once, it asks Slack which one")
    if team_id is None and len(known) > 1:
        raise BadInput(f"there are several workspaces, choose one with --team: {_list(known)}")
    if team_id is not None and team_id not in known:
        raise BadInput(f"there is no workspace {team_id}, only: {_list(known)}")
    return team_id or known[0]


def status(session: Session, team_id: str) -> dict[str, Any]:
    """What is live, the newest run with its evaluation, the servers, and how much is known."""
    release = releases.live(session, team_id)
    adapter = releases.adapter_of(session, release)
    newest = runs.newest(session, team_id, 1)
    return {
        "team": team_id,
        "paused": _pause(pausing.standing(session, team_id)),
        "live": {"release": f"v{release.number}", "adapter": adapter.name if adapter else None},
        "base": _base(bases.newest(session)),
        "waiting": _waiting(deciding.waiting(session, team_id)),
        "canary": _canary(canary.trial(session, team_id)),
        "shadow": _shadow(releases.shadow(session, team_id)),
        "worker_alive": worker_alive(session),
        "run": run_facts(session, newest[0]) if newest else None,
        "replicas": [_replica(row) for row in session.exec(select(Replica).order_by(Replica.url))],
        "examples": _examples(session, team_id),
        "facts": _facts(session, team_id, adapter.name if adapter else None),
    }


def worker_alive(session: Session) -> bool:
    """Whether a worker has said so within the last seconds: without one a queued run waits."""
    return leases.is_held(session, leases.WORKER)


def run_facts(session: Session, run: Run) -> dict[str, Any]:
    """One run, how far it is or how it ended, and what its evaluation found."""
    dataset = session.get(Dataset, run.dataset_id) if run.dataset_id else None
    adapter = session.get(Adapter, run.adapter_id) if run.adapter_id else None
    found = run_view.evaluation(session, run)
    return {
        "id": run.id,
        "trigger": run.trigger.value,
        "status": run.status.value,
        "phase": run.phase,
        "progress": round(run.progress, 3),
        "reasons": run.reasons,
        "attempts": run.attempts,
        "dataset": dataset.counts if dataset else None,
        "adapter": adapter.name if adapter else None,
        "evaluation": _evaluation(found) if found else None,
        "tried": [asdict(one) for one in run_view.tried(session, run)],
        "queued_at": run.queued_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def report(session: Session, team_id: str, run_id: int | None) -> tuple[int, str]:
    """The number of a run, or of the newest one, and its report as a page. Raises BadInput."""
    from training import run_report
    from training.report import page

    newest = next(iter(runs.newest(session, team_id, 1)), None)
    if newest is None:
        raise BadInput("there is no run yet: `mynah train` queues one")
    of_team = select(Run).where(Run.team_id == team_id, Run.id == run_id)
    run = newest if run_id is None else session.exec(of_team).first()
    if run is None:
        raise BadInput(f"there is no run {run_id}; the newest is run {newest.id}")
    return id_of(run), page(run_report.read(session, run))


def _evaluation(found: Evaluation) -> dict[str, Any]:
    verdict = {"verdict": found.verdict, "passed": found.passed, "reasons": found.reasons}
    return {**verdict, **found.figures}


def release_facts(session: Session, team_id: str) -> list[dict[str, Any]]:
    """Every release, newest first."""
    return [
        {
            "release": f"v{view.number}",
            "adapter": view.adapter_name,
            "live": view.live,
            "share": view.share,
            "action": view.action.value,
            "rolled_back": view.rolled_back,
            "other_base": view.other_base,
            "shadow": view.shadow,
            "score": view.score,
            "by": view.by,
            "at": view.at.isoformat(),
        }
        for view in releases.history(session, team_id)
    ]


def pin_facts(pin: Pin) -> dict[str, Any]:
    """One pinned question."""
    return {
        "pin": pin.id,
        "question": pin.question,
        "must": pin.must,
        "by": pin.by,
        "at": pin.created_at.isoformat(),
    }


def _pause(pause: Pause | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    return {"by": pause.by, "since": pause.since.isoformat() if pause.since else None}


def _base(row: ServedBase | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"model": row.model, "sha256": row.sha256, "since": row.at.isoformat()}


def _shadow(release: Release | None) -> dict[str, Any] | None:
    return {"release": f"v{release.number}"} if release else None


def _waiting(one: Waiting | None) -> dict[str, Any] | None:
    return {"release": f"v{one.release.number}", "run": one.run.id} if one else None


def _canary(found: Trial | None) -> dict[str, Any] | None:
    """The release on trial, and how many threads of both went well so far."""
    if found is None:
        return None
    sides = {"canary": found.canary, "live": found.live}
    counts = {name: asdict(found.count(row.release_id)) for name, row in sides.items()}
    return {
        "release": f"v{found.number}",
        "share": found.canary.share,
        "since": found.canary.at.isoformat(),
        "threads": counts,
        "so_far": found.so_far,
    }


def _replica(row: Replica) -> dict[str, Any]:
    return {
        "url": row.url,
        "healthy": row.healthy,
        "adapters": row.adapters,
        "error": row.error,
        "seen_at": row.seen_at.isoformat(),
        "stale": fleet.is_stale(row),
    }


def _examples(session: Session, team_id: str) -> dict[str, int]:
    by_status = (
        select(Example.status, func.count())
        .where(Example.team_id == team_id)
        .group_by(col(Example.status))
    )
    return {str(kind): count for kind, count in session.exec(by_status)}


def _facts(session: Session, team_id: str, live: str | None) -> dict[str, int]:
    """How many facts the weights of what is live know, and how many memory alone does."""
    found, known = proofs.count(session, team_id, proofs.of_adapter(session, live))
    return {"known_by_live": known, "memory_only": found - known}


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
