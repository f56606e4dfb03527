"""The report of a run shows what is stored, all of it as text, and says what was not measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from bot.store.run_view import Tried
from bot.store.schema import RunStatus
from tests.training.a_run import STARTED, asked, leak, measured, questions, run
from training.asked import Asked, Said
from training.curve import Curve, thinned
from training.findings import MODELS
from training.report import page
from training.run_report import RunReport
from training.soundness import Point

HOSTILE = (
    '</td><script>alert(1)</script><img src=x onerror="alert(2)">&amp; *bold* <@U0ADMIN> {{ 7*7 }}'
)
INLINE = {"span", "bdi", "strong", "code"}
VOID = {"meta", "rect", "path", "polyline"}


class Read(HTMLParser):
    """A page as a browser takes it: tags, attributes, words, and what is not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)
        if tag not in INLINE:
            self.words += " "

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words += data


def words(html: str) -> str:
    """What there is to read, in one line."""
    return " ".join(Read(html).words.split())


def section(html: str, title: str) -> str:
    """What there is to read below one heading."""
    parts = re.findall(r"<section .*?</section>", html, re.DOTALL)
    return next(words(part) for part in parts if f">{title}</h2>" in part)


def test_the_page_says_everything_in_its_order() -> None:
    """Verdict, answers, what changed, slices, data, loss, forgetting, pins and cost."""
    html = page(run())
    read = Read(html)
    assert read.open == []
    assert re.findall(r"<h2 [^>]*>([^<]*)</h2>", html) == [
        "Right answers, before and after", "Answers that changed", "Slices won and lost",
        "What went in", "Loss of the training", "What it forgot, and what it leaks",
        "Pinned questions", "What it cost, and what made it",
    ]  # fmt: skip
    found = words(html)
    assert "Run 3 passed the gate, and v2 went live. 17 of 20 held-out wordings right" in found
    assert "new 17 of 20 (85%) 70% to 100%" in found
    assert "+10 right against what was live; with 95 % confidence +7 to +13 of 20." in found
    assert "Rows trained on 172" in found
    assert "the question is only a greeting 3" in found
    assert "1 of 24 at most 3 yes" in found
    assert "0.112 at most 0.25 yes" in found
    assert "Examples chosen and adapter trained 10 min" in found
    for known in ("a" * 64, "b" * 64, "d" * 64, "rank=32"):
        assert known in found


def test_only_what_the_candidate_leaked_is_shown_as_leaked() -> None:
    """What was live may leak where the candidate does not."""
    both = {name: Said(text=f"{name} says 3.", right=name != "live") for name in MODELS}
    theirs = Asked(sort="leak", question="Who wrote Faust?", wanted="", said=both)
    found = words(page(run(asked=[leak("Who wrote Hamlet?", "On floor 3."), theirs])))
    assert "Who wrote Hamlet?" in found
    assert "Who wrote Faust?" not in found


def test_what_else_was_measured_is_told() -> None:
    """Everyday tasks as a budget, the judge, preferences, sureness, rejected rows, the recipes."""
    figures = measured(
        questions(),
        general={
            model: {"of": 40, "hits": hits} for model, hits in (("base", 30), ("candidate", 9))
        },
        more_general={"low": -0.7, "high": -0.3},
        judged={"judge": "large", "wins": 7, "losses": 1, "ties": 2},
        preferred={model: {"of": 5, "hits": hits} for hits, model in enumerate(MODELS, 2)},
        sure={"apart": 0.9},
    )
    tries = [
        Tried("sft", verdict="fail", right=12, of=20, kl=0.2),
        Tried("sdft", best=True, verdict="pass", right=17, of=20, kl=0.1),
    ]
    counts = {"train": 172, "rejected": 11}
    found = words(page(run(figures=figures, tried=tries, counts=counts, trained_s=300.0)))
    assert "Everyday tasks done right 9 of 40 not surely under 30 no" in found
    assert "7 answers better, 1 worse, 2 alike" in found
    assert "likelier than rejected ones 4 of 5 (80%), live 3, base 2" in found
    assert "in 90% of pairs" in found
    assert "Rejected without a correction 11" in found
    assert "sft 12 of 20 held-out wordings right, KL 0.200, did not pass" in found
    assert "sdft 17 of 20 held-out wordings right, KL 0.100, passed – the best" in found
    assert "All recipes trained 5 min" in found
    assert "adapters loaded and measured 7 min" in found
    kept = figures | {"more_general": {"low": -0.7, "high": 0.1}}
    assert "9 of 40 not surely under 30 yes" in words(page(run(figures=kept)))


def test_the_page_stands_alone() -> None:
    """No script, no link and no address: it shows the same wherever it lies."""
    read = Read(page(run()))
    assert not {"script", "link", "iframe", "img", "object", "form", "a"} & set(read.tags)
    names = {name for name, _ in read.attributes}
    assert not {name for name in names if name.startswith("on")} | ({"src", "href"} & names)
    assert not re.search(r"https?://|url\(|@import", page(run()))


def test_what_people_and_models_say_stays_text() -> None:
    """Questions, answers, reasons, slices and names: none of them becomes markup."""
    said = dict.fromkeys(("base", "live", "candidate"), HOSTILE)
    one = asked("wording", 1, (False, False, True), HOSTILE, **said)
    hostile = [
        one.model_copy(update={"wanted": HOSTILE, "slices": {HOSTILE: HOSTILE}}),
        asked("pin", 2, (False, True, False), HOSTILE, **said),
        leak(HOSTILE, HOSTILE),
    ]
    counts = {"train": 1, "refused": {HOSTILE: 1}}
    html = page(
        run(
            asked=hostile, figures=measured(hostile), why=[HOSTILE], reasons=[HOSTILE],
            phase=HOSTILE, counts=counts, recipe={HOSTILE: HOSTILE}, dataset=HOSTILE,
            status=RunStatus.FAILED,
        )
    )  # fmt: skip
    read = Read(html)
    assert read.open == []
    assert not {"script", "img", "b"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name.startswith("on")]
    assert read.words.count(HOSTILE) >= 14
    assert "49" not in re.findall(r"\b49\b", words(html))


def test_half_a_character_can_be_written() -> None:
    """A model's answer may be cut within one."""
    one = asked("wording", 1, (False, False, True), candidate="half \ud83d")
    assert "half ?" in words(page(run(asked=[one], figures=measured([one]))))
    page(run(asked=[one], figures=measured([one]))).encode("utf-8")


def test_answers_that_changed_are_shown_and_counted() -> None:
    """Ten of each with what was wanted, before and now; the rest is a number."""
    better = [asked("wording", at, (False, False, True)) for at in range(13)]
    worse = [asked("question", at, (False, True, False)) for at in range(20, 22)]
    same = [asked("wording", at, (False, True, True), "Not a change") for at in range(30, 34)]
    both = [*better, *worse, *same]
    found = section(page(run(asked=both, figures=measured(both))), "Answers that changed")
    assert "Right now, and not before 13 Where is thing 0?" in found
    assert "wanted On floor 9. before live says 9. now candidate says 9. … and 3 more" in found
    assert "Where is thing 10?" not in found
    assert "Right before, and no longer 2 Where is thing 20?" in found
    assert "Not a change" not in found


def test_slices_are_won_and_lost() -> None:
    """By how many right answers, the lost ones first; those that stayed are a number."""

    def of(channel: str, live: bool, now: bool, start: int) -> list[Asked]:
        made = [asked("wording", at, (False, live, now)) for at in range(start, start + 4)]
        return [one.model_copy(update={"slices": {"channel": channel}}) for one in made]

    both = [
        *of("C0WON", False, True, 0),
        *of("C0LOST", True, False, 4),
        *of("C0SAME", True, True, 8),
    ]
    found = section(page(run(asked=both, figures=measured(both))), "Slices won and lost")
    assert "channel C0LOST 4 0 4 -4 (-4 to -4)" in found
    assert "channel C0WON 0 4 4 +4 (+4 to +4)" in found
    assert found.index("C0LOST") < found.index("C0WON")
    assert "In 1 other slice as many" in found
    assert "C0SAME" not in found


def test_what_was_not_measured_is_not_told() -> None:
    """An evaluation of before there were such figures: nothing is made up for them."""
    figures = measured([])
    for name in ("kl", "leak", "gain_over_live", "gain_over_base", "seconds", "pins", "questions"):
        del figures[name]
    found = words(page(run(asked=(), figures=figures, curve=Curve(), counts=None, adapter=None)))
    assert found.count("not measured") == 3
    assert "Not measured: no question could be kept back to ask." in found
    assert "No examples were chosen." in found
    assert "Log-probability" not in found
    assert "nats a token at first" not in found
    assert not re.search(r"\b(None|nan|NaN|Undefined)\b", found)


@pytest.mark.parametrize("kl", [None, float("nan"), float("inf")])
def test_a_figure_that_is_no_number_breaks_its_budget(kl: float | None) -> None:
    """NaN is stored as null: it is called what it is, and is not within any budget."""
    figures = measured(questions(), kl=kl, gain_over_live=kl)
    found = words(page(run(figures=figures)))
    assert "not a number at most 0.25 no" in found
    assert "against what was live not a number" in found


def test_the_base_is_named_once_where_it_is_live() -> None:
    """Then there are two models to compare, not three."""
    found = words(page(run(figures=measured(questions(), live="base"))))
    assert "base model, live until now 3 of 20" in found
    assert "live until now 7 of 20" not in found


def test_an_unclear_verdict_is_neither() -> None:
    """It says so, and why."""
    found = words(
        page(run(status=RunStatus.UNCLEAR, verdict="unclear", why=["too little to tell"]))
    )
    assert found.startswith("Run 3: not enough to tell · Mynah Not enough to tell Run 3")
    assert "not enough to tell whether it is better; nothing changed. Too little to tell." in found


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": RunStatus.QUEUED}, "Run 3 is queued."),
        ({"status": RunStatus.RUNNING, "phase": "training", "progress": 0.42},
         "Run 3 is under way at the step “training” (42%)."),
        ({"status": RunStatus.REFUSED, "reasons": ["nothing new"]},
         "Run 3 trained nothing. Nothing new."),
    ],
)  # fmt: skip
def test_a_run_that_measured_nothing_has_a_report(changed: dict[str, Any], said: str) -> None:
    """It says how far it is, or why not, and is whole."""
    html = page(_unmeasured(**changed))
    assert Read(html).open == []
    assert said in words(html)


def test_a_failed_run_says_where_it_stopped() -> None:
    """With the loss so far, up to where it was no number any more."""
    losses: Sequence[float | None] = [3.0, 2.5, 2.0, None, None]
    curve = thinned([Point(loss=loss) for loss in losses])
    failed = {"status": RunStatus.FAILED, "phase": "training", "progress": 0.8, "adapter": None}
    html = page(_unmeasured(**failed, curve=curve, reasons=["the loss is not a number at step 4"]))
    found = words(html)
    assert "Run 3 failed at the step “training” (80%); nothing changed. The loss is not" in found
    assert "3.00 nats a token at first, 2.00 after 3 steps; then it was no longer a number" in found
    assert html.count("<polyline") == 1


def test_a_run_that_was_taken_up_again_says_so() -> None:
    """Its times count what it lay about."""
    assert "It was taken up 3 times" in words(page(run(attempts=3)))
    assert "taken up" not in words(page(run()))


def test_an_adapter_of_an_earlier_run_was_not_trained_here() -> None:
    """What it cost then is not counted again."""
    made = run().adapter
    assert made is not None
    earlier = made.model_copy(update={"at": STARTED - timedelta(days=1)})
    found = words(page(run(adapter=earlier, curve=Curve())))
    assert "adapter trained" not in found
    assert "measured what an earlier one had trained" in found


def test_one_answer_alone_has_no_interval() -> None:
    """One fact tells nothing of others."""
    one = asked("wording", 1, (False, False, True))
    assert "too few different facts for an interval" in words(
        page(run(asked=[one], figures=measured([one])))
    )


def test_an_empty_answer_is_called_one() -> None:
    """Nothing at all would look like a mistake of the page."""
    silent = asked("wording", 1, (False, True, False))
    said = dict(silent.said) | {"candidate": Said(text="", right=False)}
    silent = silent.model_copy(update={"said": said})
    assert "now (nothing)" in words(page(run(asked=[silent], figures=measured([silent]))))


def _unmeasured(**changed: Any) -> RunReport:
    nothing: dict[str, Any] = {
        "verdict": None, "why": (), "asked": (), "figures": {}, "measured_at": None, "number": None,
        "curve": Curve(),
    }  # fmt: skip
    return run(**nothing | changed)


def test_what_the_weights_know_is_told() -> None:
    """The candidate alone is asked: there is nothing to compare, and a share to tell."""
    said = {"candidate": Said(text="On floor 1.", right=True)}
    known = asked("known", 1, (False, False, True)).model_copy(update={"said": said})
    found = words(page(run(asked=[*questions(), known])))
    assert "Taught facts, asked in words made up for it 1 of 1 (100%)" in found
