"""What torch does on the GPU, in a process of its own: its memory is free again when it ends.

    python -m deploy.gpu_check.apart TASK '{"its": "arguments"}'

Its result is the last line of what it prints, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from deploy.gpu_check.steps import Failed
from training.child import one_gpu


async def apart(task: str, log: Path, *, gpu: bool, **arguments: Any) -> Any:
    """The result of one of `deploy.gpu_check.tasks`.

    Args:
        log: where its output goes.
        gpu: whether it sees one.

    Raises:
        Failed: with its last words.
    """
    # One thread on a CPU, as the worker gives a training.
    device = {"CUDA_VISIBLE_DEVICES": one_gpu()} if gpu else {"CUDA_VISIBLE_DEVICES": ""}
    device |= {} if gpu else {"OMP_NUM_THREADS": "1"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", __name__, task, json.dumps(arguments)),
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **device},
            stdout=output, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
    try:
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
    last = _last_line(log)
    if status:
        raise Failed(f"{last} (exit status {status}; see {log})")
    return json.loads(last)


def _last_line(log: Path) -> str:
    said = log.read_text("utf-8", errors="replace").strip().splitlines()
    return said[-1] if said else "it said nothing"


def main() -> None:
    """Do one task and print its result."""
    from deploy.gpu_check import tasks

    name, arguments = sys.argv[1:]
    print(json.dumps(tasks.TASKS[name](**json.loads(arguments))), flush=True)


if __name__ == "__main__":
    main()
