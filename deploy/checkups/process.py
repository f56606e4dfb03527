"""The processes whose needs are looked at."""

from __future__ import annotations

from enum import StrEnum


class Process(StrEnum):
    """What may run on this machine."""

    BOT = "bot"
    WORKER = "worker"
    SERVE = "serve"
