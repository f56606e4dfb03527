"""The one message that a run has in Slack: said once, then kept up to date by whoever knows more.

All functions take a session inside `transaction(engine)`.
"""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot import outbox, run_card, run_words
from bot.store import runs
from bot.store.run_view import evaluation, view
from bot.store.schema import OutboxMessage, Run

_VERDICTS = {
    "pass": "the gate let it pass",
    "fail": "the gate refused it",
    "unclear": "too little to tell",
}


def tell(
    session: Session,
    run: Run,
    *,
    step: str,
    admin_channel: str,
    left_s: float | None = None,
    by: str = "",
) -> OutboxMessage | None:
    """Say the run's message, or change what it says, once for each `step`; its row, if any.

    How a run ended is said anew where the message never came or somebody deleted it.

    Args:
        left_s: seconds until the run's phase ends, where that can be told.
        by: who promoted or discarded what the run had proven.
    """
    key = runs.message_key(run.id)
    payload = run_card.payload(view(session, run, left_s=left_s, by=by))
    said = outbox.said(session, run.team_id, key)
    if said is not None:
        over = run.status in runs.ENDS
        outbox.change(session, said, key=f"{key}:{step}", payload=payload, anew=over)
    elif channel := run.report_channel or admin_channel:
        said = outbox.say(session, team_id=run.team_id, key=key, channel=channel, payload=payload)
    return said


def show(session: Session, run: Run, said: OutboxMessage) -> None:
    """Put the picture of the run's evaluation, if there is one, and its page under its message;
    once."""
    found = evaluation(session, run)
    if found is None or found.picture is None:
        return
    payload: dict[str, Any] = {
        "evaluation_id": found.id,
        "filename": f"run-{run.id}.png",
        "title": f"Run {run.id}: before and after",
        "alt_txt": "; ".join([_VERDICTS[found.verdict], *run_words.before_after(found.figures)]),
    }
    if found.page is not None:
        payload["page"] = {"filename": f"run-{run.id}.html", "title": f"Run {run.id}: the report"}
    outbox.attach(session, said, key=f"{runs.message_key(run.id)}:picture", payload=payload)
