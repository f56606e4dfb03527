"""The queue of runs: one at a time, taken over when its holder dies, fenced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot.store import runs
from bot.store.database import reading, transaction
from bot.store.runs import LostRun, Request
from bot.store.schema import Audit, Run, RunStatus, RunTrigger, Team
from tests.stores import TEAM

NIGHT = datetime(2030, 1, 1, 3, tzinfo=UTC)


def request(engine: Engine, team_id: str = TEAM, **more: Any) -> Request:
    """Request a run in a transaction of its own."""
    with transaction(engine) as session:
        return runs.request_run(
            session, team_id=team_id, trigger=RunTrigger.COMMAND, recipe={"name": "sft"}, **more
        )


def claim(engine: Engine, owner: str = "worker", lease_s: float = 60) -> Run | None:
    """Claim in a transaction of its own."""
    with transaction(engine) as session:
        return runs.claim_run(session, owner, lease_s)


def must_claim(engine: Engine, owner: str = "worker", lease_s: float = 60) -> Run:
    """Claim a run that has to be there."""
    run = claim(engine, owner, lease_s)
    assert run is not None
    return run


def finish(engine: Engine, run: Run, status: RunStatus = RunStatus.KEPT) -> None:
    """End the run as its holder."""
    with transaction(engine) as session:
        runs.finish_run(session, run.id or 0, run.fence, status, ["because"])


def test_a_request_while_one_is_open_gets_that_one(store: Engine) -> None:
    """Waiting or running, a team has one run at most; after its end a new one is made."""
    first = request(store, requested_by="U1")
    assert first.created
    assert request(store) == (first.run, False)
    run = must_claim(store)
    assert request(store).run.id == run.id
    finish(store, run)
    again = request(store)
    assert again.created
    assert again.run.id != first.run.id


def test_teams_have_runs_of_their_own(store: Engine) -> None:
    """One team's waiting run does not stand in another's way."""
    assert request(store).created
    assert request(store, team_id="T2").created


def test_a_due_time_gets_one_run_however_often_it_is_noticed(store: Engine) -> None:
    """The cron time that was missed is caught up once, also after the run has ended."""
    first = request(store, due_at=NIGHT)
    finish(store, must_claim(store))
    again = request(store, due_at=NIGHT)
    assert (again.run.id, again.created) == (first.run.id, False)
    assert request(store, due_at=NIGHT.replace(day=2)).created


def test_requests_at_the_same_moment_make_one_run(store: Engine) -> None:
    """Two workers and an admin together queue one run, of a team that is known already."""
    with transaction(store) as session:
        session.add(Team(team_id=TEAM))
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: request(store), range(16)))
    assert [one.created for one in made].count(True) == 1
    assert len({one.run.id for one in made}) == 1


def test_a_request_waits_for_the_one_before_it(store: Engine) -> None:
    """A request made while another is not committed yet gets that one's run."""
    finish(store, _first_run(store))
    with ThreadPoolExecutor(1) as threads:
        with transaction(store) as session:
            first = runs.request_run(session, team_id=TEAM, trigger=RunTrigger.COMMAND, recipe={})
            second = threads.submit(request, store)
            with pytest.raises(TimeoutError):
                second.result(timeout=0.3)
        assert first.created
        assert (second.result().run.id, second.result().created) == (first.run.id, False)


def _first_run(engine: Engine) -> Run:
    request(engine)
    return must_claim(engine)


def test_one_run_at_a_time_on_the_whole_deployment(store: Engine) -> None:
    """While a run is held no other starts, not even another team's."""
    request(store)
    request(store, team_id="T2")
    first = must_claim(store)
    assert (first.team_id, first.status, first.fence) == (TEAM, RunStatus.RUNNING, 1)
    assert claim(store, "other") is None
    finish(store, first)
    assert must_claim(store, "other").team_id == "T2"


def test_claims_at_the_same_moment_start_one_run(store: Engine) -> None:
    """However many workers ask, one of them gets one of the runs."""
    for team in ("T1", "T2", "T3"):
        request(store, team_id=team)
    with ThreadPoolExecutor(8) as threads:
        claimed = list(threads.map(lambda i: claim(store, f"w{i}"), range(16)))
    assert len([run for run in claimed if run is not None]) == 1


def test_an_expired_run_is_taken_over_and_its_holder_fenced_off(store: Engine) -> None:
    """A trainer that was given up for dead can change nothing any more."""
    request(store)
    dead = must_claim(store, "dead", lease_s=-1)
    heir = must_claim(store, "heir")
    assert (heir.id, heir.fence, heir.attempts) == (dead.id, 2, 2)
    assert heir.started_at == dead.started_at
    run_id = dead.id or 0
    with pytest.raises(LostRun), transaction(store) as session:
        runs.renew_run(session, run_id, dead.fence, 60)
    with pytest.raises(LostRun), transaction(store) as session:
        runs.update_run(session, run_id, dead.fence, phase="training")
    with pytest.raises(LostRun), transaction(store) as session:
        runs.finish_run(session, run_id, dead.fence, RunStatus.RELEASED, [])
    finish(store, heir)


def test_an_expired_run_is_taken_over_by_one(store: Engine) -> None:
    """Of many workers that see the lease run out, one goes on with the run."""
    request(store)
    must_claim(store, "dead", lease_s=-1)
    with ThreadPoolExecutor(8) as threads:
        claimed = list(threads.map(lambda i: claim(store, f"w{i}"), range(16)))
    assert [run.fence for run in claimed if run is not None] == [2]


def test_a_renewed_run_is_not_taken_over(store: Engine) -> None:
    """Renewing counts from now."""
    request(store)
    run = must_claim(store, lease_s=-1)
    with transaction(store) as session:
        runs.renew_run(session, run.id or 0, run.fence, 60)
    assert claim(store, "other") is None


def test_a_run_that_is_handed_back_goes_on_at_once(store: Engine) -> None:
    """A worker that stops cleanly lets the next one continue without waiting for the lease."""
    request(store)
    run = must_claim(store)
    with transaction(store) as session:
        runs.hand_back_run(session, run.id or 0, run.fence)
    following = must_claim(store, "next")
    assert (following.id, following.fence) == (run.id, 2)


def test_a_running_run_tells_where_it_is(store: Engine) -> None:
    """Phase and progress can be read while it runs; other columns cannot be set this way."""
    request(store)
    run = must_claim(store)
    with transaction(store) as session:
        runs.update_run(session, run.id or 0, run.fence, phase="training", progress=0.5)
    with reading(store) as session:
        read = session.get_one(Run, run.id)
    assert (read.phase, read.progress) == ("training", 0.5)
    with pytest.raises(TypeError, match="status"), transaction(store) as session:
        runs.update_run(session, run.id or 0, run.fence, status=RunStatus.RELEASED)


def test_a_holder_can_make_sure_that_it_still_holds_the_run(store: Engine) -> None:
    """Setting nothing changes nothing, and tells a holder that was fenced off."""
    request(store)
    run = must_claim(store)
    with transaction(store) as session:
        runs.update_run(session, run.id or 0, run.fence)
    with reading(store) as session:
        assert session.get_one(Run, run.id) == run
    with pytest.raises(LostRun), transaction(store) as session:
        runs.update_run(session, run.id or 0, run.fence - 1)


def test_an_ended_run_keeps_its_reasons_and_stays_ended(store: Engine) -> None:
    """The end is written once, with who asked and why in the audit."""
    request(store, requested_by="U1")
    run = must_claim(store)
    finish(store, run)
    with reading(store) as session:
        ended = runs.newest(session, TEAM, 5)[0]
        rows = session.exec(select(Audit)).all()
    assert (ended.status, ended.reasons) == (RunStatus.KEPT, ["because"])
    assert ended.finished_at is not None
    assert [(row.actor, row.action) for row in rows] == [
        ("U1", "run.request"),
        ("worker", "run.kept"),
    ]
    assert rows[1].detail["reasons"] == ["because"]
    with pytest.raises(LostRun):
        finish(store, run, RunStatus.RELEASED)


def test_a_run_cannot_end_as_running(store: Engine) -> None:
    """Only ends are ends."""
    request(store)
    with pytest.raises(ValueError, match="running"):
        finish(store, must_claim(store), RunStatus.RUNNING)


def test_a_paused_team_starts_no_run(store: Engine) -> None:
    """Its run waits; other teams' runs go on."""
    request(store)
    request(store, team_id="T2")
    with transaction(store) as session:
        session.get_one(Team, TEAM).paused = True
    assert must_claim(store).team_id == "T2"


def test_the_newest_runs_come_first(store: Engine) -> None:
    """Status shows the last runs of the team alone."""
    request(store, team_id="T2")
    finish(store, must_claim(store))
    ids = []
    for _ in range(3):
        ids.append(request(store).run.id)
        finish(store, must_claim(store))
    with reading(store) as session:
        assert [run.id for run in runs.newest(session, TEAM, 2)] == [ids[2], ids[1]]
