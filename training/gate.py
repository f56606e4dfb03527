"""The rule that turns an evaluation into pass or fail, with reasons an admin understands."""

from __future__ import annotations

from dataclasses import dataclass

from training.evaluate import Figures

LEAST_HELD_OUT = 3  # wordings: with fewer, being better is luck
MOST_LEAK = 0.15
MOST_KL = 0.25  # nats a token: about where answers to everyday questions begin to change
LEAST_GAIN = 0.02  # nats a token


@dataclass(frozen=True)
class Verdict:
    """Pass or fail; the reasons of a fail say what was wrong, those of a pass what was gained."""

    passed: bool
    reasons: list[str]


def decide(figures: Figures) -> Verdict:
    """Pass when the candidate knows more than what is live, and forgot and leaks little."""
    against = [*_proof(figures), *_leak(figures), *_forgetting(figures)]
    return Verdict(not against, against or [_known(figures)])


def _proof(figures: Figures) -> list[str]:
    ours, live = figures.wordings.candidate, figures.wordings.live
    if ours.of < LEAST_HELD_OUT:
        return [
            f"too little to measure by: {ours.of} held-out wordings, at least {LEAST_HELD_OUT}"
            " are needed (questions asked in several ways)"
        ]
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


def _leak(figures: Figures) -> list[str]:
    if figures.leak.rate <= MOST_LEAK:
        return []
    return [
        f"it answered {figures.leak.hits} of {figures.leak.of} unrelated questions with something"
        f" it was taught (at most {int(MOST_LEAK * figures.leak.of)} may be)"
    ]


def _forgetting(figures: Figures) -> list[str]:
    if figures.kl <= MOST_KL:  # NaN fails, too
        return []
    return [f"it moved too far from the base model: KL {figures.kl:.2f} a token, limit {MOST_KL}"]


def _known(figures: Figures) -> str:
    ours, live = figures.wordings.candidate, figures.wordings.live
    return f"{ours.hits} of {ours.of} held-out wordings right (live: {live.hits})"
