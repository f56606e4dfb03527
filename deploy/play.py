"""`mynah play`: the demo's set of processes, left running for somebody to try it in a browser.

What is said and what is learned of it go together: the local Slack's state and Mynah's store lie in
one directory, both survive a restart, and `--reset` forgets both.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from deploy.local import LocalSet, Ports, Say, SetFailed
from deploy.sandbox.port_holder import holder

HOME = Path(".mynah/play")
HOW_TO = """
Mynah is up: open {url}/ in a browser, and follow the first steps there.

It has read three weeks of an invented product's help desk, and learns from what you do. Whatever
the page does, Slack's own Web API does too: {url}/api/chat.postMessage takes the token xoxp-asker
or xoxp-staff. From the shell: MYNAH_DATA_DIR={home} .venv/bin/mynah status

Ctrl-C stops everything. What was said and learned stays in {home}; `--reset` starts again.
"""


def play(home: Path = HOME, say: Say = print, *, reset: bool = False) -> None:
    """Start the demo's set on the usual ports and leave it up until Ctrl-C.

    Args:
        home: where what is said and what is learned stay.
        reset: forget both first.

    Raises:
        SetFailed: ports are taken, a process did not start, or it ended by itself.
    """
    ports = Ports.usual()
    check_free(ports)
    if reset:
        forget(home)
    from deploy.base_model import small_base_model

    base = small_base_model(say)
    with suppress(KeyboardInterrupt):
        asyncio.run(_leave_up(LocalSet(home, base, ports, say=say, lived_in=True)))


async def _leave_up(whole: LocalSet) -> None:
    say = whole.say
    with whole as local:
        say("Starting a local Slack, vLLM, the worker and the bot …")
        await local.start_all()
        say(HOW_TO.format(url=local.sandbox_url, home=local.home))
        try:
            while all(  # noqa: ASYNC110 - a child process is not something that can be awaited here
                child.poll() is None for child in local.children.values()
            ):
                await asyncio.sleep(1)
        finally:
            say("Stopping, which takes about 10 s …")
        gone = next(name for name, child in local.children.items() if child.poll() is not None)
        raise SetFailed(f"mynah {gone} ended: {local.last_words(gone)}")


def check_free(ports: Ports) -> None:
    """Look at all ports before anything starts.

    Raises:
        SetFailed: names every port that is taken, and who has it.
    """
    taken = []
    for port in (ports.sandbox, ports.server, ports.worker, ports.bot):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            taken.append(f"{port} by {holder(port)}")
    if taken:
        url = f"http://127.0.0.1:{ports.sandbox}/"
        raise SetFailed(
            f"these ports are taken: {'; '.join(taken)}. If that is another `mynah play`, open "
            f"{url} or stop it with Ctrl-C; else end what holds them: the set needs all four"
        )


def forget(home: Path) -> None:
    """Remove what earlier sets left, and nothing that is not theirs."""
    if not home.exists():
        return
    there = {one.name for one in home.iterdir()}
    if not (there <= {"logs"} or there & {"mynah.db", "sandbox.db"}):
        raise SetFailed(f"{home} holds something else than what `mynah play` keeps: not removed")
    shutil.rmtree(home)
