"""The Home tab as Slack would check it: limits, hostile words, and what each part says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.slack import board, home_view
from bot.slack.board import Board, Rate
from bot.slack.home_view import Review, Shown, view
from bot.slack.pieces import Linked
from bot.store import holds
from bot.store.review import Pending
from bot.store.schema import Answer, AnswerMode, CaseStatus, FeedbackKind, Question
from deploy.sandbox.views import check_view

NASTY = "<!channel> <@U0ADMIN> <https://evil.example|safe> & ``` *b* \n\n> q \u202e " * 900
LINK = "https://mynah.example/archives/C1/p1?thread_ts=1.0&cid=C1"


def waiting(
    mode: AnswerMode = AnswerMode.CLOSED_BOOK,
    *,
    held: str | None = None,
    case: CaseStatus | None = None,
    text: str = NASTY,
) -> Pending:
    """An answer that waits for review."""
    question = Question(team_id="T", channel="C1", thread_ts="1.0", ts="1.0", user="U1", text=text)
    answer = Answer(
        id=7, team_id="T", question_id=1, text=text, mode=mode, release_id=1, channel="C1",
        ts="1.1", confidence=-0.25,
    )  # fmt: skip
    return Pending(answer, question, case, held)


def dashboard(**more: Any) -> Board:
    """A dashboard."""
    plain = Board(
        answered={7: 3, 30: 9}, rates=(), cases=2, gaps=(), state=["*Live:* v2"], runs=(),
        paused=False, back=1,
    )  # fmt: skip
    return replace(plain, **more)


def shown(tab: Shown) -> dict[str, Any]:
    """The tab as Slack gets it, once Slack would take it."""
    return check_view(view(tab).to_dict(), "home")


def levers(tab: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The admins' buttons by their action ids."""
    elements = [one for block in tab["blocks"] for one in block.get("elements", ())]
    return {one["action_id"]: one for one in elements if one["type"] == "button"}


def lines(tab: dict[str, Any]) -> list[str]:
    """Every line of every paragraph."""
    sections = [block["text"]["text"] for block in tab["blocks"] if block["type"] == "section"]
    return "\n".join(sections).split("\n")


def items(tab: dict[str, Any]) -> list[str]:
    """Every item of every list."""
    rich = [block for block in tab["blocks"] if block["type"] == "rich_text"]
    lists = [part for block in rich for part in block["elements"] if part["type"].endswith("list")]
    rows = [row["elements"] for one in lists for row in one["elements"]]
    return ["".join(piece["text"] for piece in row) for row in rows]


def test_the_fullest_tab_is_within_slacks_limits() -> None:
    """Everything at its longest, and nothing of it is markup."""
    words = Linked(NASTY, LINK)
    full = Shown(
        about={"channel": "D0ASKER", "skip": 20},
        own=[words] * 5,
        review=Review(
            [(waiting(held=holds.DISPUTED, case=CaseStatus.OPEN), LINK)] * 10, 20, more=True
        ),
        board=dashboard(
            rates=[Rate("v1 " * 100, {})] * 5, gaps=[(words, 3)] * 5, runs=["x" * 900] * 5
        ),
        notice="n" * 9000,
    )
    tab = shown(full)
    assert len(tab["blocks"]) < 70
    for block in tab["blocks"]:
        if block["type"] != "rich_text":
            assert "evil" not in str(block)
            assert "<!" not in str(block)


def test_empty_words_are_no_fault() -> None:
    """A question that was emptied, or an answer of spaces, still makes a tab."""
    item = waiting(text=" \n ")
    tab = Shown({}, own=[Linked("", None)], review=Review([(item, None)], 0, more=False))
    assert "…" in str(shown(tab))


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (waiting(), "<#C1> · closed book · fairly sure"),
        (
            waiting(held=holds.DISPUTED),
            "<#C1> · *staff disagree on the answer* · closed book · fairly sure",
        ),
        (
            waiting(held=holds.WAITING),
            "<#C1> · *more of the staff have to say so* · closed book · fairly sure",
        ),
        (
            waiting(AnswerMode.UNSURE, case=CaseStatus.CLAIMED),
            "<#C1> · not sure, so it was not answered · somebody works on the case",
        ),
    ],
)
def test_each_answer_says_why_it_waits(item: Pending, line: str) -> None:
    """Channel, mode, how sure, and the link; what was not answered can only be answered."""
    tab = shown(Shown({}, review=Review([(item, LINK)], 0, more=False)))
    [context] = [block for block in tab["blocks"] if block["type"] == "context"]
    assert context["elements"][0]["text"] == f"{line} · <{LINK}|see it>"
    rated = {home_view.RIGHT, home_view.WRONG} & levers(tab).keys()
    assert bool(rated) == (item.answer.mode is not AnswerMode.UNSURE)
    assert levers(tab)[home_view.CORRECT]["value"] == "7"


@pytest.mark.parametrize(
    ("skipped", "more", "turns"),
    [(0, False, []), (0, True, ["10"]), (10, True, ["0", "20"]), (20, False, ["0"])],
)
def test_pages(skipped: int, more: bool, turns: list[str]) -> None:
    """There is a way on where there is more, and a way back from there."""
    tab = shown(Shown({}, review=Review([], skipped, more)))
    elements = [one for block in tab["blocks"] for one in block.get("elements", ())]
    assert [one["value"] for one in elements if one.get("action_id") == home_view.MORE] == turns


def test_a_rate_needs_enough_ratings() -> None:
    """Under five ratings a percentage would say nothing; the counts are there always."""
    few = {FeedbackKind.APPROVE: 3, FeedbackKind.REJECT: 1}
    enough = {**few, FeedbackKind.CORRECT: 1}
    tab = shown(Shown({}, board=dashboard(rates=[Rate("v3", few), Rate("v2", enough)])))
    assert items(tab) == [
        "v3: not enough ratings (3 right, 1 wrong, 0 corrected)",
        "v2: 60% (3 right, 1 wrong, 1 corrected)",
        "none yet",
    ]
    assert "*Answers:* 3 in 7 days, 9 in 30 days" in lines(tab)
    assert "*Open cases:* 2" in lines(tab)


def test_gaps_say_how_often() -> None:
    """What was asked once and what was asked again and again are in one list."""
    gaps = [(Linked("Why?", None), 1), (Linked("Where?", LINK), 3)]
    tab = shown(Shown({}, board=dashboard(gaps=gaps)))
    assert items(tab) == ["none yet", "Why? (asked once)", "Where? (asked 3 times)"]


def test_levers_ask_back_and_fit_the_state() -> None:
    """Slack asks before each; there is no way back without an earlier release; pause or resume."""
    running = levers(shown(Shown({}, board=dashboard())))
    paused = levers(shown(Shown({}, board=dashboard(paused=True, back=None))))
    assert list(running) == [board.TRAIN, board.ROLL_BACK, board.PAUSE]
    assert list(paused) == [board.TRAIN, board.RESUME]
    assert all("confirm" in one for one in (*running.values(), *paused.values()))
    assert running[board.ROLL_BACK]["value"] == "rollback v1"
    assert running[board.ROLL_BACK]["confirm"]["text"]["text"].startswith("v1 answers again")
