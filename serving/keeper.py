"""Runs one command on a leash: when the process that started it is gone, so is the command.

`python -m serving.keeper COMMAND…`, in a process group of its own, with the leash (the read end
of a pipe) as standard input. vLLM starts several processes, and after a `kill -9` of our side they
would keep gigabytes and the port. PR_SET_PDEATHSIG would not do: it is not inherited by a child's
children, it follows the thread that forked rather than the process, and it is Linux alone. A pipe
closes whatever way its owner dies, and killing the group reaches every process in it.

Standard library only: this stays resident beside every server.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def main(command: list[str]) -> int:
    """Run the command; return its exit code (128 + the signal that ended it)."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def forward(number: int, frame: FrameType | None) -> None:
        # To vLLM's first process alone: it lets streams finish and stops the others itself.
        child.send_signal(number)

    signal.signal(signal.SIGTERM, forward)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_kill_without_owner, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _kill_without_owner() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)  # the keeper dies with the rest


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
