"""The worker's look at its servers: what it waits for, whom it asks first, and what it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import select

from bot import releases
from bot.store import fleet as rows
from bot.store import leases
from bot.store.database import reading, transaction
from bot.store.schema import InboxEvent, OutboxMessage, Replica, Rollout, Status, now
from serving.adapters import WEIGHTS, AdapterFile
from serving.resting import Rest, alone
from tests.fake_vllm import FakeVllm
from tests.training.published import candidate, discarded, live, published
from tests.training.stage import TEAM, worker_settings
from training.fleet import Fleet, Patience
from training.settings import WorkerSettings

NEVER_S = 3600.0
TIMES = 20


@pytest.fixture
def settings(tmp_path: Path, fake_vllm: FakeVllm) -> WorkerSettings:
    return worker_settings(tmp_path, fake_vllm.url)


@pytest.fixture
def files(fake_vllm: FakeVllm, tmp_path: Path) -> list[AdapterFile]:
    return [published(tmp_path / "base-model", fake_vllm.adapters_dir, seed) for seed in range(2)]


@asynccontextmanager
async def opened(
    settings: WorkerSettings, engine: Engine, every_s: float = NEVER_S, **more: Any
) -> AsyncIterator[Fleet]:
    fleet = Fleet(settings, engine, every_s, **more)
    try:
        yield fleet
    finally:
        await fleet.close()


def at_once(**more: Any) -> Patience:
    """Nothing is waited for, but for what is named."""
    none = timedelta(0)
    waits: dict[str, Any] = {"linger": none, "down": none, "missing": none, "alarm_s": 0.0}
    return Patience(**waits | more)


async def look(fleet: Fleet, engine: Engine) -> None:
    """One look at each server."""
    ask_to_look(engine)
    await fleet.look()


def replica(engine: Engine) -> Replica:
    with reading(engine) as session:
        return session.exec(select(Replica)).one()


def said(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return [row.payload["text"] for row in session.exec(select(OutboxMessage))]


def ask_to_look(engine: Engine) -> None:
    with transaction(engine) as session:
        rows.look_again(session)


async def test_a_look_is_taken_at_once_where_somebody_found_a_server_wanting(
    store: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """A bot that got a 404 leaves its wish in the store; the next glance at it brings the adapters
    back, however long the usual turn is. Without a wish nothing is asked before the turn."""
    candidate(store, files[0])
    async with opened(settings, store) as fleet:
        await fleet.look()
        for time in range(TIMES):
            fake_vllm.down()
            fake_vllm.up()
            await fleet.look()
            assert fake_vllm.adapters == {}
            ask_to_look(store)
            await fleet.look()
            assert list(fake_vllm.adapters) == [files[0].name]
            assert len(fake_vllm.loads) == time + 2
            assert list(replica(store).adapters) == [files[0].name]


async def test_what_no_release_needs_stays_while_it_may_be_named(
    store: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """A question that was claimed before the release changed may name the old adapter late: it is
    unloaded once the time is over and that question is done; one that came after does not count."""
    releases_of = [candidate(store, file) for file in files]
    async with opened(settings, store, patience=at_once()) as fleet:
        await look(fleet, store)
        with transaction(store) as session:
            claimed = InboxEvent(
                team_id=TEAM, event_id="Ev1", kind="event", lane="C1", status=Status.CLAIMED
            )
            session.add(claimed)
        discarded(store, releases_of[0])
        for _ in range(5):
            await look(fleet, store)
            assert set(fake_vllm.adapters) == {file.name for file in files}
            assert set(replica(store).adapters) == {file.name for file in files}
        with transaction(store) as session:
            session.get_one(InboxEvent, claimed.id).status = Status.DONE
            session.add(
                InboxEvent(
                    team_id=TEAM, event_id="Ev2", kind="event", lane="C1", status=Status.CLAIMED
                )
            )
        await look(fleet, store)
        await look(fleet, store)
        assert list(fake_vllm.adapters) == list(replica(store).adapters) == [files[1].name]


async def test_what_no_release_needs_stays_for_a_while(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """A bot may have read a release and not asked yet; and who promotes it again finds it there.
    A claim that never ends does not keep it for ever."""
    release = candidate(engine, files[0])
    long_ago = InboxEvent(team_id=TEAM, event_id="Ev1", kind="event", lane="C1")
    long_ago.status, long_ago.received_at = Status.CLAIMED, now() - timedelta(days=1)
    with transaction(engine) as session:
        session.add(long_ago)
    for linger, left in ((timedelta(hours=1), [files[0].name]), (timedelta(0), [])):
        patience = at_once(linger=linger, longest_linger=timedelta(0))
        async with opened(settings, engine, patience=patience) as fleet:
            await look(fleet, engine)
            discarded(engine, release)
            await look(fleet, engine)
            await look(fleet, engine)
            assert list(fake_vllm.adapters) == left


@pytest.mark.parametrize("time", range(TIMES))
async def test_a_worker_that_lost_its_lease_unloads_nothing(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile],
    time: int,
) -> None:  # fmt: skip
    """It slept while another one took over and loaded what has been wished for since: what it
    remembers is no reason to take that away. The one with the lease unloads what must go."""

    def acquire(owner: str, ttl_s: float) -> None:
        with transaction(engine) as session:
            assert leases.acquire(session, "worker", owner, ttl_s)

    def holder(owner: str) -> Any:
        return lambda session: leases.holds(session, "worker", owner)

    release = candidate(engine, files[0])
    async with (
        opened(settings, engine, patience=at_once(), holds=holder("one")) as loser,
        opened(settings, engine, patience=at_once(), holds=holder("two")) as winner,
    ):
        acquire("one", -1)
        await look(loser, engine)
        acquire("two", 60)
        discarded(engine, release)
        await look(loser, engine)
        await look(loser, engine)
        assert list(fake_vllm.adapters) == [files[0].name]
        await look(winner, engine)
        await look(winner, engine)
        assert fake_vllm.adapters == {}
        candidate(engine, files[1])
        await look(winner, engine)
        await look(loser, engine)
        assert list(fake_vllm.adapters) == [files[1].name]


async def test_an_adapter_is_ready_once_it_is_proved(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """What the store expects of it is what it is held against; what was never measured needs a sane
    answer only."""
    candidate(engine, files[0])
    candidate(engine, files[1], probed=False)
    for file in files:
        fake_vllm.voices[file.name] = "base"
    async with opened(settings, engine) as fleet:
        await look(fleet, engine)
        assert list(replica(engine).adapters) == [files[1].name]
        assert "does not answer as it was trained to" in str(replica(engine).error)
        counted = {what: number for _, what, number in fleet.counts()}
    assert (counted["loads"], counted["failed_probes"]) == (2, 1)


@pytest.mark.parametrize("fault", ["poisoned", "deaf"])
async def test_a_server_that_answers_health_alone_is_told_of_once(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile],
    fault: str,
) -> None:  # fmt: skip
    """It counts as unhealthy, its row says why, and the admins hear of it once; after it was
    started again its adapters are back."""
    live(engine, files[0])
    patience = at_once(answer_s=0.2, down=timedelta(hours=1))
    async with opened(settings, engine, patience=patience) as fleet:
        await look(fleet, engine)
        await fleet.feel()
        setattr(fake_vllm, fault, True)
        await fleet.feel()
        await fleet.feel()
        for _ in range(3):
            await look(fleet, engine)
        assert not replica(engine).healthy
        assert "answers /health, but not questions" in str(replica(engine).error)
        assert len(said(engine)) == 1
        assert "answers /health, but not questions" in said(engine)[0]
        fake_vllm.down()
        fake_vllm.up()
        await fleet.feel()
        await look(fleet, engine)
        assert (replica(engine).healthy, replica(engine).trouble_since) == (True, None)
        assert list(replica(engine).adapters) == [files[0].name]
        restarts = [number for _, what, number in fleet.counts() if what == "restarts"]
    assert restarts == [1]
    assert len(said(engine)) == 2
    assert "answers again" in said(engine)[1]


async def test_a_server_that_is_down_is_told_of_after_a_while(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """A restart is nobody's trouble; being without the server is, and each such time is said
    once, and so is that it is back."""
    live(engine, files[0])
    fake_vllm.down()
    async with opened(settings, engine, patience=at_once(down=timedelta(hours=1))) as fleet:
        for _ in range(3):
            await look(fleet, engine)
    assert said(engine) == []
    async with opened(settings, engine, patience=at_once()) as fleet:
        for times in (1, 2):
            for _ in range(3):
                await look(fleet, engine)
            assert len(said(engine)) == 2 * times - 1
            assert "A model server is in trouble since" in said(engine)[-1]
            fake_vllm.up()
            for _ in range(2):
                await look(fleet, engine)
            assert len(said(engine)) == 2 * times
            assert f"The model server at `{fake_vllm.url}` answers again" in said(engine)[-1]
            fake_vllm.down()


async def test_a_server_that_rests_is_in_no_trouble(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """Its row says that it rests and why, and nobody is alarmed, neither meanwhile nor while it
    starts again; once it was back, all is as ever."""
    settings.train_alone = True
    live(engine, files[0])
    async with opened(settings, engine, patience=at_once()) as fleet:
        device = await alone(settings.data_dir, Rest("run 7 trains", now() + timedelta(hours=1)))
        fake_vllm.down()
        await look(fleet, engine)
        assert str(replica(engine).error).startswith("rests: run 7 trains, until ")
        assert not replica(engine).healthy
        device.close()
        await look(fleet, engine)
        assert replica(engine).error == "starts again after a rest"
        rested = fleet.resting
        fake_vllm.up()
        await look(fleet, engine)
        assert (replica(engine).healthy, replica(engine).error) == (True, None)
        assert (rested, fleet.resting) == (True, False)
        assert said(engine) == []
        fake_vllm.down()
        await look(fleet, engine)
        assert "A model server is in trouble since" in said(engine)[0]


async def test_a_live_adapter_that_no_server_can_load_is_told_of(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile]
) -> None:
    """Its files are gone: it stays live, as rolling back is a person's or the canary's, and the
    admins hear what is wrong and what they can do, once. The release before it stays loaded."""
    live(engine, files[0])
    newest = live(engine, files[1])
    (files[1].path / WEIGHTS).unlink()
    async with opened(settings, engine, patience=at_once(missing=timedelta(hours=1))) as fleet:
        for _ in range(3):
            await look(fleet, engine)
    assert list(replica(engine).adapters) == [files[0].name]
    assert said(engine) == []
    async with opened(settings, engine, patience=at_once()) as fleet:
        for _ in range(3):
            await look(fleet, engine)
    (text,) = said(engine)
    assert f"v{newest.number} is live, but no model server has its adapter ready" in text
    assert files[1].name in text
    assert "/mynah rollback" in text
    with reading(engine) as session:
        assert releases.live(session, TEAM).id == newest.id
        assert len(session.exec(select(Rollout)).all()) == 5


async def test_servers_come_and_go(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile],
    tmp_path: Path,
) -> None:  # fmt: skip
    """A server that is named anew gets what the others have; one that is not named any more has no
    row, so that nobody is sent there."""
    live(engine, files[0])
    async with opened(settings, engine) as fleet:
        await look(fleet, engine)
    with FakeVllm(adapters_dir=fake_vllm.adapters_dir, base_dir=tmp_path / "base-model") as added:
        both = settings.model_copy(update={"vllm_urls": (fake_vllm.url, added.url)})
        async with opened(both, engine) as fleet:
            await look(fleet, engine)
        assert sorted(_ready(engine, files[0])) == sorted([fake_vllm.url, added.url])
        one = settings.model_copy(update={"vllm_urls": (added.url,)})
        async with opened(one, engine) as fleet:
            await look(fleet, engine)
        assert _ready(engine, files[0]) == [added.url]
        assert replica(engine).url == added.url
    assert (fake_vllm.loads, added.loads) == ([files[0].name], [files[0].name])


async def test_a_slow_server_holds_up_nobody(
    engine: Engine, settings: WorkerSettings, fake_vllm: FakeVllm, files: list[AdapterFile],
    tmp_path: Path,
) -> None:  # fmt: skip
    """One that does not answer is left to itself; the other gets its adapter meanwhile."""
    candidate(engine, files[0])
    quick = FakeVllm(adapters_dir=fake_vllm.adapters_dir, base_dir=tmp_path / "base-model")
    with quick:
        both = settings.model_copy(update={"vllm_urls": (fake_vllm.url, quick.url)})
        fake_vllm.delay_s = NEVER_S
        async with opened(both, engine, 0.05) as fleet:
            while not quick.adapters or quick.url not in _ready(engine, files[0]):
                await fleet.look()
            assert _ready(engine, files[0]) == [quick.url]
            assert fleet.named == {files[0].name}
            quick.down()
            while fleet.named is not None:
                await fleet.look()


def _ready(engine: Engine, file: AdapterFile) -> list[str]:
    with reading(engine) as session:
        return [row.url for row in session.exec(select(Replica)) if file.name in row.adapters]
