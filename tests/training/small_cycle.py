"""The real trainer process, with fewer of the base's own answers: a test has no hour."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from serving.client import VllmClient
from training.cycle import main
from training.parts import Parts, real_parts
from training.replay import Reply, base_answers, load_prompts
from training.rows import Row
from training.settings import WorkerSettings

REPLAYED = 16


def small_parts(settings: WorkerSettings) -> Parts:
    """Everything real, but for the number of replay prompts."""

    async def replay(client: VllmClient, rows: Sequence[Row], cache: Path) -> list[Reply]:
        return await base_answers(client, load_prompts()[:REPLAYED], cache)

    return replace(real_parts(settings), replay=replay)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], small_parts))
