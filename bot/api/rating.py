"""`POST /v1/feedback`: what a caller's people say of an answer. A weak signal, as an asker's thumb
in Slack: nothing is learned from it before staff approve."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlmodel import Session

from bot import feedback
from bot.api.calls import first_answer, own
from bot.api.errors import ApiError
from bot.api.reading import USER_CHARS, complaint, parsed
from bot.api.telling import number
from bot.mrkdwn import storable
from bot.store.schema import ApiKey, Feedback, FeedbackKind

COMMENT_CHARS = 2000
_KINDS = {"helpful": FeedbackKind.HELPFUL, "unhelpful": FeedbackKind.UNHELPFUL}


class Rated(BaseModel):
    """One person's rating of one answer."""

    model_config = ConfigDict(strict=True)

    id: str  # of the completion
    rating: Literal["helpful", "unhelpful"]
    reason: Literal["wrong", "outdated", "unsafe", "incomplete", "tone"] | None = None
    comment: str | None = Field(None, max_length=COMMENT_CHARS)
    user: str | None = Field(None, max_length=USER_CHARS)


def not_found() -> ApiError:
    """No question of the key's has this id, or it was taken back."""
    return ApiError(404, "This key has no answer of that id.", "not_found", param="id")


def rated(body: bytes) -> Rated:
    """What a request's body says. Raises ApiError."""
    try:
        return Rated.model_validate(parsed(body))
    except ValidationError as error:
        raise complaint(error) from error


def record(session: Session, key: ApiKey, said: Rated) -> Feedback:
    """Store a rating: of each person the newest counts, and the same again changes nothing.

    Raises:
        ApiError: the key has asked nothing of this id, or it has no answer.
    """
    question = own(session, key, number(said.id))
    answer = first_answer(session, question.id) if question is not None else None
    if question is None or answer is None:
        raise not_found()
    user = storable(said.user or "").strip()
    given, _ = feedback.record(
        session, team_id=key.team_id, channel=question.channel, target_ts=question.ts,
        user=f"{question.channel}/{user}" if user else question.user, kind=_KINDS[said.rating],
        answer_id=answer.id, reason=said.reason,
    )  # fmt: skip
    # The same rating again may say more, or take it back.
    given.reason, given.comment = said.reason, storable(said.comment or "").strip() or None
    session.add(given)
    return given
