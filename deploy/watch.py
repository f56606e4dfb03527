"""What the demo looks up: how far a run is, what its evaluation found, what was delivered."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Engine, func
from sqlmodel import col, select

from bot.store import run_view
from bot.store.database import reading
from bot.store.schema import (
    Adapter,
    Example,
    ExampleStatus,
    Release,
    Replica,
    Rollout,
    RolloutAction,
    Run,
)
from deploy.local import SetFailed


class NothingHappened(SetFailed):
    """What was waited for did not come in time."""


async def until_remembered(engine: Engine, count: int, within_s: float = 60) -> None:
    """Wait until `count` examples are live."""
    live = select(func.count()).where(Example.status == ExampleStatus.LIVE)
    await _until(
        lambda: _number(engine, live) >= count,
        within_s,
        f"fewer than {count} examples are in memory",
    )


def newest_run(engine: Engine) -> Run:
    """The newest run."""
    with reading(engine) as session:
        run = session.exec(select(Run).order_by(col(Run.id).desc())).first()
    if run is None:
        raise NothingHappened("no run was queued")
    return run


async def until_run(engine: Engine, within_s: float = 30) -> None:
    """Wait until a run is queued."""
    runs = select(func.count()).select_from(Run)
    await _until(lambda: _number(engine, runs) > 0, within_s, "no run was queued")


def evaluation_figures(engine: Engine, run: Run) -> dict[str, Any]:
    """The figures of the run's evaluation."""
    with reading(engine) as session:
        found = run_view.evaluation(session, run)
    if found is None:
        raise NothingHappened(f"run {run.id} was not evaluated")
    return found.figures


def newest_promotion(engine: Engine) -> tuple[str, float]:
    """The release that was promoted last ("v2") and when, in seconds since the epoch."""
    query = (
        select(Release.number, Rollout.at)
        .join(Rollout, col(Rollout.release_id) == col(Release.id))
        .where(Rollout.action == RolloutAction.PROMOTE)
        .order_by(col(Rollout.id).desc())
    )
    with reading(engine) as session:
        row = session.exec(query).first()
    if row is None:
        raise NothingHappened("nothing was promoted")
    return f"v{row[0]}", row[1].timestamp()


def load_seconds(engine: Engine, run: Run) -> float:
    """From the load request for the run's adapter until the replica had it ready."""
    with reading(engine) as session:
        adapter = session.get_one(Adapter, run.adapter_id)
        replica = session.exec(select(Replica)).one()
    return round(float(replica.adapters[adapter.name]["load_s"]), 3)


def count_events(state: dict[str, Any], questions: Sequence[str]) -> dict[str, int]:
    """What Slack's side saw: events that reached the bot, questions without an answer or with two.

    Args:
        state: what `GET /_control/state` tells.
        questions: the ts of every question that was asked, each in a thread of its own.
    """
    answers = Counter(
        message.get("thread_ts")
        for messages in state["messages"].values()
        for message in messages
        if "mode" in _receipt(message)  # an answer, whoever's words it shows by now
    )
    never_acked = sum(not delivery["acked"] for delivery in state["deliveries"])
    return {
        "delivered": state["counts"]["delivered"],
        "lost": never_acked + sum(answers[ts] == 0 for ts in questions),
        "duplicated": sum(answers[ts] > 1 for ts in questions),
    }


def _receipt(message: dict[str, Any]) -> dict[str, Any]:
    payload: dict[str, Any] = (message.get("metadata") or {}).get("event_payload") or {}
    return payload


async def _until(true: Callable[[], bool], within_s: float, otherwise: str) -> None:
    until = time.monotonic() + within_s
    while not true():
        if time.monotonic() > until:
            raise NothingHappened(f"{otherwise} after {within_s:.0f} s")
        await asyncio.sleep(0.1)


def _number(engine: Engine, query: Any) -> int:
    with reading(engine) as session:
        return int(session.exec(query).one())
