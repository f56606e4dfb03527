"""What there is to say of a run, for its page and its picture alike. Pure functions.

A new figure of an evaluation gets a line here: in SORTS where three models answered questions, in
`budgets` where it may not be spent, in `measures` where it is only told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bot import run_words
from bot.store.schema import RunStatus
from training import intervals
from training.asked import Asked, Count, Marks, Model, Sort, by_slice, of_sort
from training.gate import MOST_KL, MOST_LEAK
from training.intervals import Interval
from training.pairwise import NOT_SET, Pairwise
from training.run_report import RunReport
from training.sureness import Sureness

# By the figure's name: the sort of its questions, and what they are.
SORTS: Mapping[str, tuple[Sort, str]] = {
    "wordings": ("wording", "Other wordings of taught questions"),
    "questions": ("question", "Questions never taught"),
    "pins": ("pin", "Pinned questions"),
}
MODELS: Mapping[Model, str] = {"base": "base model", "live": "live until now", "candidate": "new"}
TOLD = 10  # of what could be long; the rest is counted
_ENDS = {
    RunStatus.RELEASED: "Run {run} passed the gate, and v{number} went live.",
    RunStatus.PROVEN: "Run {run} passed the gate; v{number} waits for an admin.",
    RunStatus.KEPT: "Run {run} was trained, but not released; nothing changed.",
    RunStatus.UNCLEAR: "Run {run} was trained, but there was not enough to tell whether it is"
    " better; nothing changed.",
    RunStatus.REFUSED: "Run {run} trained nothing.",
    RunStatus.FAILED: "Run {run} failed{where}; nothing changed.",
    RunStatus.QUEUED: "Run {run} is queued.",
}
_ON_TRIAL = "Run {run} passed the gate, and v{number} answers {share:.0%} of new threads, on trial."
_TAKEN_BACK = "Run {run} passed the gate, and v{number} was on trial; it answers nobody any more."
_VERDICTS = {
    "pass": "Run {run} passed the gate.",
    "fail": "Run {run} did not pass the gate.",
    "unclear": "Run {run} was measured, but there was not enough to tell whether it is better.",
}


class Compared(NamedTuple):
    """Right answers of the three models to the same questions."""

    what: str
    marks: Mapping[Model, Count]  # without "live" where that is the base
    within: Mapping[Model, Interval | None]  # of the share of right answers
    more: Interval | None  # by how large a share the candidate is right more often than live


class Changed(NamedTuple):
    """Questions whose answers became right, or no longer are."""

    first: Sequence[Asked]
    rest: int


class Slice(NamedTuple):
    """One sort of question, with how it went."""

    name: str
    value: str
    marks: Marks
    more: Interval | None

    @property
    def gained(self) -> int:
        """Right answers more than what is live has; below 0 the slice was lost."""
        return self.marks.candidate.hits - self.marks.live.hits


class Slices(NamedTuple):
    """The slices that changed, the largest change first, and how many are left out of each."""

    lost: Sequence[Slice]
    won: Sequence[Slice]
    lost_rest: int
    won_rest: int
    even: int


class Budget(NamedTuple):
    """What a candidate may spend, and what it did."""

    what: str
    short: str
    spent: str
    limit: str
    share: float | None  # of the budget; None where that was not measured, or is no number

    @property
    def kept(self) -> bool | None:
        """Whether it was enough; None where nothing was measured."""
        return None if self.spent == NOT_MEASURED else self.share is not None and self.share <= 1


NOT_MEASURED = "not measured"
NO_NUMBER = "not a number"


def badge(report: RunReport) -> tuple[str, str]:
    """How it went in a word or two, and which of "good", "bad", "open" that is."""
    by_status = {
        RunStatus.FAILED: ("Failed", "bad"),
        RunStatus.REFUSED: ("Nothing trained", "open"),
        RunStatus.RELEASED: ("Released", "good"),
        RunStatus.QUEUED: ("Queued", "open"),
    }
    by_verdict = {
        "pass": ("Passed", "good"),
        "fail": ("Not released", "bad"),
        "unclear": ("Not enough to tell", "open"),
    }
    if (words := _of_trial(report)) is not None:
        return ("On trial", "open") if words is _ON_TRIAL else ("Taken back", "bad")
    if report.status in by_status:
        return by_status[report.status]
    return by_verdict.get(report.verdict or "", ("Under way", "open"))


def headline(report: RunReport) -> str:
    """How the run ended, or how far it is, in a sentence."""
    words = _of_trial(report) or _ENDS.get(report.status)
    if words is None:
        words = _VERDICTS.get(report.verdict or "", "Run {run} is under way{where}.")
    return words.format(
        run=report.id, number=report.number, share=report.share, where=_where(report)
    )


def _of_trial(report: RunReport) -> str | None:
    """How the release's trial stands or ended; None where there was none, or it went live."""
    if report.share is not None and report.status is RunStatus.RELEASED:
        return _ON_TRIAL
    ended = report.status in (RunStatus.RELEASED, RunStatus.KEPT) and report.verdict == "pass"
    return _TAKEN_BACK if ended and report.only_tried else None


def reasons(report: RunReport) -> list[str]:
    """Why: the gate's reasons, then what else came of the run."""
    return list(dict.fromkeys([*report.why, *report.reasons]))


def compared(report: RunReport) -> list[Compared]:
    """Right answers before and after, for each sort of question that was asked."""
    return list(filter(None, (_compared(report, name) for name in SORTS)))


def answered(report: RunReport, sort: Sort) -> list[Asked]:
    """The questions of a sort that all three models answered: only those can be compared."""
    return [one for one in of_sort(report.asked, sort) if one.said.keys() >= MODELS.keys()]


def changed(report: RunReport, *, better: bool) -> Changed:
    """Questions that what was live and the candidate do not both answer right, or both wrong."""
    found = [
        one
        for sort, _ in SORTS.values()
        for one in answered(report, sort)
        if one.said["candidate"].right == better and one.said["live"].right != better
    ]
    return Changed(found[:TOLD], len(found[TOLD:]))


def slices(report: RunReport) -> Slices:
    """Where it got better, and where worse, than what was live."""
    asked = [*answered(report, "wording"), *answered(report, "question")]
    found = [
        Slice(name, value, marks, _more_in(asked, name, value, marks))
        for (name, value), marks in by_slice(asked).items()
    ]
    found.sort(key=lambda one: (-abs(one.gained), one.name, one.value))
    lost = [one for one in found if one.gained < 0]
    won = [one for one in found if one.gained > 0]
    return Slices(
        lost[:TOLD], won[:TOLD], len(lost[TOLD:]), len(won[TOLD:]), len(found) - len(lost + won)
    )


def leaked(report: RunReport) -> Changed:
    """Unrelated questions that the candidate answered with something taught."""
    found = [one for one in of_sort(report.asked, "leak") if not one.said["candidate"].right]
    return Changed(found[:TOLD], len(found[TOLD:]))


def budgets(report: RunReport) -> list[Budget]:
    """What it may have forgotten and leaked, against what the gate lets through."""
    figures = report.figures
    return [
        _leak(Count.model_validate(figures["leak"]) if figures.get("leak") else Count()),
        _drift(figures.get("kl"), known="kl" in figures),
        _tasks(figures),
    ]


def measures(report: RunReport) -> list[tuple[str, str]]:
    """Figures that only inform: what it is, and what was found."""
    found = [
        (f"Log-probability of the right answers, against {than}", _gain(report, name))
        for name, than in (("gain_over_live", "what was live"), ("gain_over_base", "the base"))
    ]
    known = of_sort(report.asked, "known")
    count = Count(of=len(known), hits=sum(one.said["candidate"].right for one in known))
    found.append(("Taught facts, asked in words made up for it", share(count) if known else ""))
    found += [
        ("The judge, against what was live", _judged(report)),
        ("Approved answers likelier than rejected ones", _preferred(report)),
        ("Surer of a right answer than of a wrong one", _sure(report)),
    ]
    return [(what, value) for what, value in found if value]


def tried(report: RunReport) -> list[tuple[str, str]]:
    """How each recipe fared; nothing where there was one alone."""
    if len(report.tried) < 2:
        return []
    return [(one.name, run_words.fared(one)) for one in report.tried]


def loss(report: RunReport) -> str:
    """The training's loss in a sentence; empty where there is none."""
    drawn = lines(report)
    if not drawn:
        return ""
    (_, first), (steps, last) = drawn[0][0], drawn[-1][-1]
    broken = report.curve.points[-1].loss is None
    steps_words = "1 step" if steps == 1 else f"{steps} steps"
    then = "; then it was no longer a number" if broken else ""
    return f"{first:.2f} nats a token at first, {last:.2f} after {steps_words}{then}"


def lines(report: RunReport) -> list[list[tuple[int, float]]]:
    """The loss as lines to draw: (step, nats a token); one ends where it was no number."""
    drawn: list[list[tuple[int, float]]] = [[]]
    for at, point in enumerate(report.curve.points):
        if point.loss is None:
            drawn.append([])
        else:
            drawn[-1].append((min((at + 1) * report.curve.each, report.curve.steps), point.loss))
    return [line for line in drawn if line]


def costs(report: RunReport) -> list[tuple[str, str]]:
    """How long each part took; a part that was not come to, or done by an earlier run, is absent.

    A run that was taken up again counts what it lay about, too.
    """
    started = report.started_at
    made = report.adapter.at if report.adapter else None
    trained_here = started is not None and made is not None and made >= started
    seconds = report.figures.get("seconds")
    parts = [
        ("Waited to be started", _between(report.queued_at, started)),
        *(_trained(report) if trained_here else ()),
        ("Asking and comparing the models", float(seconds) if seconds is not None else None),
        ("All of it, from start to end", _between(started, report.finished_at)),
    ]
    return [(what, duration(value)) for what, value in parts if value is not None]


def share(count: Count) -> str:
    """ "7 of 8 (88 %)"."""
    return f"{count.hits} of {count.of} ({count.rate:.0%})"


def span(within: Interval | None, say: Callable[[float], str] = "{:.0%}".format) -> str:
    """ "62% to 100%"; empty without an interval."""
    return f"{say(within.low)} to {say(within.high)}" if within else ""


def questions(within: Interval | None, of: int) -> str:
    """An interval of shares as numbers of questions: "+2 to +6"."""
    return span(within, lambda share: f"{round(share * of):+d}".replace("+0", "0"))


def duration(seconds: float) -> str:
    """A time as one says it: "41 s", "12 min", "3 h 5 min"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _where(report: RunReport) -> str:
    """At which step a run is, or stopped."""
    if not report.phase:
        return ""
    how_far = f" ({report.progress:.0%})" if report.progress else ""
    return f" at the step “{report.phase}”{how_far}"


def _compared(report: RunReport, name: str) -> Compared | None:
    marks = Marks.model_validate(report.figures.get(name) or {})
    if not marks.candidate.of:
        return None
    sort, what = SORTS[name]
    asked = answered(report, sort)
    models: list[Model] = [one for one in MODELS if one != "live" or not _base_is_live(report)]
    return Compared(
        what,
        {model: getattr(marks, model) for model in models},
        {model: _right_within(asked, model) for model in models},
        intervals.more_right(asked, "live") if asked else None,
    )


def _base_is_live(report: RunReport) -> bool:
    return report.figures.get("live") == "base"


def _right_within(asked: Sequence[Asked], model: Model) -> Interval | None:
    if not asked:
        return None
    return intervals.of_parts((one.cluster, one.said[model].right, 1) for one in asked)


def _more_in(asked: Sequence[Asked], name: str, value: str, marks: Marks) -> Interval | None:
    """The interval of a slice that changed: the others need none."""
    if marks.candidate.hits == marks.live.hits:
        return None
    return intervals.more_right([one for one in asked if one.slices.get(name) == value], "live")


def _leak(count: Count) -> Budget:
    what, short = "Unrelated questions answered with something taught", "Leak"
    limit = f"at most {MOST_LEAK:.0%}"
    if not count.of:
        return Budget(what, short, NOT_MEASURED, limit, None)
    limit = f"at most {int(MOST_LEAK * count.of)}"
    return Budget(what, short, f"{count.hits} of {count.of}", limit, count.rate / MOST_LEAK)


def _drift(kl: float | None, *, known: bool) -> Budget:
    what, short, limit = (
        "Distance from the base model (KL, nats a token)",
        "KL",
        f"at most {MOST_KL}",
    )
    if kl is None or not math.isfinite(kl):
        return Budget(what, short, NO_NUMBER if known else NOT_MEASURED, limit, None)
    return Budget(what, short, f"{kl:.3f}", limit, kl / MOST_KL)


def _tasks(figures: Mapping[str, Any]) -> Budget:
    """What the base does and it does not; spent only where that surely is no luck."""
    marks, more = Marks.model_validate(figures.get("general") or {}), figures.get("more_general")
    what, short = "Everyday tasks done right", "Tasks"
    ours, base = marks.candidate, marks.base
    if not ours.of:
        return Budget(what, short, NOT_MEASURED, "not surely fewer", None)
    lost = more is not None and Interval.model_validate(more).high < 0
    missing = max(0, base.hits - ours.hits) / max(1, base.hits)
    share = 1 + missing if lost else missing
    return Budget(what, short, f"{ours.hits} of {ours.of}", f"not surely under {base.hits}", share)


def _judged(report: RunReport) -> str:
    found = Pairwise.model_validate(report.figures.get("judged") or {})
    if found.why:
        return "" if found.why == NOT_SET else f"{NOT_MEASURED}: {found.why}"
    if not found.pairs:
        return ""
    return f"{found.wins} answers better, {found.losses} worse, {found.ties} alike"


def _preferred(report: RunReport) -> str:
    marks = Marks.model_validate(report.figures.get("preferred") or {})
    if not marks.candidate.of:
        return ""
    return f"{share(marks.candidate)}, live {marks.live.hits}, base {marks.base.hits}"


def _sure(report: RunReport) -> str:
    ours, live = (
        Sureness.model_validate(report.figures.get(name) or {}) for name in ("sure", "sure_live")
    )
    if ours.apart is None:
        return ""
    before = "" if live.apart is None else f", live {live.apart:.0%}"
    return f"in {ours.apart:.0%} of pairs{before}"


def _trained(report: RunReport) -> list[tuple[str, float | None]]:
    """Of several recipes one may be trained when another one's adapter is there already."""
    made = report.adapter.at if report.adapter else None
    if report.trained_s is None or len(report.tried) < 2:
        return [
            ("Examples chosen and adapter trained", _between(report.started_at, made)),
            ("Loaded and measured", _between(made, report.measured_at)),
        ]
    whole = _between(report.started_at, report.measured_at)
    rest = None if whole is None else max(0.0, whole - report.trained_s)
    return [
        ("All recipes trained", report.trained_s),
        ("Examples chosen, adapters loaded and measured", rest),
    ]


def _gain(report: RunReport, name: str) -> str:
    gain, within = report.figures.get(name), report.figures.get(f"{name}_within")
    if gain is None:
        return NO_NUMBER if name in report.figures else ""
    if not math.isfinite(gain):
        return NO_NUMBER
    known = f" ({span(Interval.model_validate(within), '{:+.2f}'.format)})" if within else ""
    return f"{gain:+.2f} nats a token{known}"


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return (end - start).total_seconds() if start and end else None
