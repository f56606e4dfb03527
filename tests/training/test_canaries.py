"""The worker watches a canary: what people did decides, once, and never against an admin."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, update
from sqlmodel import Session, col, select

from bot import deciding, pausing, releases, run_message
from bot.canary import Decision
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import (
    Audit,
    Evaluation,
    OutboxMessage,
    Release,
    Rollout,
    RolloutAction,
    Run,
    RunStatus,
    Team,
    now,
)
from deploy.sandbox.blocks import check_blocks
from tests.bot.released import promoted
from tests.bot.slack.waiting import passed
from tests.bot.threads import Threads
from tests.training.stage import CHANNEL, TEAM, worker_settings
from tests.training.test_cycle import Killed, die_at
from training.canaries import Canaries
from training.settings import WorkerSettings

Do = Callable[[Threads], object]


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return worker_settings(tmp_path, "http://127.0.0.1:9")


def worse(made: Threads) -> None:
    """The canary went well half of the times, what is live nearly always."""
    made.together((3, 50, 50), (2, 90, 10))


def fine(made: Threads) -> None:
    """The canary went as well as what is live, and a little better."""
    made.together((3, 190, 10), (2, 180, 20))


def nothing(_: Threads) -> None:
    """Nobody says anything."""


def stage(session: Session) -> Run:
    """v2 is live; v3 passed in a run, and an admin let it answer half of new threads."""
    promoted(session, "mynah-live")
    run = passed(session)
    one = deciding.find(session, TEAM, 3)
    deciding.promote(session, one, by="gate", share=0.5)
    run_message.tell(session, run, step="decided", admin_channel=CHANNEL, by="U0ADMIN")
    return run


def on_trial(engine: Engine, do: Do) -> None:
    """The canary is out, and people did something."""
    with transaction(engine) as session:
        stage(session)
        do(Threads(session))


def change(engine: Engine, do: Callable[[Session], object]) -> None:
    """Somebody changes something meanwhile."""
    with transaction(engine) as session:
        do(session)


def over(session: Session) -> None:
    """The canary's days are over."""
    session.execute(
        update(Rollout).where(col(Rollout.share) == 0.5).values(at=now() - timedelta(days=8))
    )


def decide(engine: Engine, settings: WorkerSettings) -> Decision | None:
    """What the worker decides at its next look."""
    return Canaries(settings, engine).decide(TEAM)


def live(engine: Engine) -> int:
    """The number of the release that answers."""
    with reading(engine) as session:
        return releases.live(session, TEAM).number


def last(engine: Engine) -> tuple[RolloutAction, float, str, str]:
    """What last happened to the team's releases."""
    with reading(engine) as session:
        row = session.exec(select(Rollout).order_by(col(Rollout.id).desc())).first()
        assert row is not None
        return row.action, row.share, row.by, row.reason


def told(engine: Engine) -> list[dict[str, Any]]:
    """What is said of canaries in the admins' channel."""
    with reading(engine) as session:
        rows = select(OutboxMessage).where(
            OutboxMessage.channel == CHANNEL, col(OutboxMessage.key).startswith("canary:")
        )
        return [row.payload for row in session.exec(rows)]


def the_run(engine: Engine) -> Run:
    """The run that left the canary."""
    with reading(engine) as session:
        return session.exec(
            select(Run).where(col(Run.adapter_id).is_not(None)).order_by(col(Run.id).desc())
        ).first() or Run(team_id="")


def message(engine: Engine) -> str:
    """What that run's message says by now."""
    key = f"run:{the_run(engine).id}"
    with reading(engine) as session:
        rows = select(OutboxMessage).where(col(OutboxMessage.key).startswith(key))
        newest = session.exec(rows.order_by(col(OutboxMessage.id).desc())).first()
        assert newest is not None
        return str(newest.payload["text"])


def test_a_worse_canary_is_rolled_back(store: Engine, settings: WorkerSettings) -> None:
    """To what is live: a row with the figures, its audit row, the run's end, and a message."""
    on_trial(store, worse)
    assert decide(store, settings) is Decision.ROLL_BACK
    action, share, by, reason = last(store)
    assert (action, share, by, live(store)) == (RolloutAction.ROLL_BACK, 1, "canary", 2)
    assert reason.startswith("50 of 100 threads went well, of v2's in the same time 90 of 100: ")
    with reading(store) as session:
        audit = session.exec(select(Audit).where(Audit.action == "release.roll_back")).one()
    assert (audit.actor, audit.detail["reason"]) == ("canary", reason)
    assert the_run(store).status is RunStatus.KEPT
    assert message(store).startswith(":leftwards_arrow_with_hook: Run 2: v3 was rolled back.")
    (said,) = told(store)
    assert "v3 was worse and is rolled back: v2 answers everybody." in said["text"]
    assert reason in said["text"]
    check_blocks(said["blocks"])


def test_a_canary_goes_back_to_what_is_live(store: Engine, settings: WorkerSettings) -> None:
    """Also where that was rolled back once, and an admin brought it back: not to an older one."""
    with transaction(store) as session:
        promoted(session, "mynah-live")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        releases.promote(session, Threads(session).release(2), by="U0ADMIN")
        passed(session)
        deciding.promote(session, deciding.find(session, TEAM, 3), by="gate", share=0.5)
        worse(Threads(session))
    assert decide(store, settings) is Decision.ROLL_BACK
    assert live(store) == 2


def test_one_as_good_answers_everybody(store: Engine, settings: WorkerSettings) -> None:
    """From the next question on; the run's message says so, and how to go back."""
    on_trial(store, fine)
    assert message(store).startswith(
        ":eyes: Run 2: v3 answers 50% of new threads, promoted by <@U0ADMIN>."
    )
    assert decide(store, settings) is Decision.PROMOTE
    assert last(store)[:3] == (RolloutAction.PROMOTE, 1, "canary")
    assert (live(store), the_run(store).status) == (3, RunStatus.RELEASED)
    assert message(store).startswith(":white_check_mark: Run 2: v3 is live.")
    (said,) = told(store)
    assert "v3 answers everybody now, no longer v2." in said["text"]


def test_what_nobody_uses_ends_and_asks_the_admins(store: Engine, settings: WorkerSettings) -> None:
    """What is live stays; the message has the buttons, and they work as those of any run."""
    on_trial(store, nothing)
    assert decide(store, settings) is None
    change(store, over)
    assert decide(store, settings) is Decision.NOT_ENOUGH
    assert last(store)[:3] == (RolloutAction.CANDIDATE, 0, "canary")
    (said,) = told(store)
    check_blocks(said["blocks"])
    assert [one["action_id"] for one in said["blocks"][-1]["elements"]] == [
        "admin:promote",
        "admin:discard",
    ]
    assert "its time is over: v2 answers everybody, as before" in said["text"]
    with transaction(store) as session:
        assert releases.for_thread(session, TEAM, "C1", "1.1").number == 2
        one = deciding.find(session, TEAM, None)
        assert (one.run.id, one.release.number) == (2, 3)
        deciding.promote(session, one, by="U0ADMIN")
    assert live(store) == 3
    assert decide(store, settings) is None


def test_it_gives_way_to_what_passed_meanwhile(store: Engine, settings: WorkerSettings) -> None:
    """One waits at a time: a canary whose time is over is discarded where a later run waits."""
    on_trial(store, nothing)
    change(store, lambda session: passed(session, "mynah-later"))
    change(store, over)
    assert decide(store, settings) is Decision.NOT_ENOUGH
    assert last(store)[0] is RolloutAction.DISCARD
    with reading(store) as session:
        one = deciding.waiting(session, TEAM)
        assert one is not None
        assert one.release.number == 4
        assert session.get_one(Run, 2).status is RunStatus.KEPT


@pytest.mark.parametrize(
    ("do", "decision"),
    [(worse, Decision.ROLL_BACK), (fine, None), (nothing, None)],
)
def test_paused_only_rolling_back_happens(
    store: Engine, settings: WorkerSettings, do: Do, decision: Decision | None
) -> None:
    """Nothing goes live, and nothing ends, until somebody resumes; a bad one is taken back."""
    on_trial(store, do)
    change(store, lambda session: pausing.pause(session, TEAM, by="U0ADMIN"))
    if do is nothing:
        change(store, over)
    assert decide(store, settings) is decision
    change(store, lambda session: pausing.resume(session, TEAM, by="U0ADMIN"))
    later = decide(store, settings)
    assert (later is None) == (decision is not None)


@pytest.mark.parametrize("do", [worse, fine])
def test_what_an_admin_did_meanwhile_stands(
    store: Engine, settings: WorkerSettings, do: Do
) -> None:
    """Between the worker's look and its word an admin promoted, or rolled back: nothing more."""

    on_trial(store, do)
    worker = Canaries(settings, store)
    judged = worker.judge(TEAM)
    assert judged is not None
    change(store, lambda session: releases.roll_back(session, TEAM, by="U0ADMIN", number=2))
    assert worker.carry_out(*judged) is None
    assert last(store)[2] == "U0ADMIN"
    assert told(store) == []


def test_what_failed_when_measured_again_is_not_promoted(
    store: Engine, settings: WorkerSettings
) -> None:
    """People liked it, but its newest evaluation did not pass: it is rolled back, and why."""
    on_trial(store, fine)

    def fail(session: Session) -> None:
        run = the_run(store)
        session.add(
            Evaluation(
                team_id=TEAM, run_id=1, adapter_id=run.adapter_id or 0, passed=False,
                reasons=["it forgot"],
            )
        )  # fmt: skip

    change(store, fail)
    assert decide(store, settings) is Decision.ROLL_BACK
    assert last(store)[3] == "v3 did not pass: it forgot"
    assert live(store) == 2


@pytest.mark.parametrize("do", [worse, fine, nothing])
def test_killed_at_any_write_it_is_decided_once(
    migrated_file: Path, tmp_path: Path, settings: WorkerSettings, do: Do
) -> None:
    """Whichever write did not come about any more, the next look leaves one row, one audit row and
    one message."""
    made, ends = tmp_path / "made.db", []
    shutil.copy(migrated_file, made)
    engine = open_engine(f"sqlite:///{made}")
    on_trial(engine, do)
    change(engine, over if do is nothing else lambda session: None)
    engine.dispose()
    for write in range(1, 10):
        copy = f"sqlite:///{tmp_path / str(write)}.db"
        shutil.copy(made, tmp_path / f"{write}.db")
        engine, dying = open_engine(copy), open_engine(copy)
        event.listen(dying, "commit", die_at(write))
        finished = False
        with suppress(Killed):
            decide(dying, settings)
            finished = True
        again = decide(engine, settings)
        assert (again is None) == finished
        assert decide(engine, settings) is None
        with reading(engine) as session:
            by_canary = select(Rollout).where(Rollout.by == "canary")
            audits = select(Audit).where(Audit.actor == "canary")
            actions = sorted(row.action for row in session.exec(audits))
            ends.append((len(session.exec(by_canary).all()), tuple(actions), len(told(engine))))
        engine.dispose()
        dying.dispose()
        if finished:
            break
    assert len(ends) >= 2
    assert len(set(ends)) == 1
    assert ends[0][0] == ends[0][2] == 1


async def test_each_workspace_by_itself(engine: Engine, settings: WorkerSettings) -> None:
    """A look decides on every team's canary, but for those that took the app out."""
    on_trial(engine, worse)
    with transaction(engine) as session:
        for team_id in ("T2", "T3"):
            promoted(session, f"{team_id}-a", team_id=team_id)
            promoted(session, f"{team_id}-b", team_id=team_id, share=0.5)
        over(session)
        session.get_one(Team, "T3").removed_at = now()
    await Canaries(settings, engine).look()
    with reading(engine) as session:
        found = {
            team_id: session.exec(
                select(Rollout.by, Release.number)
                .join(Release, col(Release.id) == col(Rollout.release_id))
                .where(Rollout.team_id == team_id)
                .order_by(col(Rollout.id).desc())
            ).first()
            for team_id in (TEAM, "T2", "T3")
        }
    assert found == {TEAM: ("canary", 2), "T2": ("canary", 3), "T3": ("gate", 3)}
