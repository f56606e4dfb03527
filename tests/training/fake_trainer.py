"""A trainer process that does what `script.json` in its data directory says for its attempt.

`python -m tests.training.fake_trainer RUN FENCE`, as the worker starts the real one. The script is
a list with one word an attempt: "wait" (until killed), "die" (SIGKILL to itself), "raise" or
"finish". Each start leaves a line "attempt pid nice" in `starts.txt`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from bot.store.database import open_engine, transaction
from bot.store.schema import Run, RunStatus
from serving.settings import read
from training import ending
from training.child import settle_in
from training.settings import WorkerSettings


def main(run_id: int, fence: int) -> None:
    """Do what the script says."""
    settle_in()
    settings = read(WorkerSettings)
    script = json.loads((settings.data_dir / "script.json").read_text())
    engine = open_engine(settings.database_url)
    with transaction(engine) as session:
        run = session.get_one(Run, run_id)
    with (settings.data_dir / "starts.txt").open("a") as file:
        file.write(f"{run.attempts} {os.getpid()} {os.nice(0)}\n")
    word = script[fence - 1]
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "raise":
        raise ValueError("the disk is full")
    while word == "wait":
        time.sleep(0.05)
    with transaction(engine) as session:
        run = session.get_one(Run, run_id)
        ending.end(session, run, fence, RunStatus.KEPT, ["played"], admin_channel="C0ADMIN")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
