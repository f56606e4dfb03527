"""`make storm`: raise a storm over the bot, tell every deviation, write `reports/storm.json`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from deploy.errors import in_one_line
from deploy.storm.run import storm

REPORT = Path("reports/storm.json")


def main() -> int:
    """Exit status 0 when nothing was lost, doubled or wrong."""
    options = argparse.ArgumentParser(prog="make storm")
    options.add_argument("--acts", type=int, default=1000)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    database_url = os.environ.get("DATABASE_URL", "")
    print(f"▶ {chosen.acts} acts, {chosen.kills} × kill -9, seed {chosen.seed}", flush=True)
    figures = storm(**vars(chosen), database_url=database_url)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    for name, value in figures.items():
        if name != "deviations":
            print(f"  {name:<18}{value}")
    print("\n".join(f"✗ {line}" for line in figures["deviations"]) or "✓ all as it must be")
    print(f"Figures: {REPORT}")
    return 1 if figures["deviations"] else 0


if __name__ == "__main__":
    with in_one_line("storm"):
        sys.exit(main())
