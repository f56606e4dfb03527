"""What a run has to say in Slack when it is over: a few lines an admin understands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.store.schema import Run, RunStatus

_ASKED = {
    "wordings": "other wordings of taught questions",
    "questions": "questions never taught",
}
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
    counts: Mapping[str, Any] | None = None,
) -> str:
    """The end of a run as Slack text.

    Args:
        number: of the release that went live.
        figures: of the evaluation, if it came to one.
        counts: of the dataset, if there was enough for one.
    """
    lines = [_HEADLINES[status].format(run=run.id, number=number)]
    lines += [f"• {reason}" for reason in reasons]
    lines += _examples(counts)
    if figures:
        lines += [f"• {line}" for line in before_after(figures)]
    if status is RunStatus.RELEASED:
        lines.append("`/mynah rollback` goes back at once.")
    return "\n".join(lines)


def under_way(
    run_id: int, phase: str, progress: float, left_s: float | None, counts: Mapping[str, Any] | None
) -> str:
    """How far a run is, as Slack text.

    Args:
        progress: of this phase, 0 to 1.
        left_s: seconds until the phase ends, where that can be told.
    """
    left = "" if left_s is None else f", about {_minutes(left_s)} left"
    share = f" {progress:.0%}" if progress else ""
    headline = f":hourglass_flowing_sand: Run {run_id}: {phase}{share}{left}."
    return "\n".join([headline, *_examples(counts)])


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def _examples(counts: Mapping[str, Any] | None) -> list[str]:
    """What was found and what was refused, in lines; none before the dataset is frozen."""
    if not counts:
        return []
    kept_back = counts["held_out_wording"] + counts["held_out_question"]
    lines = [f"• {counts['train']} examples to learn from, {kept_back} kept back to measure by"]
    refused = [f"{number} {reason}" for reason, number in counts["refused"].items()]
    return lines + ([f"• not used: {'; '.join(refused)}"] if refused else [])


def before_after(figures: Mapping[str, Any]) -> list[str]:
    """The evaluation in lines: base → what was live → candidate.

    Args:
        figures: `training.evaluate.Figures` as stored; what is missing is left out.
    """
    lines = []
    for name, what in _ASKED.items():
        marks = figures.get(name)
        if marks and marks["candidate"]["of"]:
            lines.append(f"right answers, {what}: {_marks(marks)}")
    if leak := figures.get("leak"):
        lines.append(f"unrelated questions answered with taught facts: {_count(leak)}")
    if (kl := figures.get("kl")) is not None:
        lines.append(f"distance from the base model: KL {kl:.3f} a token")
    return lines


def score(figures: Mapping[str, Any]) -> float | None:
    """The one number beside a release: its share of right answers to held-out wordings."""
    marks = figures.get("wordings")
    if not marks or not marks["candidate"]["of"]:
        return None
    return round(float(marks["candidate"]["hits"] / marks["candidate"]["of"]), 4)


def _marks(marks: Mapping[str, Any]) -> str:
    base, live, now = (marks[name]["hits"] for name in ("base", "live", "candidate"))
    return f"base {base}, before {live}, now {now} of {marks['candidate']['of']}"


def _count(count: Mapping[str, int]) -> str:
    return f"{count['hits']} of {count['of']}"
