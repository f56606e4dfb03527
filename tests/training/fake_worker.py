"""A real worker process with the fake trainer, and with leases that run out in a second."""

from __future__ import annotations

import asyncio
import logging
import sys

from serving.settings import read
from training.settings import WorkerSettings
from training.worker import Pace, run

PACE = Pace(lease_s=1.5, due_s=0.2, look_s=0.1, reconcile_s=0.3)
TRAINER = (sys.executable, "-m", "tests.training.fake_trainer")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    asyncio.run(run(read(WorkerSettings), pace=PACE, trainer=TRAINER))
