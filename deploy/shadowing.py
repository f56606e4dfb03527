"""`mynah shadow`: the same as `/mynah shadow`, from a shell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlmodel import Session

from bot import releases, shadow_report


def report(session: Session, team_id: str) -> dict[str, Any]:
    """How the shadow, or the last one, does beside what was shown."""
    found = shadow_report.read(session, team_id)
    if found is None:
        return {"shadow": None}
    shadow = None if found.over else f"v{found.number}"
    counted = {
        name: one for name, one in asdict(found).items() if name not in ("number", "over", "since")
    }
    return {
        "shadow": shadow, "release": f"v{found.number}", "since": found.since.isoformat(),
        **counted, "lines": shadow_report.lines(found),
    }  # fmt: skip


def change(session: Session, team_id: str, number: int | None) -> dict[str, Any]:
    """Let the release be the shadow, or none. Raises ReleaseError."""
    if number is None:
        left = releases.end_shadow(session, team_id, by="operator")
        return {"shadow": None, "ended": f"v{left.number}"}
    releases.start_shadow(session, team_id, number, by="operator")
    return {"shadow": f"v{number}"}


def news(found: Mapping[str, Any]) -> str:
    """What the operator did, for the admins."""
    if found["shadow"] is None:
        return f"ended the shadow of {found['ended']}"
    return f"made {found['shadow']} the shadow: its answers are recorded, and never shown"


def text(found: Mapping[str, Any]) -> str:
    """`mynah shadow` for the eye."""
    if "ended" in found:
        return f"{found['ended']} is no shadow any more"
    if "release" not in found:
        return f"{found['shadow']} is the shadow" if found["shadow"] else "no release is the shadow"
    what = "is the shadow" if found["shadow"] else "was the last shadow"
    head = f"{found['release']} ({found['adapter'] or 'the base model'}) {what}"
    pairs = [
        f"  {one['question']}\n    shown: {one['shown']}\n    {found['release']}: {one['shadow']}"
        for one in found["pairs"]
    ]
    return "\n".join([head, *found["lines"], *pairs])
