"""What a run has to say in Slack when it is over: a few lines an admin understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.store.schema import Run, RunStatus

_HEADLINES = {
    RunStatus.RELEASED: ":white_check_mark: Run {run}: v{number} is live.",
    RunStatus.KEPT: ":no_entry_sign: Run {run}: trained, but not released. Nothing changed.",
    RunStatus.REFUSED: ":information_source: Run {run}: nothing was trained.",
    RunStatus.FAILED: ":warning: Run {run} failed. Nothing changed.",
}


def summary(
    run: Run,
    status: RunStatus,
    reasons: Sequence[str],
    *,
    number: int | None = None,
    figures: Mapping[str, Any] | None = None,
) -> str:
    """The end of a run as Slack text.

    Args:
        number: of the release that went live.
        figures: of the evaluation, if it came to one.
    """
    lines = [_HEADLINES[status].format(run=run.id, number=number)]
    lines += [f"• {reason}" for reason in reasons]
    if figures:
        lines += [f"• {line}" for line in before_after(figures)]
    if status is RunStatus.RELEASED:
        lines.append("`/mynah rollback` goes back at once.")
    return "\n".join(lines)


def before_after(figures: Mapping[str, Any]) -> list[str]:
    """The evaluation in lines; a figure that was not measured is left out."""
    return []
