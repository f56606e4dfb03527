"""Which release to go back to, as an admin chooses it: the versions, each with its button."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from slack_sdk.models.blocks import (
    ButtonElement,
    ConfirmObject,
    MarkdownTextObject,
    SectionBlock,
)
from sqlmodel import Session

from bot import releases
from bot.releases import ReleaseView
from bot.slack import reports
from bot.store import rollouts
from bot.store.schema import Release

ROLL_BACK_TO = "admin:rollback_to"


class Choice(NamedTuple):
    """What is shown: text for a notification, and the blocks."""

    leaving: int
    text: str
    blocks: list[dict[str, Any]]


def choice(session: Session, team_id: str) -> Choice | None:
    """The versions that one can go back to; None when there is none."""
    row = rollouts.live_row(session, team_id)
    if row is None:
        return None
    leaving = session.get_one(Release, (rollouts.canary_row(session, row) or row).release_id)
    usual = releases.fallback(session, team_id)
    earlier = {view.number for view in releases.earlier_live(session, team_id)}
    views = [
        view
        for view in releases.history(session, team_id)
        if (view.live or view.number in earlier) and view.number != leaving.number
    ]
    shown = reports.few(views)
    return render(leaving.number, usual.number if usual else None, shown) if shown else None


def render(leaving: int, usual: int | None, views: Sequence[ReleaseView]) -> Choice:
    """The choice to go back from v`leaving`; `usual` is what `rollback now` would go to."""
    at_once = f" `/mynah rollback now` goes to v{usual} at once." if usual else ""
    text = f"v{leaving} answers now. Where to?{at_once} `/mynah rollback VERSION` goes to any."
    ordered = sorted(views, key=lambda view: view.number != usual)
    blocks = [SectionBlock(text=text), *(_row(leaving, usual, view) for view in ordered)]
    return Choice(leaving, text, [block.to_dict() for block in blocks])


def numbers(value: str) -> tuple[int, int]:
    """What a button stands for: from which version to which."""
    leaving, target = value.split(":")
    return int(leaving), int(target)


def _row(leaving: int, usual: int | None, view: ReleaseView) -> SectionBlock:
    name = f"v{view.number}"
    button = ButtonElement(
        text=f"Go to {name}",
        action_id=ROLL_BACK_TO,
        value=f"{leaving}:{view.number}",
        style="primary" if view.number == usual else None,
        confirm=ConfirmObject(
            title=f"From v{leaving} to {name}?",
            text=f"{reports.short(view)} answers from the next question on, for everybody.",
            confirm=f"Go to {name}",
            deny="Not now",
        ),
    )
    usually = " – the release before" if view.number == usual else ""
    words = MarkdownTextObject(text=f"*{reports.short(view)}*{usually}")
    return SectionBlock(block_id=f"version:{view.number}", text=words, accessory=button)
