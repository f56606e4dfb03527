"""When a run's progress is worth a change of its message, and how long the phase still takes."""

from __future__ import annotations

from bot.store.schema import Run, RunTrigger

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


def somebody_waits(run: Run) -> bool:
    """Whether a person asked for the run. A nightly one speaks only of what came of it."""
    return run.trigger is RunTrigger.COMMAND
