"""`make gpu-check`: try serving and training on this machine's GPU, step by step.

Prints a line for each step and writes `reports/gpu-check.json`. `--cpu` takes the same steps on the
CPU, with vLLM's CPU build and the small base model, to see that they work.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from pathlib import Path

from deploy.gpu_check.machine import NotHere, check

REPORT = Path("reports/gpu-check.json")
DRY_REPORT = Path("reports/gpu-check-cpu.json")
HOME = Path(".mynah/gpu-check")
BAD_INPUT = 2


def main() -> None:
    """Check what is here, try, tell; exit status 1 if a step failed, 2 if something is missing."""
    parser = argparse.ArgumentParser(prog="make gpu-check")
    parser.add_argument("--base", help="a base model's path or Hugging Face id, not random weights")
    parser.add_argument("--size", choices=("full", "small"), default="full", help="7 or 1 billion")
    parser.add_argument("--cpu", action="store_true", help="a dry run on the CPU")
    chosen = parser.parse_args()
    try:
        machine = check(dry=chosen.cpu, own_base=chosen.base is not None)
    except NotHere as error:
        print(f"gpu-check: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    from deploy.errors import in_one_line
    from deploy.gpu_check.checking import Wanted, checked

    with in_one_line("gpu-check"):
        shutil.rmtree(HOME / "run", ignore_errors=True)
        wanted = Wanted(HOME, chosen.base, chosen.size, gpu=not chosen.cpu, name=machine["gpu"])
        steps = asyncio.run(checked(wanted, lambda text: print(text, flush=True)))
    report = DRY_REPORT if chosen.cpu else REPORT
    report.parent.mkdir(exist_ok=True)
    report.write_text(json.dumps(steps.report(machine), indent=2) + "\n")
    print(f"\n{steps.table()}\n{machine['gpu']}: figures in {report}")
    sys.exit(0 if steps.passed else 1)


if __name__ == "__main__":
    main()
