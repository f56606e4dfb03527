"""The one message that a run has in Slack: how far it is, and how it ended."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot import outbox
from bot.store.runs import message_key
from bot.store.schema import Run, RunTrigger, Status

TELL_EVERY_S = 15.0  # Slack takes about one change a second in a channel, from everybody there
TELL_LEFT_AFTER = 0.05  # of a phase: before that, how long it takes is a guess


class News:
    """When progress is worth a change of the message, and how long the phase still takes."""

    def __init__(self) -> None:
        self._phase = ""
        self._began = (0.0, 0.0)  # seconds, progress: a run that was taken up begins in the middle
        self._told_at = 0.0

    def is_due(self, phase: str, progress: float, now_s: float) -> bool:
        """Whether to tell of it now: each new phase, and every TELL_EVERY_S seconds."""
        if phase != self._phase:
            self._phase, self._began = phase, (now_s, progress)
        elif now_s - self._told_at < TELL_EVERY_S:
            return False
        self._told_at = now_s
        return True

    def left_s(self, progress: float, now_s: float) -> float | None:
        """Seconds until the phase ends, if it goes on as it did; None while that is a guess."""
        began_s, at_first = self._began
        made = progress - at_first
        return None if made < TELL_LEFT_AFTER else (now_s - began_s) / made * (1 - progress)


def tell(session: Session, run: Run, text: str, *, step: str, admin_channel: str) -> None:
    """Say the run's message, or change what it says, once for each `step`."""
    key = message_key(run.id)
    payload: dict[str, Any] = {"text": text}
    said = outbox.said(session, run.team_id, key)
    if said is not None and said.status is Status.FAILED:  # it never came: say each step anew
        outbox.say(
            session, team_id=run.team_id, key=f"{key}:{step}", channel=said.channel, payload=payload
        )
    elif said is not None:
        outbox.change(session, said, key=f"{key}:{step}", payload=payload)
    elif channel := run.report_channel or admin_channel:
        outbox.say(session, team_id=run.team_id, key=key, channel=channel, payload=payload)


def somebody_waits(run: Run) -> bool:
    """Whether a person asked for the run. A nightly one speaks only of what came of it."""
    return run.trigger is RunTrigger.COMMAND
