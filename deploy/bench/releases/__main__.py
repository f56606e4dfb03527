"""`make bench-releases`: measure, print tables, write `reports/releases.json`."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
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
Figures = dict[str, Any]
_BEGAN = time.monotonic()


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="make bench-releases")
    parser.add_argument("--part", choices=PARTS, help="one of them alone; the others keep theirs")
    chosen = parser.parse_args()
    shutil.rmtree(HOME, ignore_errors=True)
    REPORT.parent.mkdir(exist_ok=True)
    kept = REPORT.read_text() if chosen.part and REPORT.exists() else "{}"
    figures: Figures = json.loads(kept)
    for part in (chosen.part,) if chosen.part else PARTS:
        asyncio.run(_keep(_MEASURE[part](), figures))
    print(json.dumps(figures, indent=2))
    print(f"Figures: {REPORT}")


async def _keep(measured: AsyncIterator[Figures], figures: Figures) -> None:
    """Add what was measured, and write it down at once: what comes after it may fail."""
    async for found in measured:
        _add(found, figures)


def _add(found: Figures, figures: Figures) -> None:
    for key, value in found.items():
        old = figures.get(key)
        figures[key] = {**old, **value} if isinstance(old, dict) else value
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")


async def _one() -> AsyncIterator[Figures]:
    """With one server: ratios, changes under load, roll backs, and the only server killed."""
    _say("▶ One server")
    async with Farm(HOME / "one", small_base_model(), 1, _say) as farm:
        first, second = farm.candidate(1), farm.candidate(2)
        await farm.until_ready(first)
        await farm.until_ready(second)
        farm.promote(first)
        yield await ratios.loading(farm)
        yield await ratios.answering(farm)
        yield {"swaps": await swaps.swaps(farm, first, second)}
        yield {"rollback_p99_s": percentile(await swaps.roll_backs(farm, second), 99)}
        yield {"kills": {"the only one": await kills.kill(farm, "serve", farm.name_of(first))}}


async def _three() -> AsyncIterator[Figures]:
    """With three: until all are ready with a new release, and one of them killed."""
    _say("▶ Three servers")
    async with Farm(HOME / "three", small_base_model(), 3, _say) as farm:
        first = farm.candidate(1)
        await farm.until_ready(first)
        farm.promote(first)
        took = await swaps.promotions(farm, range(3000, 3000 + swaps.PROMOTIONS))
        yield {"promote_s": percentile(took, 50)}
        yield {"kills": {"one of three": await kills.kill(farm, "serve-2", farm.name_of(first))}}


async def _in_place() -> AsyncIterator[Figures]:
    """Plain vLLM's other adapter under the same name."""
    _say("▶ vLLM's own way")
    yield {"swaps": await in_place.in_place(HOME / "in-place", small_base_model(), _say)}


_MEASURE: dict[str, Callable[[], AsyncIterator[Figures]]] = {
    "one": _one,
    "three": _three,
    "in-place": _in_place,
}


def _say(text: str) -> None:
    print(f"{time.monotonic() - _BEGAN:7.0f}s  {text}", flush=True)


if __name__ == "__main__":
    with in_one_line("bench-releases"):
        main()
