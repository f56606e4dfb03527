"""A storm over the real bot: its process, a local Slack, and a model that answers at once."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Engine, func
from sqlmodel import col, select

from bot.store.database import open_engine, reading
from bot.store.schema import InboxEvent, OutboxMessage, Status
from deploy.empty_store import make_store
from deploy.local import LocalSet, Ports, Say, SetFailed
from deploy.stand_in import StandIn
from deploy.storm import verdict, weather
from deploy.storm.acts import Story, Wait
from deploy.storm.ending import CODE, Rating, ending
from deploy.storm.people import NotDone, People
from deploy.storm.plan import plan
from deploy.storm.weather import Weather
from serving.client import ChatMessage

AT_ONCE = 24  # stories
PATIENCE_S = 90.0  # how long a person waits for an answer
QUIET_WITHIN_S = 180.0
# The storm rates at random: from such ratings Mynah would learn to be unsure of everything.
SETTINGS = {
    "MYNAH_EMBEDDER": "none",
    "MYNAH_QUOTE": "off",
    "MYNAH_UNSURE": "off",
    "MYNAH_LEASE_S": "3",
}


class NeverQuiet(SetFailed):
    """The storm was over, and the bot still was not done."""


@dataclass
class Storm:
    """One storm and how far it is."""

    local: LocalSet
    people: People
    engine: Engine
    stories: Sequence[Story]
    weather: Weather
    dice: Random
    say: Say
    done: int = 0  # acts
    kills: int = 0

    async def rage(self) -> None:
        """Play all of it, and wait until everything that came of it is done."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self.people.watch())
            telling = tasks.create_task(self._tell())
            async with asyncio.TaskGroup() as raging:
                raging.create_task(self._kill())
                raging.create_task(self._trouble())
                raging.create_task(self._play())
            await self._quiet()
            watching.cancel()
            telling.cancel()
        await self.people.look()

    async def _play(self) -> None:
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(story: Story) -> None:
            async with turn:
                await self._live(story)

        await asyncio.gather(*(one(story) for story in self.stories))

    async def _live(self, story: Story) -> None:
        for number, act in enumerate(story):
            try:
                await self._await(act.wait, story[:number])
                await self.people.do(act)
            except NotDone as why:
                self.say(f"  {why}")
            self.done += 1

    async def _await(self, wait: Wait, so_far: Story) -> None:
        expected = ending([so_far])
        if wait is not Wait.NOTHING:
            await self.people.until_answered(expected, PATIENCE_S)
        if wait is Wait.RECORDED:
            until = time.monotonic() + PATIENCE_S
            while not await asyncio.to_thread(self._recorded, expected.standing):
                if time.monotonic() > until:
                    raise NotDone(f"not recorded: {expected.standing}")
                await asyncio.sleep(0.2)

    def _recorded(self, ratings: set[Rating]) -> bool:
        names = {ts: name for name, ts in self.people.ts.items()}
        return ratings <= verdict.standing(self.engine, names)[0]

    async def _kill(self) -> None:
        for at in self.weather.kills:
            await self._reach(at)
            await asyncio.sleep(self.dice.uniform(0.0, 1.0))
            self.local.kill("bot")
            self.kills += 1
            await self.local.start_bot(**SETTINGS)

    async def _trouble(self) -> None:
        for at, fault in self.weather.faults:
            await self._reach(at)
            await self.people.fault(**fault)

    async def _reach(self, act: int) -> None:
        while self.done < act:  # noqa: ASYNC110 - a number that many tasks count up
            await asyncio.sleep(0.02)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(15)
            self.say(f"  {self.done} acts, {self.kills} kills")

    async def _quiet(self) -> None:
        """Wait until Slack has nothing to deliver and every queue is empty, for a while."""
        until, calm = time.monotonic() + QUIET_WITHIN_S, 0
        while calm < 5:
            if time.monotonic() > until:
                raise NeverQuiet(f"{NeverQuiet.__doc__} {self._open()} rows wait")
            carrying = (await self.people.counts())["carrying"]
            calm = 0 if carrying or await asyncio.to_thread(self._open) else calm + 1
            await asyncio.sleep(0.2)

    def _open(self) -> int:
        with reading(self.engine) as session:
            return sum(
                session.exec(
                    select(func.count()).where(
                        col(table.status).in_((Status.WAITING, Status.CLAIMED))
                    )
                ).one()
                for table in (InboxEvent, OutboxMessage)
            )


def storm(
    *,
    acts: int = 1000,
    kills: int = 20,
    seed: int = 1,
    home: Path = Path(".mynah/storm"),
    database_url: str = "",
    say: Say = print,
) -> dict[str, Any]:
    """Raise a storm and return its figures.

    Args:
        acts: how many things people do.
        kills: how often the bot's process is killed meanwhile.
        home: where its data goes; what an earlier storm left there is removed.
        database_url: an empty store to use; SQLite in `home` unless given.

    Raises:
        SetFailed: a process did not start, or the bot never came to an end.
    """
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    figures = asyncio.run(_storm(acts, kills, seed, home, database_url, say))
    return figures | {"seconds": round(time.monotonic() - began, 1)}


async def _storm(
    acts: int, kills: int, seed: int, home: Path, database_url: str, say: Say
) -> dict[str, Any]:
    stories = plan(seed, acts)
    with LocalSet(home, home, Ports.free(), say=say, database_url=database_url) as local:
        await asyncio.to_thread(make_store, local.database_url)
        model = StandIn(_answer, api_key=local.env["MYNAH_VLLM_API_KEY"])
        await local.start_sandbox()
        async with model.served(local.ports.server), People(local.sandbox_url) as people:
            await people.fault(**weather.beginning(seed))
            await local.start_bot(**SETTINGS)
            engine = open_engine(local.database_url)
            try:
                raging = Storm(
                    local, people, engine, stories, weather.forecast(seed, acts, kills),
                    Random(seed + 2), say,  # noqa: S311 - a storm, not a secret
                )  # fmt: skip
                await raging.rage()
                found = verdict.judge(stories, people, engine)
            finally:
                engine.dispose()
            counts = await people.counts()
    return verdict.figures(
        found, seed=seed, acts=raging.done, events=counts["events"],
        deliveries=counts["deliveries"], kills=raging.kills,
        database=engine.dialect.name, cores=os.cpu_count(),
    )  # fmt: skip


def _answer(messages: Sequence[ChatMessage]) -> str:
    """It names what it was asked: the question stands first, what memory adds comes behind."""
    asked = CODE.search(messages[-1]["content"])
    return f"The answer to {asked[0] if asked else 'that'} is to press the green button."
