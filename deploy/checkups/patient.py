"""The settings that are looked at, as far as they can be read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic_settings import BaseSettings

from bot.settings import BotSettings, StoreSettings
from deploy.checkups.process import Process
from deploy.settings import OperatorSettings
from serving.settings import BadSettings, ServerSettings, ServingSettings, read
from training.settings import WorkerSettings

S = TypeVar("S", bound=BaseSettings)


KINDS: dict[Process, type[ServingSettings]] = {
    Process.BOT: BotSettings, Process.WORKER: WorkerSettings, Process.SERVE: ServerSettings,
}  # fmt: skip


@dataclass(frozen=True)
class Patient:
    """What could be read; None where a setting is wrong or missing, or not needed here."""

    processes: Collection[Process]
    bot: BotSettings | None = None
    serving: ServingSettings | None = None
    store: StoreSettings | None = None
    complaints: list[str] = field(default_factory=list)  # a line for each wrong setting


def look(processes: Collection[Process]) -> Patient:
    """Read the settings of these processes, and complain of each wrong one once."""
    asks_store = Process.BOT in processes or Process.WORKER in processes
    complaints: dict[str, None] = {}
    for process in processes:
        _, said = _try(KINDS[process])
        complaints |= dict.fromkeys(said)
    return Patient(
        processes=processes,
        bot=_try(BotSettings)[0] if Process.BOT in processes else None,
        serving=_try(ServingSettings)[0],
        store=_try(OperatorSettings)[0] if asks_store else None,
        complaints=list(complaints),
    )


def _try(kind: type[S]) -> tuple[S | None, list[str]]:
    try:
        return read(kind), []
    except BadSettings as error:
        return None, str(error).split("; ")
