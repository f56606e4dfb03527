"""`make bench`: measure one bot process, print a table, write `reports/bench.json`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from deploy.bench.figures import table
from deploy.bench.run import bench
from deploy.errors import in_one_line

REPORT = Path("reports/bench.json")


def main() -> None:
    """Measure and tell."""
    options = argparse.ArgumentParser(prog="make bench")
    options.add_argument("--embedder", default="none", help="as in MYNAH_EMBEDDER")
    chosen = options.parse_args()
    print("▶ One bot process; the model answers at once", flush=True)
    figures = bench(embedder=chosen.embedder, database_url=os.environ.get("DATABASE_URL", ""))
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(figures))
    print(f"Figures: {REPORT}")


if __name__ == "__main__":
    with in_one_line("bench"):
        main()
