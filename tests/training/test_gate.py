"""The gate: every rule fails by itself, with a reason that says what was wrong."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from scipy.stats import binom

from training import intervals
from training.asked import Asked, Said
from training.evaluate import Count, Figures, Marks, weigh
from training.gate import MOST_LEAK, decide
from training.intervals import Interval
from training.pairwise import NOT_SET, Pairwise
from training.setbacks import Slice
from training.sureness import Sureness


def figures(**changed: Any) -> Figures:
    """A candidate that passes, but for what is changed."""
    good = {
        "candidate": "mynah-0123456789ab",
        "live": "base",
        "trained": 170,
        "measured_on": "0123456789ab",
        "trained_on": "0123456789ab",
        "wordings": marks(base=0, live=0, candidate=15),
        "facts": 12,
        "more_than_live": Interval(low=12 / 19, high=17 / 19),
        "questions": marks(base=0, live=0, candidate=0),
        "gain_over_live": 2.1,
        "gain_over_base": 2.1,
        "gain_over_live_within": Interval(low=1.4, high=2.9),
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


def test_the_best_of_many_has_to_be_surer() -> None:
    """What is barely sure of one candidate may be the luck of the best of four."""
    said = [*[(5, 4)] * 10, *[(4, 5)] * 2]
    wordings = [
        Asked(
            sort="wording", question="q", wanted="a", cluster=fact, tokens=1,
            said={
                "live": Said(text="", right=False, logprob=-ours),
                "base": Said(text="", right=False, logprob=-ours),
                "candidate": Said(text="", right=False, logprob=-theirs),
            },
        )
        for fact, (ours, theirs) in enumerate(said)
    ]  # fmt: skip
    known = figures(
        asked=wordings, wordings=marks(base=3, live=3, candidate=3), gain_over_live=0.5,
        gain_over_live_within=intervals.gain_within(wordings, "live"), more_than_live=None,
    )  # fmt: skip
    assert decide(known).passed
    among = decide(known.model_copy(update={"among": 4}))
    assert not among.passed
    assert not among.enough
    assert "the best of 4 may be so by luck" in among.reasons[0]


def pin(*, live: bool, ours: bool) -> Asked:
    """A pinned question, and whether each model passes it."""
    said = {True: "Port 7411.", False: "7412"}
    right = {"base": False, "live": live, "candidate": ours}
    return Asked.model_validate({
        "sort": "pin", "question": "Port?", "wanted": "7411",
        "said": {model: Said(text=said[yes], right=yes) for model, yes in right.items()},
    })  # fmt: skip


def tasks(base: int, ours: int) -> Marks:
    """Everyday tasks done right, of 40."""
    return Marks(base=Count(of=40, hits=base), candidate=Count(of=40, hits=ours))


def judged(wins: int, losses: int, *, low: float, high: float) -> Pairwise:
    """What a judge said of eleven pairs."""
    ties = 11 - wins - losses
    more = Interval(low=low, high=high)
    return Pairwise(judge="wise", wins=wins, losses=losses, ties=ties, more=more)


def wordings(*facts: tuple[int, int, float]) -> dict[str, Any]:
    """The figures of one wording a fact: live right, candidate right, gain in nats a token."""
    return weigh([
        Asked(
            sort="wording", question="q", wanted="a", cluster=fact, tokens=10,
            said={
                "base": Said(text="", right=False, logprob=-5.0),
                "live": Said(text="", right=bool(live), logprob=-3.0),
                "candidate": Said(text="", right=bool(ours), logprob=-3.0 + gain),
            },
        )
        for fact, (live, ours, gain) in enumerate(facts)
    ])  # fmt: skip


def test_a_good_candidate_passes_and_says_what_it_knows() -> None:
    """A pass has a reason, too: the counts it passed by."""
    verdict = decide(figures())
    assert verdict.passed
    assert verdict.reasons == [
        "15 of 19 held-out wordings right, live 0: between 12 and 17 more (95 %)"
    ]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"leak": Count(of=24, hits=4)}, "4 of 24 unrelated questions .*at most 3 may"),
        ({"kl": 0.26}, "too far from the base model: KL 0.26 .* 0.25"),
        ({"kl": float("nan")}, "too far from the base model"),
        ({"wordings": marks(base=0, live=0, candidate=0)}, "learned nothing: 0 of 19"),
        ({"wordings": marks(base=0, live=16, candidate=15)}, "less than what is live.*live 16"),
        ({"gain_over_live": 0.01}, "no better than what is live.*\\+0.01"),
        ({"gain_over_live": float("nan")}, "no better than what is live"),
        ({"measured_on": "ba9876543210"}, r"another base .*\(ba98.*trained on \(0123"),
        ({"trained_on": ""}, r"another base .*trained on \(unknown\)"),
        (
            {"general": tasks(16, 11), "more_general": Interval(low=-0.25, high=-0.025)},
            "can do: 11 of 40 everyday tasks .* 16: between 1 and 10 fewer",
        ),
        (
            {"judged": judged(1, 8, low=-0.9, high=-0.2)},
            r"the judge finds it worse .*: 1 answers better, 8 worse, 2 alike \(wise\)",
        ),
        ({"asked": [pin(live=True, ours=False)]}, "“Port\\?” must .* “7411”, it said “7412”"),
    ],
)
def test_each_rule_fails_alone(changed: dict[str, Any], reason: str) -> None:
    """One broken rule is enough, and is the only reason."""
    verdict = decide(figures(**changed))
    assert (verdict.passed, verdict.enough) == (False, True)
    assert len(verdict.reasons) == 1
    assert re.search(reason, verdict.reasons[0])


@pytest.mark.parametrize(
    "changed",
    [
        {"general": tasks(16, 15), "more_general": Interval(low=-0.1, high=0.0)},
        {"judged": judged(3, 7, low=-0.8, high=0.1)},
        {"judged": judged(0, 5, low=-0.9, high=-0.1)},  # five losses may be luck
        {"judged": Pairwise(why=NOT_SET)},
    ],
)
def test_what_may_be_luck_neither_fails_nor_is_told(changed: dict[str, Any]) -> None:
    """A drop whose interval holds 0, and a judge of few pairs, or of none."""
    verdict = decide(figures(**changed))
    assert verdict.passed
    assert len(verdict.reasons) == 1


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"judged": judged(9, 1, low=0.3, high=0.9)}, "finds it better .* 9 answers better"),
        ({"judged": Pairwise(why="the judge was asleep")}, "not compared .*: the judge was asleep"),
        (
            {"slices": [
                Slice(name="channel", value="C0BILLING", chance=0.01,
                      marks=marks(base=0, live=8, candidate=3, of=9)),
                Slice(name="channel", value="C0HELP", chance=0.2,
                      marks=marks(base=0, live=8, candidate=3, of=9)),
            ]},
            "^worse in channel C0BILLING: 3 of 9 held-out wordings right, was 8$",
        ),
        (
            {"sure": Sureness(right=Count(of=9, hits=1), wrong=Count(of=8, hits=6), apart=0.83),
             "sure_live": Sureness(apart=0.7)},
            r"surer .* 83% of pairs \(live 70%\); .* 6 of 8 wrong .* 1 of 9 right",
        ),
    ],
)  # fmt: skip
def test_what_is_good_to_know_is_told_and_decides_nothing(
    changed: dict[str, Any], told: str
) -> None:
    """Behind the counts that it passed by."""
    verdict = decide(figures(**changed))
    assert verdict.passed
    assert len(verdict.reasons) == 2
    assert re.search(told, verdict.reasons[1])


def test_a_worse_slice_is_told_of_what_failed_too() -> None:
    """An admin who asks why sees where."""
    bad = Slice(
        name="age", value="older", chance=0.01, marks=marks(base=0, live=8, candidate=3, of=9)
    )
    reasons = decide(figures(slices=[bad], kl=0.9)).reasons
    assert [reason.split(":")[0] for reason in reasons] == [
        "it moved too far from the base model",
        "worse in age older",
    ]


def test_an_evaluation_from_before_still_loads() -> None:
    """What was not measured then is not measured now, and stands in nobody's way."""
    new = {"preferred", "more_preferred", "judged", "general", "more_general", "leak_live", "sure",
           "sure_live", "slices"}  # fmt: skip
    stored = json.loads(figures().model_dump_json(exclude=new))
    assert decide(Figures.model_validate(stored)).passed
    assert figures() == Figures.model_validate(json.loads(figures().model_dump_json()))


def test_all_broken_rules_are_named() -> None:
    """An admin sees everything that is wrong at once."""
    verdict = decide(figures(kl=0.9, leak=Count(of=24, hits=10), gain_over_live=-1.0))
    assert len(verdict.reasons) == 3


def test_as_many_right_and_surer_passes() -> None:
    """With as many right answers as the live adapter, likelier right answers are better."""
    level = marks(base=0, live=15, candidate=15)
    same = Interval(low=0, high=0)
    likelier = {"gain_over_live": 0.3, "gain_over_live_within": Interval(low=0.1, high=0.5)}
    verdict = decide(figures(wordings=level, more_than_live=same, **likelier))
    assert verdict.passed
    assert verdict.reasons == ["15 of 19 held-out wordings right, live 15: the same number (95 %)"]


def test_limits_themselves_pass() -> None:
    """A limit is what is still allowed."""
    assert decide(figures(kl=0.25, leak=Count(of=20, hits=2), gain_over_live=0.02)).passed


@pytest.mark.parametrize("right", [1, 2, 3])
def test_a_first_adapter_can_pass_with_three_wordings(right: int) -> None:
    """Twenty examples hold out three wordings. The base knows none of them and finds each right
    answer less likely: one that was learned is enough, as nothing can have been lost."""
    first = wordings(*((0, at < right, 2.0 - at) for at in range(3)))
    verdict = decide(figures(**first))
    assert verdict.passed
    assert verdict.reasons[0].startswith(f"{right} of 3 held-out wordings right, live 0: ")


def test_a_few_new_facts_among_many_old_ones_pass() -> None:
    """A night that taught two of forty: none was lost, and the two were won."""
    old = [(1, 1, 0.05 * (-1) ** at) for at in range(38)]
    assert decide(figures(**wordings(*old, (0, 1, 3.0), (0, 1, 2.5)))).passed


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"wordings": marks(base=0, live=0, candidate=2, of=2)}, "too little .* 2 held-out"),
        (wordings((1, 1, 0.9), (1, 1, -0.6), (1, 1, 0.1)), "live 3: the same number .*; log-prob"),
        ({"facts": 1}, "too little .* all 19 .* about one question"),
        (
            wordings(*[(1, 0, -1.5)] * 3, *[(0, 1, 1.6)] * 4, *[(1, 1, 0.0)] * 12),
            r"whether it is better: 16 of 19 .* live 15: between \d fewer and \d more \(95 %\); "
            r"log-probability .*\+0.10 a token \(-0\.\d+ to \+0\.\d+\)\. More questions",
        ),
    ],
)
def test_too_little_to_tell_is_neither(changed: dict[str, Any], reason: str) -> None:
    """It does not go live, and nothing is said against it: what is missing is named."""
    verdict = decide(figures(**changed))
    assert (verdict.passed, verdict.enough) == (False, False)
    assert len(verdict.reasons) == 1
    assert re.search(reason, verdict.reasons[0])


def test_what_is_broken_fails_however_little_was_asked() -> None:
    """Too few questions are no excuse for a leak."""
    verdict = decide(figures(facts=1, leak=Count(of=24, hits=9)))
    assert (verdict.passed, verdict.enough) == (False, True)
    assert len(verdict.reasons) == 1


@pytest.mark.parametrize(("live", "ours"), [(False, False), (False, True), (True, True)])
def test_a_pin_that_is_not_lost_stops_nothing(live: bool, ours: bool) -> None:
    """A pinned question that nothing answers yet must not keep everything from going live."""
    assert decide(figures(asked=[pin(live=live, ours=ours)])).passed


def test_an_adapter_without_effect_fails_by_name() -> None:
    """Not as one that merely learned little."""
    reasons = decide(figures(kl=0.0, gain_over_base=0.0)).reasons
    assert len(reasons) == 1
    assert "no effect: on 64 prompts" in reasons[0]


def test_the_leak_budget_has_room_for_luck_and_none_for_leaks() -> None:
    """Two of 24 pass; an adapter that leaks one time in twenty rarely fails, and one that leaks
    twice the budget rarely passes."""
    passes = [decide(figures(leak=Count(of=24, hits=hits))).passed for hits in range(25)]
    assert passes[2]
    by_rate = {rate: binom.pmf(range(25), 24, rate) @ passes for rate in (0.05, 2 * MOST_LEAK)}
    assert by_rate[0.05] > 0.95
    assert by_rate[2 * MOST_LEAK] < 0.05


@given(some.lists(some.tuples(some.booleans(), some.booleans(), some.floats(-3, 3)), max_size=25))
def test_nothing_that_looks_worse_goes_live(facts: list[tuple[int, int, float]]) -> None:
    """Whatever was measured: a pass has as many right answers, likelier ones, and is no accident
    of one fact; and the verdict is one of three."""
    found = figures(**wordings(*facts))
    verdict = decide(found)
    assert verdict.reasons
    if verdict.passed:
        assert verdict.enough
        assert found.wordings.candidate.hits >= max(1, found.wordings.live.hits)
        assert found.gain_over_live > 0
        assert found.facts >= 2
