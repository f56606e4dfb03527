"""`mynah serve` in small, on a machine where trainings have the device alone.

`python -m tests.serving.resting_serve DATA_DIR PORT MODEL`; it starts the `vllm` on PYTHONPATH.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from serving.engine import serve
from tests.vllm_server import server_settings


async def main(data_dir: Path, port: int, model: str) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = server_settings(data_dir, port)
    settings.train_alone = True
    await serve(settings, model, say=lambda line: print(line, flush=True), stop=stop)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
