"""What the admins read of a canary that is over. Pure functions: plain Block Kit."""

from __future__ import annotations

from typing import Any

from bot import run_card
from bot.canary import Decision, Trial, Verdict
from bot.mrkdwn import escape
from bot.run_words import person
from bot.store.run_view import RunView
from bot.store.schema import RunStatus

_SAID = {
    Decision.ROLL_BACK: ":leftwards_arrow_with_hook: v{number} was worse and is rolled back: "
    "v{live} answers everybody.",
    Decision.PROMOTE: ":white_check_mark: v{number} answers everybody now, no longer v{live}. "
    "`/mynah rollback now` goes back at once.",
    Decision.NOT_ENOUGH: ":raised_hand: v{number} was on trial, and its time is over: v{live} "
    "answers everybody, as before.",
}


def payload(found: Trial, verdict: Verdict, run: RunView | None) -> dict[str, Any]:
    """`chat.postMessage` arguments: what became of the canary, why, and what an admin may do.

    Args:
        run: that left the release, as it stands by now; it has buttons where it waits.
    """
    said = _SAID[verdict.decision].format(number=found.number, live=found.live_number)
    text = f"{said}\n• {escape(verdict.reason)}."
    if verdict.leans_on is not None:
        who = person(escape(verdict.leans_on))
        text += f"\n• Without the word of {who} there is too little to tell."
    if verdict.decision is Decision.NOT_ENOUGH:
        text += f"\n`/mynah promote v{found.number}` lets it answer."
    section = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    waits = run is not None and run.status is RunStatus.PROVEN
    actions = [run_card.buttons(run)] if run is not None and waits else []
    return {"text": text, "blocks": [section, *actions]}
