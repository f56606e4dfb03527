"""A run and its evaluation in words that an admin understands."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bot.mrkdwn import escape
from bot.store.run_view import RunView, Tried
from bot.store.schema import RunStatus

NO_WORKER = "no worker is running, so nothing is trained: start `mynah worker`"
CANARY = "canary"  # what decides on one, where a person's id stands else
TEXT_CHARS = 3900  # Slack refuses changes to much more
CHANNEL = re.compile(r"(?<=\bworse in )channel ([CG][A-Z0-9]+)\b")  # as the gate names one
_ASKED = {
    "wordings": "other wordings of taught questions",
    "questions": "questions never taught",
    "pins": "pinned questions",
}
_HEADLINES = {
    RunStatus.RELEASED: ":white_check_mark: Run {run}: v{number} is live{by}.",
    RunStatus.PROVEN: ":raised_hand: Run {run} passed: v{number} waits for an admin.",
    RunStatus.KEPT: ":no_entry_sign: Run {run}: trained, but not released. Nothing changed.",
    RunStatus.UNCLEAR: ":grey_question: Run {run}: trained, but there was not enough to tell"
    " whether it is better. Nothing changed.",
    RunStatus.REFUSED: ":information_source: Run {run}: nothing was trained.",
    RunStatus.FAILED: ":warning: Run {run} failed. Nothing changed.",
}
_DISCARDED = ":no_entry_sign: Run {run}: v{number} was discarded{by}."
_CANARY = ":eyes: Run {run}: v{number} answers {share:.0%} of new threads{by}."
_ROLLED_BACK = ":leftwards_arrow_with_hook: Run {run}: v{number} was rolled back."
_LAST = {
    RunStatus.RELEASED: "`/mynah rollback now` goes back at once.",
    RunStatus.PROVEN: "`/mynah promote v{number}` lets it answer, `/mynah discard v{number}` not.",
}
_LAST_OF_CANARY = (
    "What people do there decides. `/mynah promote v{number}` lets it answer all at once, "
    "`/mynah rollback now` none."
)


def text(run: RunView) -> str:
    """The run as Slack text: how far it is, or how it ended and why."""
    if run.status is RunStatus.QUEUED:
        by = f" by <@{run.requested_by}>" if run.requested_by else ""
        return f":hourglass_flowing_sand: Run {run.id}: queued{by}."
    lines = [_under_way(run)] if run.status is RunStatus.RUNNING else _ended(run)
    return "\n".join(lines)[:TEXT_CHARS]


def headline(run: RunView) -> str:
    """How the run ended, in one line of mrkdwn."""
    words = _HEADLINES[run.status]
    if run.status is RunStatus.KEPT and run.by:
        words = _ROLLED_BACK if run.by == CANARY else _DISCARDED
    elif is_canary(run):
        words = _CANARY
    how = {RunStatus.RELEASED: ", promoted by"}.get(run.status, " by")
    by = f"{how} {person(run.by)}" if run.by else ""
    return words.format(run=run.id, number=run.number, share=run.share, by=by)


def is_canary(run: RunView) -> bool:
    """Whether what the run released answers only a share of new threads."""
    return run.status is RunStatus.RELEASED and run.share is not None


def person(by: str) -> str:
    """Who did something, in mrkdwn: a mention of a person, the bare name of a part of Mynah."""
    return f"<@{by}>" if by.startswith(("U", "W")) else by


def progress(run: RunView) -> str:
    """What the run is doing just now."""
    left = "" if run.left_s is None else f", about {_minutes(run.left_s)} left"
    share = f" {run.progress:.0%}" if run.progress else ""
    return f"{run.phase}{share}{left}"


def examples(counts: Mapping[str, Any] | None) -> list[str]:
    """What was found and what was refused, in lines; none before the dataset is frozen."""
    if not counts:
        return []
    kept_back = counts["held_out_wording"] + counts["held_out_question"]
    lines = [f"{counts['train']} examples to learn from, {kept_back} kept back to measure by"]
    refused = [f"{number} {reason}" for reason, number in counts["refused"].items()]
    return lines + ([f"not used: {'; '.join(refused)}"] if refused else [])


def before_after(figures: Mapping[str, Any] | None) -> list[str]:
    """The evaluation in lines: base → what was live → candidate.

    Args:
        figures: `training.evaluate.Figures` as stored; what is missing is left out.
    """
    lines = []
    for name, what in _ASKED.items():
        marks = (figures or {}).get(name)
        if marks and marks["candidate"]["of"]:
            lines.append(f"right answers, {what}: {_marks(marks)}")
    if leak := (figures or {}).get("leak"):
        lines.append(f"unrelated questions answered with taught facts: {_count(leak)}")
    if (kl := (figures or {}).get("kl")) is not None:
        lines.append(f"distance from the base model: KL {kl:.3f} a token")
    return lines + _more(figures or {})


def _more(figures: Mapping[str, Any]) -> list[str]:
    """What not every evaluation measured."""
    lines = []
    general = figures.get("general")
    if general and general["candidate"]["of"]:
        done = f"base {general['base']['hits']}, now {_count(general['candidate'])}"
        lines.append(f"everyday tasks done right: {done}")
    preferred = figures.get("preferred")
    if preferred and preferred["candidate"]["of"]:
        lines.append(f"finds the right answer likelier than a rejected one: {_marks(preferred)}")
    judged = figures.get("judged") or {}
    if judged.get("more"):
        counts = "{wins} answers better than before, {losses} worse, {ties} alike"
        lines.append(f"the judge: {counts.format(**judged)}")
    return lines


def tried(recipes: Sequence[Tried]) -> list[str]:
    """Which recipes competed, in lines, and which of them was best; none where there was one."""
    if len(recipes) < 2:
        return []
    return [f"recipe `{one.name}`: {fared(one)}" for one in recipes]


def score(figures: Mapping[str, Any]) -> float | None:
    """The one number beside a release: its share of right answers to held-out wordings."""
    marks = figures.get("wordings")
    if not marks or not marks["candidate"]["of"]:
        return None
    return round(float(marks["candidate"]["hits"] / marks["candidate"]["of"]), 4)


def fared(one: Tried) -> str:
    """How one recipe did, in words."""
    if one.left_out:
        return f"left out, {one.left_out}"
    if not one.verdict:
        return "not measured yet"
    right = f"{one.right} of {one.of} held-out wordings right, " if one.of else ""
    kl = "" if one.kl is None else f"KL {one.kl:.3f}, "
    word = {"pass": "passed", "fail": "did not pass"}.get(one.verdict, "not enough to tell")
    return f"{right}{kl}{word}{' – the best' if one.best else ''}"


def _under_way(run: RunView) -> str:
    first = f":hourglass_flowing_sand: Run {run.id}: {progress(run)}."
    return "\n".join([first, *(f"• {line}" for line in examples(run.counts))])


def _ended(run: RunView) -> list[str]:
    lines = [*map(_named, run.reasons), *examples(run.counts), *before_after(run.figures)]
    lines += map(escape, tried(run.tried))
    last = _LAST_OF_CANARY if is_canary(run) else _LAST.get(run.status)
    return [
        headline(run),
        *(f"• {line}" for line in lines),
        *([last.format(number=run.number)] if last else []),
    ]


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} minute{'s' if minutes > 1 else ''}"


def _named(reason: str) -> str:
    """A reason in mrkdwn: Slack shows a channel's name, and only to who may read it."""
    return CHANNEL.sub(r"<#\1>", escape(reason))


def _marks(marks: Mapping[str, Any]) -> str:
    base, live, now = (marks[name]["hits"] for name in ("base", "live", "candidate"))
    return f"base {base}, before {live}, now {now} of {marks['candidate']['of']}"


def _count(count: Mapping[str, int]) -> str:
    return f"{count['hits']} of {count['of']}"
