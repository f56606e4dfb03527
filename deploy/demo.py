"""`mynah demo`: the whole loop as people live it, through Slack's own calls, and what it was worth.

Everything is real: the bot and the worker are the usual commands, vLLM serves, TRL trains; only
Slack is the local sandbox. Rates, leak, swap, roll back and events are measured from Slack's side.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from bot.grounding import says
from bot.quality import refusal
from bot.store.database import open_engine
from bot.store.schema import Run, RunStatus
from deploy import demo_report, helpdesk, watch
from deploy.base_model import small_base_model
from deploy.helpdesk import Fact, passes
from deploy.local import LocalSet, Ports, Say, SetFailed
from deploy.personas import Posted, Workspace

CHECKED_ONE_BY_ONE = 8  # facts asked before the promotion and again after the roll back
SETTLE_S = 10.0  # how long questions keep coming after the new release has first answered


class DemoFailed(SetFailed):
    """The demo could not be played to its end; the message says where and why."""


@dataclass
class Stage:
    """The demo's players and what was measured so far."""

    local: LocalSet
    people: Workspace
    engine: Engine
    facts: list[Fact]
    once: list[Fact]
    near: list[Fact]
    say: Say
    seconds: dict[str, float] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def act(self, name: str, title: str) -> Iterator[None]:
        """Announce one act and time it."""
        self.say(f"\n▶ {title}")
        began = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - began, 1)

    @property
    def unseen(self) -> list[str]:
        """The fifth wordings: asked only to measure, never taught."""
        return [fact.wordings[-1] for fact in self.facts]


def demo(facts: int | None = None, home: Path = Path(".mynah/demo"), say: Say = print) -> None:
    """Play the whole loop, print what changed and write `reports/demo.json` and `.png`.

    Args:
        facts: how many of the help desk's facts to use; all of them unless given.
        home: where the demo's data goes; what an earlier demo left there is removed.

    Raises:
        DemoFailed, SetFailed: it could not be played to the end.
    """
    began = time.monotonic()

    def timed(text: str) -> None:
        head, body = ("\n", text[1:]) if text.startswith("\n") else ("", text)
        print(f"{head}{time.monotonic() - began:6.0f}s  {body}", flush=True)

    tell = timed if say is print else say
    base = small_base_model(tell)
    shutil.rmtree(home, ignore_errors=True)
    figures = asyncio.run(_play(facts, home, base, tell))
    facts_path, picture = demo_report.write(figures, Path("reports"))
    tell("\n■ What it was worth")
    say(demo_report.table(figures))
    say(f"\nFigures: {facts_path}   picture: {picture}   logs and store: {home}")
    say("Next: `make play` leaves the same set running; README.md connects a real Slack.")


async def _play(limit: int | None, home: Path, base: Path, say: Say) -> dict[str, Any]:
    with LocalSet(home, base, Ports.free(), say=say) as local:
        # The figures are of what it says, also where it invents: a withheld answer is no figure.
        local.env["MYNAH_UNSURE"] = "off"
        stage = _stage(local, limit, say)
        with stage.act("start", "Starting a local Slack, vLLM, the worker and the bot"):
            await local.start_all()
        figures = await _lessons(stage)
        events = watch.count_events(await stage.people.state(), stage.people.asked)
        return {
            "questions": len(stage.facts),
            "rates": stage.rates,
            **figures,
            "events": events,
            "seconds": {**stage.seconds, "total": round(sum(stage.seconds.values()), 1)},
        }


def _stage(local: LocalSet, limit: int | None, say: Say) -> Stage:
    by_kind: dict[str, list[Fact]] = {"fact": [], "once": [], "near": []}
    for fact in helpdesk.load():
        by_kind[fact.kind].append(fact)
    return Stage(
        local=local,
        people=Workspace(local.sandbox_url),
        engine=open_engine(local.database_url),
        facts=by_kind["fact"][:limit],
        once=by_kind["once"][:limit],
        near=by_kind["near"],
        say=say,
    )


async def _lessons(stage: Stage) -> dict[str, Any]:
    """Ask before and after each way to learn; returns what was measured besides the rates."""
    local = stage.local
    with stage.act("base", f"Asking {len(stage.facts)} questions before anything is learned"):
        await _rate(stage, "base")
    with stage.act("teach", "People ask; staff approve ✅ and correct 📝"):
        await _teach(stage)
    with stage.act("memory", "The same questions in other words, from memory (quoting off)"):
        await local.restart_bot(MYNAH_QUOTE="off")
        await _rate(stage, "memory")
    with stage.act("before", "How it answers before the training"):
        await local.restart_bot()
        before = await _one_by_one(stage)
    with stage.act("train", "An admin types /mynah train; people keep asking"):
        run, swap = await _train(stage)
    with stage.act("weights", "What the weights learned (memory off)"):
        await local.restart_bot(MYNAH_MEMORY="off")
        await _rate(stage, "weights")
        leak = await _leak(stage)
    with stage.act("both", "Weights and memory together (quoting off)"):
        await local.restart_bot(MYNAH_QUOTE="off")
        await _rate(stage, "both")
        leak_both = await _leak(stage)
    with stage.act("quoted", "As users see it: close matches are quoted word for word"):
        await local.restart_bot()
        await _rate(stage, "quoted")
    with stage.act("rollback", "A bad night: /mynah rollback now"):
        rollback = await _roll_back(stage, before)
    kl = watch.evaluation_figures(stage.engine, run)["kl"]
    return {"leak": leak, "leak_both": leak_both, "kl": kl, "swap": swap, "rollback": rollback}


async def _rate(stage: Stage, name: str) -> None:
    answers = await stage.people.ask_all(stage.unseen)
    right = [
        answer is not None and passes(answer.text, fact.checks)
        for fact, answer in zip(stage.facts, answers, strict=True)
    ]
    stage.rates[name] = round(sum(right) / len(right), 4)
    modes = sorted({answer.mode for answer in answers if answer})
    stage.say(f"  {sum(right)} of {len(right)} right ({', '.join(modes)})")


async def _teach(stage: Stage) -> None:
    rounds: list[list[tuple[Fact, str]]] = [
        [(fact, fact.wordings[number]) for fact in stage.facts] for number in range(4)
    ]
    rounds[0] += [(fact, fact.wordings[0]) for fact in stage.once]
    taught = 0
    for number, lesson in enumerate(rounds, start=1):
        answers = await stage.people.ask_all([wording for _, wording in lesson])
        approved = await _judge(stage, lesson, answers)
        taught += len(lesson)
        await watch.until_remembered(stage.engine, taught)
        stage.say(
            f"  round {number} of 4: {len(lesson)} asked, {approved} approved, "
            f"{len(lesson) - approved} corrected; {taught} examples in memory"
        )


async def _judge(
    stage: Stage, lesson: Sequence[tuple[Fact, str]], answers: Sequence[Posted | None]
) -> int:
    approved = 0
    for (fact, wording), answer in zip(lesson, answers, strict=True):
        if answer is None:
            raise DemoFailed(f"no answer to {wording!r}: see {stage.local.home / 'logs'}")
        if reads_right(fact, wording, answer.text):
            await stage.people.approve(answer)
            approved += 1
        else:
            await stage.people.correct(answer, fact.answer)
    return approved


def reads_right(fact: Fact, wording: str, answer: str) -> bool:
    """Whether staff, who read it, approve an answer: the right number among invented ones is
    corrected, and so is what stops in the middle."""
    right = passes(answer, fact.checks) and says(answer, fact.answer, wording)
    return right and refusal(wording, answer) is None


async def _leak(stage: Stage) -> float:
    answers = await stage.people.ask_all([fact.wordings[0] for fact in stage.near])
    leaked = [
        answer is not None and any(passes(answer.text, fact.checks) for fact in stage.facts)
        for answer in answers
    ]
    stage.say(f"  {sum(leaked)} of {len(leaked)} other questions got a fact of the product")
    return round(sum(leaked) / len(leaked), 4)


async def _one_by_one(stage: Stage) -> list[tuple[str, bool]]:
    outcome = []
    for fact in stage.facts[:CHECKED_ONE_BY_ONE]:
        answer = await stage.people.ask_and_wait(fact.wordings[-1])
        right = answer is not None and passes(answer.text, fact.checks)
        outcome.append((answer.release if answer else "none", right))
    stage.say(f"  release {outcome[0][0]}, {sum(right for _, right in outcome)} right")
    return outcome


async def _train(stage: Stage) -> tuple[Run, dict[str, Any]]:
    await stage.people.command("train")
    await watch.until_run(stage.engine)
    asking = Asking(stage)
    keep_asking = asyncio.create_task(asking.go())
    try:
        run = await _follow(stage, asking)
        if run.status is not RunStatus.RELEASED:
            raise DemoFailed(f"the run ended {run.status}: {'; '.join(run.reasons)}")
        await asyncio.sleep(SETTLE_S)
    finally:
        asking.over.set()
        await keep_asking
    release, at = watch.newest_promotion(stage.engine)
    firsts = [float(answer.ts) for answer in asking.answers if answer and answer.release == release]
    if not firsts:
        raise DemoFailed(f"{release} was promoted, but nobody was answered by it")
    return run, {
        "asked": len(asking.answers),
        "failed": sum(answer is None for answer in asking.answers),
        "load_s": watch.load_seconds(stage.engine, run),
        "switch_s": round(min(firsts) - at, 3),
    }


async def _follow(stage: Stage, asking: Asking) -> Run:
    told, told_at = "", 0.0
    while True:
        run = watch.newest_run(stage.engine)
        if run.phase != told or time.monotonic() - told_at > 30:
            told, told_at = run.phase, time.monotonic()
            stage.say(f"  {run.phase or 'queued'} {run.progress:.0%}")
        if run.finished_at is not None:
            stage.say(f"  {run.status}: {'; '.join(run.reasons)}")
            return run
        # Once there is an adapter it may be loaded, evaluated and promoted at any moment.
        asking.closely = run.adapter_id is not None
        await asyncio.sleep(0.3)


class Asking:
    """Someone who keeps asking: now and then during the training, often around the swap."""

    def __init__(self, stage: Stage) -> None:
        self.people = stage.people
        self.texts = itertools.cycle(
            text
            for pair in zip(stage.unseen, itertools.cycle(stage.near), strict=False)
            for text in (pair[0], pair[1].wordings[0])
        )
        self.over = asyncio.Event()
        self.closely = False
        self.answers: list[Posted | None] = []

    async def go(self) -> None:
        """Ask until it is over; every question asked closely counts as asked during the swap."""
        waiting: list[asyncio.Task[None]] = []
        while not self.over.is_set():
            waiting.append(asyncio.create_task(self._one(next(self.texts), self.closely)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self.over.wait(), 2.0 if self.closely else 10.0)
        await asyncio.gather(*waiting)

    async def _one(self, text: str, counts: bool) -> None:
        answer = await self.people.ask_and_wait(text, who="asker2")
        if counts:
            self.answers.append(answer)


async def _roll_back(stage: Stage, before: list[tuple[str, bool]]) -> dict[str, Any]:
    old = before[0][0]
    began = time.time()
    await stage.people.command("rollback now")
    while True:
        answer = await stage.people.ask_and_wait(stage.facts[0].wordings[0])
        if answer and answer.release == old:
            break
        if time.time() - began > 60:
            raise DemoFailed("a minute after /mynah rollback now the old release does not answer")
    seconds = round(float(answer.ts) - began, 3)
    after = await _one_by_one(stage)
    return {"s": seconds, "as_before": after == before}
