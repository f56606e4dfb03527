"""The rule that turns an evaluation into pass, fail or too little to tell, with reasons an admin
understands."""

from __future__ import annotations

from dataclasses import dataclass

from training import intervals
from training.asked import Asked, lost_pins, of_sort
from training.evaluate import Figures
from training.intervals import Interval
from training.pairwise import NOT_SET
from training.setbacks import Slice
from training.soundness import of_effect

LEAST_HELD_OUT = 3  # wordings: with fewer, being better is luck
LEAST_FACTS = 2  # that the wordings are about: one fact tells nothing of others
# Of unrelated questions. The measured count is held against it, so that luck is on the side of an
# adapter that leaks little: of 24 questions 3 may be, within which one that leaks 5 % stays 97
# times in 100, and one that leaks 30 % 4 times.
MOST_LEAK = 0.15
MOST_KL = 0.25  # nats a token: about where answers to everyday questions begin to change
LEAST_GAIN = 0.02  # nats a token
LEAST_DECIDED = 6  # pairs that the judge decided: with fewer, all of them may be luck (1 in 32)
QUOTED_CHARS = 80


@dataclass(frozen=True)
class Verdict:
    """Pass, fail, or neither: then too little was asked to tell.

    The reasons of a fail say what was wrong, those of a pass what was gained, and those of neither
    what would have to be known.
    """

    passed: bool
    reasons: list[str]
    enough: bool = True  # False: neither pass nor fail


def decide(figures: Figures) -> Verdict:
    """Pass when the candidate knows more than what is live, and forgot and leaks little.

    It knows more when it answers as many held-out wordings right or more, finds their right
    answers likelier (by LEAST_GAIN), and one of the two is surely no step back: more are right and
    the 95 % interval has none fewer, or the interval of the likelihood lies above 0. So 3 of 3
    pass where the base had none: a first adapter of 20 examples can go live. 16 against 15 of 19,
    with some won and some lost, is too little to tell unless the right answers became surely
    likelier. Fewer right answers are a fail, be it for luck: nothing unproven goes live.

    Of several candidates each one's interval is wider, so that all of them hold together with 95 %.

    What is broken fails, whatever was gained: another base model, no effect, a pinned question
    lost, a judge who surely prefers what is live, a budget spent (for leaks, or for forgetting).
    """
    against = [
        *_base(figures), *_effect(figures), *_worse(figures), *map(_lost, lost_pins(figures.asked)),
        *_judged_worse(figures), *_leak(figures), *_forgetting(figures),
    ]  # fmt: skip
    if against:
        return Verdict(False, [*against, *_besides(figures)])
    if doubts := _doubts(figures):
        return Verdict(False, [*doubts, *_besides(figures)], enough=False)
    return Verdict(True, [_known(figures), *_besides(figures), *_sure(figures)])


def _base(figures: Figures) -> list[str]:
    if figures.measured_on == figures.trained_on:
        return []
    return [
        f"it was measured on another base model ({figures.measured_on or 'unknown'}) than it was"
        f" trained on ({figures.trained_on or 'unknown'}): is MYNAH_BASE_MODEL a new one?"
    ]


def _effect(figures: Figures) -> list[str]:
    return of_effect(figures.kl, figures.kl_prompts, figures.gain_over_base)


def _worse(figures: Figures) -> list[str]:
    ours, live = figures.wordings.candidate, figures.wordings.live
    if _too_few(figures):
        return []
    if ours.hits == 0:
        return [f"it learned nothing: 0 of {ours.of} held-out wordings right"]
    if ours.hits < live.hits:
        return [f"it knows less than what is live: {_known(figures)}"]
    if not figures.gain_over_live >= LEAST_GAIN:  # NaN is no gain
        return [
            f"it is no better than what is live: {_known(figures)}, log-probability of the right"
            f" answers {figures.gain_over_live:+.2f} a token (at least {LEAST_GAIN:+.2f})"
        ]
    return []


def _doubts(figures: Figures) -> list[str]:
    """What keeps a candidate that looks better from being known to be."""
    if few := _too_few(figures):
        return few
    if _surely_no_step_back(figures):
        return []
    within = figures.gain_over_live_within
    span = f" ({within.low:+.2f} to {within.high:+.2f})" if within else ""
    rivals = f"; the best of {figures.among} may be so by luck" if figures.among > 1 else ""
    return [
        f"too little to tell whether it is better: {_known(figures)}; log-probability of the right"
        f" answers {figures.gain_over_live:+.2f} a token{span}{rivals}. More questions that were"
        " asked in three ways would tell"
    ]


def _too_few(figures: Figures) -> list[str]:
    asked = figures.wordings.candidate.of
    if asked < LEAST_HELD_OUT:
        return [
            f"too little to measure by: {asked} held-out wordings, at least {LEAST_HELD_OUT}"
            " are needed (questions asked in several ways)"
        ]
    if figures.facts < LEAST_FACTS:
        return [
            f"too little to measure by: all {asked} held-out wordings are about one question; at"
            f" least {LEAST_FACTS} questions have to be asked in several ways"
        ]
    return []


def _surely_no_step_back(figures: Figures) -> bool:
    right, likelier = figures.more_than_live, figures.gain_over_live_within
    if figures.among > 1:
        wordings = of_sort(figures.asked, "wording")
        sure = intervals.sure_of_each(figures.among)
        right = intervals.more_right(wordings, "live", sure)
        likelier = intervals.gain_within(wordings, "live", sure)
    more = figures.wordings.candidate.hits > figures.wordings.live.hits
    return bool((more and right and right.low >= 0) or (likelier and likelier.low > 0))


def _lost(pin: Asked) -> str:
    said = pin.said["candidate"].text
    return (
        f"it fails a pinned question that what is live answers: “{_short(pin.question)}” must be"
        f" answered with “{_short(pin.wanted)}”, it said “{_short(said)}”"
    )


def _judged_worse(figures: Figures) -> list[str]:
    more = figures.judged.more
    if more is None or more.high >= 0 or not _decided(figures):
        return []
    return [f"the judge finds it worse than what is live: {_outcomes(figures)}"]


def _besides(figures: Figures) -> list[str]:
    """What an admin should know, whatever the verdict."""
    worse = [_worse_in(one) for one in figures.slices if one.worse]
    why, more = figures.judged.why, figures.judged.more
    if why and why != NOT_SET:
        return [*worse, f"not compared by the judge: {why}"]
    if more is not None and more.low > 0 and _decided(figures):
        return [*worse, f"the judge finds it better than what is live: {_outcomes(figures)}"]
    return worse


def _decided(figures: Figures) -> bool:
    return figures.judged.wins + figures.judged.losses >= LEAST_DECIDED


def _outcomes(figures: Figures) -> str:
    found = figures.judged
    return f"{found.wins} answers better, {found.losses} worse, {found.ties} alike ({found.judge})"


def _worse_in(slice_: Slice) -> str:
    ours, live = slice_.marks.candidate, slice_.marks.live
    return (
        f"worse in {slice_.name} {slice_.value}: {ours.hits} of {ours.of} held-out wordings right,"
        f" was {live.hits}"
    )


def _sure(figures: Figures) -> list[str]:
    """How well what it does not know can be told; nothing where that cannot be measured."""
    ours, live = figures.sure, figures.sure_live
    if ours.apart is None:
        return []
    before = f" (live {live.apart:.0%})" if live.apart is not None else ""
    return [
        f"it is surer of a right answer than of a wrong one in {ours.apart:.0%} of pairs{before};"
        f" withheld would be {ours.wrong.hits} of {ours.wrong.of} wrong answers and"
        f" {ours.right.hits} of {ours.right.of} right ones"
    ]


def _leak(figures: Figures) -> list[str]:
    if figures.leak.rate <= MOST_LEAK:
        return []
    return [
        f"it answered {figures.leak.hits} of {figures.leak.of} unrelated questions with something"
        f" it was taught (at most {int(MOST_LEAK * figures.leak.of)} may be)"
    ]


def _forgetting(figures: Figures) -> list[str]:
    """The forgetting budget: how far it moved, and what it can no longer do."""
    found, tasks = [], figures.general
    if not figures.kl <= MOST_KL:  # NaN fails, too
        found.append(
            f"it moved too far from the base model: KL {figures.kl:.2f} a token, limit {MOST_KL}"
        )
    if figures.more_general is not None and figures.more_general.high < 0:
        found.append(
            f"it forgot what the base model can do: {tasks.candidate.hits} of {tasks.candidate.of}"
            f" everyday tasks done right, the base model {tasks.base.hits}:"
            f" {_span(figures.more_general, tasks.candidate.of)} (95 %)"
        )
    return found


def _known(figures: Figures) -> str:
    ours, live = figures.wordings.candidate, figures.wordings.live
    within = figures.more_than_live
    span = f": {_span(within, ours.of)} (95 %)" if within else ""
    return f"{ours.hits} of {ours.of} held-out wordings right, live {live.hits}{span}"


def _span(within: Interval, of: int) -> str:
    """An interval of shares as numbers of questions: "between 2 and 8 more"."""
    low, high = round(within.low * of), round(within.high * of)
    if low == high:
        return _more(low) if low else "the same number"
    if low >= 0:
        return f"between {low} and {high} more"
    return (
        f"between {-high} and {-low} fewer"
        if high <= 0
        else f"between {_more(low)} and {_more(high)}"
    )


def _more(number: int) -> str:
    return f"{-number} fewer" if number < 0 else f"{number} more"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= QUOTED_CHARS else plain[: QUOTED_CHARS - 1] + "…"
