"""`mynah promote`: the same as `/mynah promote`, from a shell."""

from __future__ import annotations

from typing import Any

from sqlmodel import Session

from bot import outbox, promoting, run_message
from deploy import facts


def promote(
    session: Session, team: str | None, number: int | None, share: float, *, admin_channel: str
) -> dict[str, Any]:
    """Let a release answer, tell the admins, and return what answers now.

    Raises:
        BadInput: there is no such workspace.
        bot.releases.ReleaseError: nothing changed; the message is one line that says why.
    """
    team_id = facts.one_team(session, team)
    done = promoting.promote(session, team_id, by="operator", number=number, share=share)
    said = None
    if done.run is not None:
        said = run_message.tell(
            session, done.run, step=done.step, admin_channel=admin_channel, by="operator"
        )
    if admin_channel and (said is None or share < 1):
        outbox.say(
            session, team_id=team_id, key=f"news:{done.step}", channel=admin_channel,
            payload={"text": f"The operator let {told(done)}."},
        )  # fmt: skip
    name, live = f"v{done.number}", f"v{done.live}"
    return {"live": name if share == 1 else live, "promoted": name, "share": share}


def told(done: promoting.Promoted) -> str:
    """What answers what from now on."""
    if done.share == 1:
        return f"v{done.number} answer everybody"
    return f"v{done.number} answer {done.share:.0%} of new threads, v{done.live} the others"


def line(found: dict[str, Any]) -> str:
    """`mynah promote` for the eye."""
    if found["share"] == 1:
        return f"{found['promoted']} is live"
    some = f"{found['share']:.0%} of new threads"
    return f"{found['promoted']} answers {some}, {found['live']} the others"
