"""The bad luck of a storm: what goes wrong when, from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

EVERY = 12  # acts between two orders of bad luck
STORM = {"duplicate": 0.3, "reorder_s": 2.0}  # 30 % of the deliveries
RETRY_S = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]  # nothing is given up while the bot starts again
METHODS = ("chat.postMessage", "chat.update", "chat.delete", "conversations.replies",
           "conversations.info", "users.info")  # fmt: skip


@dataclass(frozen=True)
class Weather:
    """When the bot is killed, and what goes wrong besides: by the number of acts done."""

    kills: list[int]
    faults: list[tuple[int, dict[str, Any]]]


def forecast(seed: int, acts: int, kills: int) -> Weather:
    """The weather over so many acts."""
    dice = Random(seed + 1)  # noqa: S311 - a storm, not a secret
    return Weather(
        kills=sorted(dice.randrange(acts) for _ in range(kills)),
        faults=[(at, _fault(dice)) for at in range(EVERY, acts, EVERY)],
    )


def beginning(seed: int) -> dict[str, Any]:
    """What goes wrong all along."""
    return {"storm": STORM | {"seed": seed}, "retry_s": RETRY_S, "ack_s": 3.0}


def _fault(dice: Random) -> dict[str, Any]:
    method, times = dice.choice(METHODS), dice.choice((1, 2, 3))
    faults: tuple[dict[str, Any], ...] = (
        {"rate_limit": {"method": method, "n": times, "retry_after": 1}},
        {"fail": {"method": method, "n": times, "status": 503}},
        {"fail": {"method": method, "n": 1, "status": 503, "applied": True}},
        {"fail": {"method": method, "n": times, "error": "internal_error"}},
        {"drop_ack": times},
        {"refresh_socket": True},
        {"drop_socket": True},
    )
    return dice.choice(faults)
