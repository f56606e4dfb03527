"""Feedback: what staff said of an answer. Rows are added and revoked, never overwritten.

Whether the person may teach is checked by the caller, each time.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import Session, col, or_, select

from bot import audit, examples
from bot.store.schema import Answer, Feedback, FeedbackKind, now


def record(
    session: Session,
    *,
    team_id: str,
    channel: str,
    target_ts: str,
    user: str,
    kind: FeedbackKind,
    answer_id: int | None = None,
    correction: str | None = None,
    reason: str | None = None,
    given_at: datetime | None = None,
    by: str = "",
) -> tuple[Feedback, bool]:
    """Store one person's rating; return it, and whether it is new (False: already recorded).

    A newer rating by the same person on the same message, or of the same answer, revokes the older
    one and its example. Asking for help (ESCALATE) is no rating: it revokes nothing and stays.

    Args:
        given_at: when the person did it, if that is known: one that was told of late, after a newer
            one, is not stored, and the newer one is returned.
        by: who brings it, when that is not the person.
    """
    given = Feedback(
        team_id=team_id,
        channel=channel,
        target_ts=target_ts,
        answer_id=answer_id,
        user=user,
        kind=kind,
        correction=correction,
        reason=reason,
        given_at=given_at or now(),
    )
    standing = _standing(session, given)
    for older in standing:
        if _says_the_same(older, given) or older.given_at > given.given_at:
            return older, False
    for older in standing:
        _take_back(session, older, f"{user} rated the answer anew")
    session.add(given)
    session.flush()
    audit.record(session, team_id, by or user, f"feedback.{kind.value}", f"feedback:{given.id}")
    return given, True


def revoke(
    session: Session,
    *,
    team_id: str,
    channel: str,
    target_ts: str,
    user: str,
    kind: FeedbackKind,
) -> Feedback | None:
    """Take back a rating, and its example; None if there is none that counts.

    A decision on a review card is no reaction: taking one away leaves it.
    """
    mine = select(Feedback).where(
        Feedback.team_id == team_id,
        Feedback.channel == channel,
        Feedback.target_ts == target_ts,
        Feedback.user == user,
        Feedback.kind == kind,
        col(Feedback.decides).is_(False),
        col(Feedback.revoked_at).is_(None),
    )
    newest = session.exec(mine.order_by(col(Feedback.id).desc())).first()
    if newest is not None:
        _take_back(session, newest, f"{user} took the approval back")
    return newest


def withdraw(session: Session, given: Feedback, by: str, why: str) -> None:
    """Take back anybody's rating, and its example. The caller checks that `by` may."""
    if given.revoked_at is None:
        _take_back(session, given, why, by=by)


def decide(session: Session, answer: Answer, kind: FeedbackKind, user: str) -> Feedback:
    """Store what settles a disagreement about an answer. It makes no example of its own."""
    given = Feedback(
        team_id=answer.team_id, channel=answer.channel, target_ts=answer.ts or "",
        answer_id=answer.id, user=user, kind=kind, decides=True,
    )  # fmt: skip
    session.add(given)
    session.flush()
    audit.record(session, given.team_id, user, "feedback.decide", f"feedback:{given.id}")
    return given


def _standing(session: Session, given: Feedback) -> list[Feedback]:
    """The person's ratings that count: of the same message or answer, comparable with `given`.

    Rating what one's own correction put there says something of that correction: approving agrees
    with it, anything else takes it back.
    """
    rated = session.get(Answer, given.answer_id) if given.answer_id is not None else None
    own = rated.correction_id if rated is not None else None
    about: ColumnElement[bool] = (col(Feedback.channel) == given.channel) & (
        col(Feedback.target_ts) == given.target_ts
    )
    if given.answer_id is not None:
        about = or_(about, col(Feedback.answer_id) == given.answer_id, col(Feedback.id) == own)
    mine = select(Feedback).where(
        Feedback.team_id == given.team_id,
        Feedback.user == given.user,
        col(Feedback.revoked_at).is_(None),
        about,
    )
    escalates = given.kind == FeedbackKind.ESCALATE
    rows = session.exec(mine.order_by(col(Feedback.id)))
    agrees = given.kind == FeedbackKind.APPROVE
    return [
        row
        for row in rows
        if (row.kind == FeedbackKind.ESCALATE) == escalates and not (agrees and row.id == own)
    ]


def _says_the_same(older: Feedback, given: Feedback) -> bool:
    return (older.channel, older.target_ts, older.kind, older.correction) == (
        given.channel,
        given.target_ts,
        given.kind,
        given.correction,
    )


def _take_back(session: Session, feedback: Feedback, why: str, *, by: str = "") -> None:
    feedback.revoked_at = now()
    assert feedback.id is not None
    examples.revoke(session, feedback.id, why)
    audit.record(
        session,
        feedback.team_id,
        by or feedback.user,
        "feedback.revoke",
        f"feedback:{feedback.id}",
        why=why,
    )
