"""The gate: every rule fails by itself, with a reason that says what was wrong."""

import re
from typing import Any

import pytest

from training.evaluate import Count, Figures, Marks
from training.gate import decide


def figures(**changed: Any) -> Figures:
    """A candidate that passes, but for what is changed."""
    good = {
        "candidate": "mynah-0123456789ab",
        "live": "base",
        "trained": 170,
        "wordings": marks(base=0, live=0, candidate=15),
        "questions": marks(base=0, live=0, candidate=0),
        "gain_over_live": 2.1,
        "gain_over_base": 2.1,
        "kl": 0.14,
        "kl_prompts": 64,
        "leak": Count(of=24, hits=1),
        "seconds": 60.0,
    }
    return Figures.model_validate(good | changed)


def marks(*, base: int, live: int, candidate: int, of: int = 19) -> Marks:
    return Marks(
        base=Count(of=of, hits=base),
        live=Count(of=of, hits=live),
        candidate=Count(of=of, hits=candidate),
    )


def test_a_good_candidate_passes_and_says_what_it_knows() -> None:
    """A pass has a reason, too: the counts it passed by."""
    verdict = decide(figures())
    assert verdict.passed
    assert verdict.reasons == ["15 of 19 held-out wordings right (live: 0)"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"leak": Count(of=24, hits=4)}, "4 of 24 unrelated questions .*at most 3 may"),
        ({"kl": 0.26}, "too far from the base model: KL 0.26 .* 0.25"),
        ({"kl": float("nan")}, "too far from the base model"),
        ({"wordings": marks(base=0, live=0, candidate=2, of=2)}, "too little .* 2 held-out"),
        ({"wordings": marks(base=0, live=0, candidate=0)}, "learned nothing: 0 of 19"),
        ({"wordings": marks(base=0, live=16, candidate=15)}, "less than what is live.*live: 16"),
        ({"gain_over_live": 0.01}, "no better than what is live.*\\+0.01"),
        ({"gain_over_live": float("nan")}, "no better than what is live"),
    ],
)
def test_each_rule_fails_alone(changed: dict[str, Any], reason: str) -> None:
    """One broken rule is enough, and is the only reason."""
    verdict = decide(figures(**changed))
    assert not verdict.passed
    assert len(verdict.reasons) == 1
    assert re.search(reason, verdict.reasons[0])


def test_all_broken_rules_are_named() -> None:
    """An admin sees everything that is wrong at once."""
    verdict = decide(figures(kl=0.9, leak=Count(of=24, hits=10), gain_over_live=-1.0))
    assert len(verdict.reasons) == 3


def test_as_many_right_and_surer_passes() -> None:
    """With as many right answers as the live adapter, likelier right answers are better."""
    level = marks(base=0, live=15, candidate=15)
    assert decide(figures(wordings=level, gain_over_live=0.3)).passed


def test_limits_themselves_pass() -> None:
    """A limit is what is still allowed."""
    assert decide(figures(kl=0.25, leak=Count(of=20, hits=2), gain_over_live=0.02)).passed
