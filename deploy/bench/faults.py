"""`make bench-faults`: each fault of vLLM that a bot must bear, many times, and what came of it.

Three stand-ins for vLLM hold a release's adapter; the real bot asks them, and people ask the bot.
Every second time a fault strikes all three; every fifth time the bot is killed in the middle of it.
An answer is of the wrong adapter when its log-probabilities are not those of the adapter that its
receipt names, or that is not the release's.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import httpx
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import releases
from bot.store import fleet
from bot.store.database import open_engine, reading, transaction
from bot.store.schema import Adapter, Answer, Question
from deploy.bench.passed import passed
from deploy.empty_store import make_store
from deploy.errors import in_one_line
from deploy.local import LocalSet, Ports, Say
from deploy.personas import BOT, CHANNEL
from deploy.stand_in import StandIn, Trouble
from serving.client import ChatMessage
from serving.replicas import Ready, ReplicaState

REPORT = Path("reports/faults.json")
HOME = Path(".mynah/faults")
TEAM, ADAPTER = "T0MYNAH", "mynah-0123456789ab"
SURE = -0.02  # the adapter's log-probability of each token; the base's is another
QUESTIONS = 3  # a time
KILL_EVERY = 5
WITHIN_S = 120.0  # what is not answered by then is lost
LOOK_S = 0.2
WORD = re.compile(r"Q\d+\b")
SETTINGS = {
    "MYNAH_EMBEDDER": "none",
    "MYNAH_MEMORY": "off",
    "MYNAH_UNSURE": "off",
    "MYNAH_LEASE_S": "3",
    "MYNAH_SILENCE_S": "2",
}
# The words of the table, and what goes wrong; None: the server is gone.
FAULTS: dict[str, Trouble | None] = {
    "all servers away": None,
    "one of three away": None,
    "hang without a byte": "hang",
    "drip": "drip",
    "500": "error",
    "404 for the adapter": "missing",
    "reset in mid-stream": "reset",
}

Message = dict[str, Any]


@dataclass
class Server:
    """One stand-in, which can be away."""

    port: int
    model: StandIn
    _up: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def up(self) -> None:
        """Listen."""
        await self._up.enter_async_context(self.model.served(self.port))

    async def down(self) -> None:
        """Refuse connections."""
        await self._up.aclose()

    async def suffer(self, trouble: Trouble | None) -> None:
        """Begin to go wrong."""
        self.model.trouble = trouble
        if trouble is None:
            await self.down()

    async def heal(self) -> None:
        """All is well again."""
        if self.model.trouble is None:
            await self.up()
        self.model.trouble = None


@dataclass
class Outcome:
    """What came of one fault."""

    times: int = 0
    kills: int = 0
    asked: dict[str, str] = field(default_factory=dict)  # the question's word → its ts
    answered: int = 0
    lost: int = 0
    doubled: int = 0  # whatever stands in a thread besides its one answer, notices too
    wrong_adapter: int = 0
    longest_wait_s: float = 0.0


class People:
    """Those who ask, and what they see. A context manager."""

    def __init__(self, url: str) -> None:
        kept = httpx.Limits(keepalive_expiry=2)
        self._http = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False, limits=kept)
        self._seen: dict[str, Message] = {}
        self._since = ""
        self._asked = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def ask(self) -> tuple[str, str]:
        """Ask something; its word and its ts."""
        self._asked += 1
        word = f"Q{self._asked}"
        reply = await self._http.post(
            "/api/chat.postMessage",
            json={"channel": CHANNEL, "text": f"<@{BOT}> What about {word}?"},
            headers={"Authorization": "Bearer xoxp-asker"},
        )
        return word, str(reply.json()["ts"])

    async def answered(self, asked: dict[str, str]) -> None:
        """Wait until each has its answer, but not for ever."""
        until = time.monotonic() + WITHIN_S
        while time.monotonic() < until:
            await self.look()
            if all(self.answers(word, ts) for word, ts in asked.items()):
                return
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """See what stands in the channel now."""
        query = {"parts": "messages", "channel": CHANNEL, "since": self._since}
        found = (await self._http.get("/_control/state", params=query)).json()
        self._since = found["now"]
        for message in found["messages"].get(CHANNEL, []):
            self._seen[message["ts"]] = message

    def said(self, ts: str) -> list[Message]:
        """All that the bot says in a thread."""
        found = (one for one in self._seen.values() if one.get("thread_ts") == ts)
        return [one for one in found if one.get("user") == BOT and not one.get("deleted")]

    def answers(self, word: str, ts: str) -> list[Message]:
        """What of it is the whole answer."""
        return [one for one in self.said(ts) if one["text"] == _answer(word)]


@dataclass
class Storm:
    """The parts, and what came of each fault."""

    local: LocalSet
    people: People
    servers: Sequence[Server]
    dice: Random
    settings: dict[str, str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    async def strike(self, name: str, number: int) -> None:
        """One time: something goes wrong, people ask, it is well again, they are answered."""
        outcome = self.outcomes.setdefault(name, Outcome())
        outcome.times += 1
        struck = self._struck(name, number)
        for server in struck:
            await server.suffer(FAULTS[name])
        asked = dict([await self.people.ask() for _ in range(QUESTIONS)])
        outcome.asked |= asked
        if number % KILL_EVERY == KILL_EVERY - 1:
            await asyncio.sleep(self.dice.uniform(0, 4))
            self.local.kill("bot")
            await self.local.start_bot(**self.settings)
            outcome.kills += 1
        await asyncio.sleep(self.dice.uniform(0.5, 6))
        for server in struck:
            await server.heal()
        await self.people.answered(asked)

    def _struck(self, name: str, number: int) -> Sequence[Server]:
        alone = "one" in name or (number % 2 == 0 and "all" not in name)
        return self.servers[number % 3 : number % 3 + 1] if alone else self.servers

    async def judge(self, engine: Engine) -> None:
        """Look at all that stands in the end."""
        await self.people.look()
        wrong = _wrong(engine)
        for outcome in self.outcomes.values():
            for word, ts in outcome.asked.items():
                said, answers = self.people.said(ts), self.people.answers(word, ts)
                outcome.answered += bool(answers)
                outcome.lost += not answers
                outcome.doubled += max(len(said) - 1, 0)
                outcome.wrong_adapter += ts in wrong
                waits = (float(one["ts"]) - float(ts) for one in answers)
                outcome.longest_wait_s = max([outcome.longest_wait_s, *waits])


def _wrong(engine: Engine) -> set[str]:
    """The questions that something else than the release's adapter answered."""
    with reading(engine) as session:
        rows = select(Question.ts, Answer.adapter, Answer.confidence)
        rows = rows.join(Answer, Answer.question_id == Question.id)  # type: ignore[arg-type]
        return {
            ts
            for ts, adapter, sure in session.exec(rows)
            if adapter != ADAPTER or sure is None or abs(sure - SURE) > 1e-6
        }


def _release(session: Session, urls: Sequence[str]) -> None:
    """An adapter that passed the gate and that every server has."""
    releases.ensure_team(session, TEAM)
    adapter = Adapter(
        team_id=TEAM, name=ADAPTER, sha256="0" * 64, path="/", base_model="base", base_sha256="0",
        rank=1,
    )  # fmt: skip
    releases.promote(session, passed(session, adapter), by="gate")
    ready = {ADAPTER: Ready(0.1, "2026-01-01T00:00:00+00:00")}
    for url in urls:
        fleet.write(session, ReplicaState(url, True, ready))


def _answer(word: str) -> str:
    return f"The answer to {word} is to press the green button that is next to the door."


def _script(messages: Sequence[ChatMessage]) -> str:
    found = WORD.search(messages[-1]["content"])
    return _answer(found[0] if found else "that")


def bench(*, times: int, seed: int = 1, home: Path = HOME, say: Say = print) -> dict[str, Any]:
    """Let each fault strike so many times, and return the figures.

    Raises:
        SetFailed: a process did not start.
    """
    shutil.rmtree(home, ignore_errors=True)
    with _quiet():
        return asyncio.run(_bench(times, Random(seed), home, say))  # noqa: S311 - bad luck


@contextmanager
def _quiet() -> Iterator[None]:
    """The stand-ins fail as they are told to, and would tell at length."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


async def _bench(times: int, dice: Random, home: Path, say: Say) -> dict[str, Any]:
    ports, more = Ports.free(), Ports.free()
    at = [more.server, more.worker, more.bot]
    urls = [f"http://127.0.0.1:{port}" for port in at]
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        local = stack.enter_context(LocalSet(home, home, ports, say=say))
        await asyncio.to_thread(make_store, local.database_url)
        engine = open_engine(local.database_url)
        stack.callback(engine.dispose)
        with transaction(engine) as session:
            _release(session, urls)
        servers = [
            Server(port, StandIn(_script, api_key=local.env["MYNAH_VLLM_API_KEY"])) for port in at
        ]
        for server in servers:
            server.model.adapters[ADAPTER] = SURE
            await server.up()
            stack.push_async_callback(server.down)
        await local.start_sandbox()
        settings = SETTINGS | {"MYNAH_VLLM_URLS": ",".join(urls)}
        await local.start_bot(**settings)
        people = await stack.enter_async_context(People(local.sandbox_url))
        storm = Storm(local, people, servers, dice, settings)
        await _rage(storm, times, say)
        await asyncio.sleep(2)  # what comes twice may come late
        await storm.judge(engine)
    return {
        "faults": {name: _figures(found) for name, found in storm.outcomes.items()},
        "silence_s": float(SETTINGS["MYNAH_SILENCE_S"]),
        "seconds": round(time.monotonic() - began, 1),
    }


async def _rage(storm: Storm, times: int, say: Callable[[str], None]) -> None:
    for name in FAULTS:
        say(f"  {name}")
        for number in range(times):
            await storm.strike(name, number)


def _figures(outcome: Outcome) -> dict[str, Any]:
    figures = vars(outcome) | {"asked": len(outcome.asked)}
    return figures | {"longest_wait_s": round(outcome.longest_wait_s, 1)}


def table(figures: dict[str, Any]) -> str:
    """The figures for the eye."""
    heads = ("times", "killed", "asked", "answered", "lost", "doubled", "wrong adapter", "longest")
    lines = [f"  {'':<22}" + "".join(f"{head:>{max(len(head), 6) + 2}}" for head in heads)]
    for name, one in figures["faults"].items():
        cells = [str(one[key]) for key in ("times", "kills", "asked", "answered", "lost",
                                           "doubled", "wrong_adapter")]  # fmt: skip
        cells.append(f"{one['longest_wait_s']:.1f} s")
        widths = [max(len(head), 6) + 2 for head in heads]
        row = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"  {name:<22}{row}")
    return "\n".join(lines)


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(prog="make bench-faults")
    options.add_argument("--times", type=int, default=20, help="how often each fault strikes")
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    print("▶ What goes wrong with vLLM, and what people notice", flush=True)
    figures = bench(times=chosen.times, seed=chosen.seed)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    print(f"Figures: {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench-faults"):
        main()
