"""Who listens on a port of this machine, as far as this process may know."""

from __future__ import annotations

import shlex
from typing import Any

import psutil

_LONGEST = 120


def holder(port: int) -> str:
    """Whoever listens there, by process id and command line."""
    try:
        found = (one for one in psutil.net_connections("tcp") if _listens(one, port))
        pid = next((one.pid for one in found if one.pid), None)
    except psutil.Error:  # some systems let nobody but root look
        pid = None
    if pid is None:
        return "a process that is not yours to see"
    try:
        words = shlex.join(psutil.Process(pid).cmdline())
    except psutil.Error:
        words = ""
    shown = words if len(words) <= _LONGEST else f"{words[:_LONGEST]}…"
    return f"pid {pid} ({shown or 'its command line is not known'})"


def _listens(connection: Any, port: int) -> bool:
    here = connection.laddr and connection.laddr.port == port
    return bool(here and connection.status == psutil.CONN_LISTEN)
