"""`mynah doctor`: everything that commonly goes wrong, side by side, and how to mend it."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from deploy.checkups import machine, servers, slack, store
from deploy.checkups.finding import AsyncCheck, Check, Finding, Level, NotLooked, Said, bad
from deploy.checkups.patient import Patient, look
from deploy.checkups.process import Process

WITHIN_S = 10.0
MARKS = {Level.OK: "ok", Level.WARNING: "!", Level.BAD: "BAD", Level.SKIPPED: "-"}

# In the order in which a person would mend them: what comes first breaks what comes after.
CHECKS: Final[Mapping[str, Check | AsyncCheck]] = {
    "settings": machine.settings,
    "packages": machine.packages,
    "disk": machine.disk,
    "free memory": machine.memory,
    "database": store.database,
    "database clock": store.clock,
    "slack token": slack.token,
    "slack delivery": slack.line,
    "slack clock": slack.clock,
    "channels": slack.channels,
    "staff and admins": slack.people,
    "base model": servers.base,
    "vllm": servers.servers,
    "adapter files": servers.adapters,
    "adapters loaded": servers.loaded,
    "worker": store.worker,
    "queues": store.queues,
    "embedder": machine.embedder,
    "memory": store.index,
}


def examine(
    processes: Collection[Process],
    *,
    checks: Mapping[str, Check | AsyncCheck] = CHECKS,
    within_s: float = WITHIN_S,
) -> list[Finding]:
    """Make every check, each in at most `within_s` seconds; what they found, in their order."""
    patient = look(processes)

    async def all_of_them() -> list[list[Finding]]:
        made = (_made(name, check, patient, within_s) for name, check in checks.items())
        return await asyncio.gather(*made)

    return [one for found in asyncio.run(all_of_them()) for one in found]


def facts(found: Sequence[Finding]) -> dict[str, Any]:
    """For machines."""
    return {"healthy": is_healthy(found), "findings": [asdict(one) for one in found]}


def lines(found: Sequence[Finding]) -> str:
    """For people."""
    width = max(len(one.check) for one in found)
    told = []
    for one in found:
        told.append(f"{MARKS[one.level]:<3}  {one.check.ljust(width)}  {one.found}")
        if one.mend:
            told.append(f"{'':<3}  {'':<{width}}  → {one.mend}")
    return "\n".join([*told, "", _summary(found)])


def is_healthy(found: Sequence[Finding]) -> bool:
    """Whether Mynah can do its work."""
    return all(one.level is not Level.BAD for one in found)


def _summary(found: Sequence[Finding]) -> str:
    count = {level: sum(one.level is level for one in found) for level in Level}
    if not count[Level.BAD]:
        return "Mynah is fine." if not count[Level.WARNING] else "Mynah works."
    return f"{count[Level.BAD]} to mend, the first ones first: they may be why the others are bad."


async def _made(
    name: str, check: Check | AsyncCheck, patient: Patient, within_s: float
) -> list[Finding]:
    try:
        async with asyncio.timeout(within_s):
            said = await _said(check, patient)
    except NotLooked as error:
        return [Finding(name, Level.SKIPPED, f"not looked at: {error}")]
    except TimeoutError:
        said = [bad(f"no answer within {within_s:g} s", "see what it waits for, and try again")]
    except Exception as error:  # noqa: BLE001  a check that breaks must not hide the others
        why = f"the check broke: {type(error).__name__}"
        said = [bad(why, "this is a defect of Mynah's; the other checks are as they say")]
    return [Finding(name, one.level, one.found, one.mend) for one in said]


async def _said(check: Check | AsyncCheck, patient: Patient) -> Sequence[Said]:
    if inspect.iscoroutinefunction(check):
        return await _awaited(check(patient))
    return await _in_thread(lambda: _plain(check(patient)))


async def _awaited(call: Awaitable[Sequence[Said]]) -> Sequence[Said]:
    return await call


def _plain(said: Any) -> Sequence[Said]:
    found: Sequence[Said] = said
    return found


async def _in_thread(work: Callable[[], Sequence[Said]]) -> Sequence[Said]:
    """What `work` gives. Not by the loop's own threads, whose end the process would await: what
    hangs is left behind."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Sequence[Said]] = loop.create_future()

    def settle(set_: Callable[..., None], value: Any) -> None:
        if not future.done():
            set_(value)

    def run() -> None:
        try:
            found = work()
        except BaseException as error:  # noqa: BLE001  it is raised where it is awaited
            _call(loop, settle, future.set_exception, error)
        else:
            _call(loop, settle, future.set_result, found)

    threading.Thread(target=run, daemon=True).start()
    return await future


def _call(loop: asyncio.AbstractEventLoop, *what: Any) -> None:
    try:
        loop.call_soon_threadsafe(*what)
    except RuntimeError:  # nobody waits any longer, and the loop is closed
        return
