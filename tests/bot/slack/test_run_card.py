"""A run's message: a plan that Slack takes at every step, and what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot import run_card
from bot.store.run_view import RunView
from bot.store.schema import RunStatus
from deploy.sandbox.blocks import check_blocks
from tests.bot.slack.house import House

COUNTS = {
    "train": 25, "held_out_wording": 5, "held_out_question": 2,
    "refused": {"from a private channel": 3},
}  # fmt: skip
MARKS = {name: {"hits": hits, "of": 5} for name, hits in (("base", 0), ("live", 2))}
FIGURES = {
    "wordings": MARKS | {"candidate": {"hits": 4, "of": 5}},
    "leak": {"hits": 1, "of": 24},
    "kl": 0.112,
}
QUEUED = RunView(7, RunStatus.QUEUED, requested_by="U0ADMIN")
RUNNING = replace(QUEUED, status=RunStatus.RUNNING, phase="choosing examples")
FROZEN = replace(RUNNING, counts=COUNTS, phase="training", progress=0.5, left_s=120.0)
TRAINED = replace(FROZEN, trained=True, phase=run_card.LOADING, progress=0.0, left_s=None)
LOADED = replace(TRAINED, phase="asking other wordings (base)", number=3, live=2)
PASSED = replace(LOADED, figures=FIGURES, passed=True, verdict=["4 of 5 held-out wordings right"])
PROVEN = replace(PASSED, status=RunStatus.PROVEN, reasons=PASSED.verdict)
RELEASED = replace(PROVEN, status=RunStatus.RELEASED)
REFUSED = replace(RUNNING, status=RunStatus.REFUSED, reasons=["too little: 3 examples"])
KEPT = replace(
    PASSED, status=RunStatus.KEPT, passed=False, verdict=["it forgot"], reasons=["it forgot"]
)
UNCLEAR = replace(KEPT, status=RunStatus.UNCLEAR, verdict=["too few"], reasons=["too few"])
MEANWHILE = replace(PROVEN, status=RunStatus.KEPT, reasons=["v1 went live meanwhile"])
FAILED = replace(FROZEN, status=RunStatus.FAILED, reasons=["killed 3 times"])
CANARY = replace(RELEASED, share=0.2)
ROLLED_BACK = replace(PROVEN, status=RunStatus.KEPT, by="canary", reasons=["5 of 9 went well"])
ALL = [
    QUEUED, RUNNING, FROZEN, TRAINED, LOADED, PROVEN, RELEASED, REFUSED, KEPT, UNCLEAR, MEANWHILE,
    FAILED,
    CANARY, replace(CANARY, by="U0ADMIN"), ROLLED_BACK,
    replace(RELEASED, by="U0ADMIN"), replace(PROVEN, status=RunStatus.KEPT, by="U0ADMIN"),
]  # fmt: skip
SHORT = {"complete": "+", "in_progress": ">", "pending": ".", "error": "!"}


def tasks(run: RunView) -> list[dict[str, Any]]:
    """The steps that are shown."""
    return list(run_card.payload(run)["blocks"][0]["tasks"])


def words(block: Any) -> str:
    """All that a rich text says."""
    if isinstance(block, list):
        return " ".join(words(one) for one in block)
    if not isinstance(block, dict):
        return ""
    said = block.get("text") or block.get("user_id") or ""
    return said if isinstance(said, str) and said else words(block.get("elements"))


@pytest.mark.parametrize("run", ALL)
async def test_slack_takes_it(run: RunView, house: House) -> None:
    """At every step and every end: posted, and put in the place of another."""
    shown = run_card.payload(run)
    check_blocks(shown["blocks"])
    bot = house.sandbox.client("xoxb-mynah")
    posted = await bot.chat_postMessage(channel="C0HELP", **shown)
    await bot.chat_update(channel="C0HELP", ts=posted["ts"], **run_card.payload(RELEASED))


@pytest.mark.parametrize(
    ("run", "steps"),
    [
        (QUEUED, "......"),
        (RUNNING, ">....."),
        (FROZEN, "+>...."),
        (TRAINED, "++>..."),
        (LOADED, "+++>.."),
        (PROVEN, "+++++."),
        (RELEASED, "++++++"),
        (CANARY, "++++++"),
        (ROLLED_BACK, "++++++"),
        (REFUSED, "+"),
        (KEPT, "++++!"),
        (UNCLEAR, "+++++"),
        (MEANWHILE, "+++++!"),
        (FAILED, "+!"),
        (replace(PROVEN, status=RunStatus.KEPT, by="U0ADMIN"), "++++++"),
    ],
)
def test_each_step_stands_where_the_run_is(run: RunView, steps: str) -> None:
    """Done, under way, to come, gone wrong; what an ended run never came to is not shown."""
    assert "".join(SHORT[task["status"]] for task in tasks(run)) == steps


def test_each_step_says_what_came_of_it() -> None:
    """Examples and refusals, progress and time left, before and after, the verdict, the release."""
    assert words(tasks(FROZEN)[0]["output"]) == (
        "25 examples to learn from, 7 kept back to measure by not used: 3 from a private channel"
    )
    assert words(tasks(FROZEN)[1]["details"]) == "training 50%, about 2 minutes left"
    done = tasks(replace(RELEASED, by="U0ADMIN"))
    assert "base 0, before 2, now 4 of 5" in words(done[3]["output"])
    assert words(done[4]["output"]) == "4 of 5 held-out wordings right"
    assert words(done[5]["output"]) == "v3 is live, promoted by  U0ADMIN"
    assert words(tasks(CANARY)[5]["output"]) == "v3 answers 20% of new threads"
    assert words(tasks(ROLLED_BACK)[5]["output"]) == "v3 was rolled back 5 of 9 went well"
    assert words(tasks(FAILED)[1]["output"]) == "killed 3 times"
    assert words(tasks(MEANWHILE)[5]["output"]) == "not released v1 went live meanwhile"


def test_pinned_questions_are_counted_where_there_are_any() -> None:
    """Like the others: before and now."""
    pins = {model: {"hits": hits, "of": 3} for model, hits in (("base", 0), ("live", 1))}
    figures = FIGURES | {"pins": pins | {"candidate": {"hits": 2, "of": 3}}}
    shown = words(tasks(replace(PROVEN, figures=figures))[3]["output"])
    assert "right answers, pinned questions: base 0, before 1, now 2 of 3" in shown
    assert "pinned" not in words(tasks(PROVEN)[3]["output"])


def test_not_enough_to_tell_is_no_refusal() -> None:
    """The message says what is missing, and neither that it passed nor that it failed."""
    shown = run_card.payload(UNCLEAR)
    assert shown["blocks"][0]["title"] == "Run 7: trained, but not enough to tell"
    assert shown["text"].startswith(
        ":grey_question: Run 7: trained, but there was not enough to tell whether it is better."
        " Nothing changed.\n• too few\n"
    )
    assert words(tasks(UNCLEAR)[4]["output"]) == "too few"


def test_only_what_waits_has_buttons() -> None:
    """Promote asks first, with the figures; their texts are as short as Slack wants them."""
    assert [len(run_card.payload(run)["blocks"]) for run in ALL].count(2) == 1
    buttons = run_card.payload(PROVEN)["blocks"][1]["elements"]
    assert [one["value"] for one in buttons] == ["7", "7"]
    confirm = buttons[0]["confirm"]
    assert confirm["title"]["text"] == "Let v3 answer instead of v2?"
    assert "base 0, before 2, now 4 of 5" in confirm["text"]["text"]
    long = replace(PROVEN, verdict=["x" * 5000], reasons=["x" * 5000])
    for button in run_card.payload(long)["blocks"][1]["elements"]:
        asks = button["confirm"]
        limits = {"title": 100, "text": 300, "confirm": 30, "deny": 30}
        assert all(0 < len(asks[name]["text"]) <= limit for name, limit in limits.items())
    assert len(run_card.payload(long)["text"]) < 4000


def test_the_text_alone_is_enough() -> None:
    """Notifications and old clients show it: the headline, the reasons, the way back."""
    text = run_card.payload(replace(RELEASED, by="U0ADMIN"))["text"]
    assert text.startswith(":white_check_mark: Run 7: v3 is live, promoted by <@U0ADMIN>.\n")
    assert text.endswith("`/mynah rollback now` goes back at once.")
    assert "`/mynah promote v3`" in run_card.payload(PROVEN)["text"]
    rude = replace(FAILED, reasons=["<!channel> & all"])
    assert "• &lt;!channel&gt; &amp; all" in run_card.payload(rude)["text"]


def test_a_channel_is_shown_as_one() -> None:
    """Where a candidate got worse: Slack knows the channel's name, in the card and in the text."""
    reason = "worse in channel C0BILLING: 3 of 9 held-out wordings right, was 8"
    made = run_card.payload(replace(KEPT, verdict=[reason], reasons=[reason]))
    check_blocks(made["blocks"])
    assert {"type": "channel", "channel_id": "C0BILLING"} in elements(made["blocks"])
    assert "worse in <#C0BILLING>: 3 of 9" in made["text"]


def elements(block: Any) -> list[dict[str, Any]]:
    """Everything within a block, however deep."""
    if isinstance(block, list):
        return [one for each in block for one in elements(each)]
    if not isinstance(block, dict):
        return []
    return [block, *elements(list(block.values()))]
