"""`make bench-releases`: measure, print tables, write `reports/releases.json`."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.base_model import small_base_model
from deploy.bench.figures import percentile
from deploy.bench.releases import in_place, kills, ratios, swaps
from deploy.bench.releases.farm import Farm
from deploy.errors import in_one_line

REPORT = Path("reports/releases.json")
HOME = Path(".mynah/bench-releases")
PARTS = ("one", "three", "in-place")


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="make bench-releases")
    parser.add_argument("--part", choices=PARTS, help="one of them alone; the others keep theirs")
    chosen = parser.parse_args()
    shutil.rmtree(HOME, ignore_errors=True)
    REPORT.parent.mkdir(exist_ok=True)
    figures: dict[str, Any] = json.loads(REPORT.read_text()) if chosen.part else {}
    for part in (chosen.part,) if chosen.part else PARTS:
        measured = _MEASURE[part]()
        for key, value in measured.items():
            old = figures.get(key)
            figures[key] = {**old, **value} if isinstance(old, dict) else value
        REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))
    print(f"Figures: {REPORT}")


async def _one() -> dict[str, Any]:
    """With one server: ratios, changes under load, roll backs, and the only server killed."""
    print("▶ One server", flush=True)
    async with Farm(HOME / "one", small_base_model(), 1, _say) as farm:
        first, second = farm.candidate(1), farm.candidate(2)
        await farm.until_ready(first)
        await farm.until_ready(second)
        farm.promote(first)
        return {
            **await ratios.loading(farm),
            **await ratios.answering(farm),
            "swaps": await swaps.swaps(farm, first, second),
            "rollback_p99_s": percentile(await swaps.roll_backs(farm, second), 99),
            "kills": {"the only one": await kills.kill(farm, "serve", farm.name_of(first))},
        }


async def _three() -> dict[str, Any]:
    """With three: until all are ready with a new release, and one of them killed."""
    print("▶ Three servers", flush=True)
    async with Farm(HOME / "three", small_base_model(), 3, _say) as farm:
        first = farm.candidate(1)
        await farm.until_ready(first)
        farm.promote(first)
        took = await swaps.promotions(farm, range(3000, 3000 + swaps.PROMOTIONS))
        return {
            "promote_s": percentile(took, 50),
            "kills": {"one of three": await kills.kill(farm, "serve-2", farm.name_of(first))},
        }


def _in_place() -> dict[str, Any]:
    print("▶ vLLM's own way", flush=True)
    return {"swaps": in_place.in_place(HOME / "in-place", small_base_model(), _say)}


_MEASURE: dict[str, Callable[[], dict[str, Any]]] = {
    "one": lambda: asyncio.run(_one()),
    "three": lambda: asyncio.run(_three()),
    "in-place": _in_place,
}


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    with in_one_line("bench-releases"):
        main()
