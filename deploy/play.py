"""`mynah play`: the demo's set of processes, left running for somebody to try it by hand."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from deploy.base_model import small_base_model
from deploy.local import LocalSet, Ports, Say, SetFailed

HOME = Path(".mynah/play")
HOW_TO = """
Mynah is up. Watch in a browser what is said: {url}/

It knows nothing of the invented product Fernloft yet: teach it, from another terminal. People act
through Slack's own Web API; this makes the calls short:

  slack() {{ method=$1 who=$2; shift 2
    curl -s {url}/api/$method -H "Authorization: Bearer xoxp-$who" "$@"; echo; }}

Ask. TS is the ts that comes back; the answer stands in that thread, the first after about 10 s:

  slack chat.postMessage asker -d channel=C0HELP \\
    -d 'text=<@U0MYNAH> Which port does the Fernloft web page use?'
  slack conversations.replies asker -d channel=C0HELP -d ts=TS

Correct it as staff: reply in the thread, and put 📝 on that reply, whose ts is REPLY. (✅ on a
right answer is name=white_check_mark, ❌ on a wrong one name=x.) Then ask again, in other words.

  slack chat.postMessage staff -d channel=C0HELP -d thread_ts=TS -d 'text=It uses port 7411.'
  slack reactions.add staff -d channel=C0HELP -d timestamp=REPLY -d name=memo

Type a slash command; what only the admin sees is in the second call's answer:

  curl -s {url}/_control/command -H 'Content-Type: application/json' -d \\
    '{{"token": "xoxp-admin", "channel": "C0HELP", "command": "/mynah", "text": "status"}}'
  curl -s '{url}/_control/state?channel=C0HELP&parts=messages'

From the shell: MYNAH_DATA_DIR={home} .venv/bin/mynah status

Ctrl-C stops everything; what it was taught stays in {home} until you remove that.
"""


def play(home: Path = HOME, say: Say = print) -> None:
    """Start the demo's set on the usual ports and leave it up until Ctrl-C.

    Raises:
        SetFailed: a process did not start, or ended by itself.
    """
    base = small_base_model(say)
    with suppress(KeyboardInterrupt):
        asyncio.run(_leave_up(home, base, say))


async def _leave_up(home: Path, base: Path, say: Say) -> None:
    with LocalSet(home, base, Ports.usual(), say=say) as local:
        say("Starting a local Slack, vLLM, the worker and the bot …")
        await local.start_all()
        say(HOW_TO.format(url=local.sandbox_url, home=home))
        try:
            while all(  # noqa: ASYNC110 - a child process is not something that can be awaited here
                child.poll() is None for child in local.children.values()
            ):
                await asyncio.sleep(1)
        finally:
            say("Stopping, which takes about 10 s …")
        gone = next(name for name, child in local.children.items() if child.poll() is not None)
        raise SetFailed(f"mynah {gone} ended: {local.last_words(gone)}")
