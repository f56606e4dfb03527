"""Cases: questions that people have to answer, and the card that shows each of them.

Who may do what is checked by the caller.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, or_, select
from sqlmodel.sql.expression import SelectOfScalar

from bot import audit, outbox
from bot.gaps import is_escalated
from bot.store.once import insert_once
from bot.store.schema import (
    UNSETTLED,
    Answer,
    Case,
    CaseStatus,
    Feedback,
    FeedbackKind,
    OutboxMessage,
    Question,
    now,
)

MYNAH = "mynah"  # who opened a case that nobody asked for
UNSURE, ASKED = "unsure", "asked for help"  # why a case was opened
# People on call are pinged once a thread and so often a person within this time; what comes on top
# has its card too, without a ping.
_A_WHILE = timedelta(hours=1)
_PINGS = 5

_NOT_SURE = "I am not sure about this one, so I would rather not guess."
PROMISE = f"{_NOT_SURE} I have asked the people on call."
DIRECT_PROMISE = (
    f"{_NOT_SURE} I have told the people on call that you need help, and they will write to you. "
    "They do not see what you wrote here."
)
HINT = f"{_NOT_SURE} Put :sos: on this message, and I will ask for a person."
DIRECT_HINT = f"{_NOT_SURE} Please ask in a channel, where people can help you."


class Render(Protocol):
    """Makes the `chat.postMessage` arguments of a case's card."""

    def __call__(self, case: Case, *, asker: str, ping: bool) -> dict[str, Any]: ...


class Cases:
    """Opens, claims and settles cases. Each method runs in the caller's transaction and queues the
    change of the case's card in it; doing the same again changes nothing.

    Args:
        oncall: whether there is anybody to ping.
        card_channel: where the cards of direct messages go, which nobody else can read; may be "".
    """

    def __init__(self, render: Render, *, oncall: bool, card_channel: str) -> None:
        self._render = render
        self._oncall = oncall
        self._card_channel = card_channel

    def reaches(self, channel: str) -> bool:
        """Whether a case of this channel can be shown to anybody."""
        return bool(self._card_channel) or not is_direct(channel)

    def promise(self, question: Question) -> str:
        """What is said in the place of an answer that is withheld."""
        if is_direct(question.channel):
            return DIRECT_PROMISE if self._card_channel else DIRECT_HINT
        return PROMISE if self._oncall else HINT

    def considered(self, session: Session, question: Question, *, unsure: bool) -> None:
        """The question was answered: open its case, or withdraw the one that an edit settled."""
        if unsure and self.promise(question) in (PROMISE, DIRECT_PROMISE):
            self.open(session, of_question(question, by=MYNAH, reason=UNSURE))
            return
        case = of_message(session, question.team_id, question.channel, question.ts)
        if not unsure and case is not None and case.opened_by == MYNAH:
            self.withdraw(session, case, MYNAH)

    def open(self, session: Session, wanted: Case) -> Case | None:
        """Open a case; None when the message has one already, or its thread one to be settled."""
        if not self.reaches(wanted.channel):
            return None
        if not insert_once(session, wanted):
            return self._reopen(session, wanted)
        case = _locked(session, wanted.team_id, wanted.channel, wanted.ts)
        assert case is not None
        self._record(session, case, case.opened_by, "open")
        direct = is_direct(case.channel)
        outbox.say(
            session, team_id=case.team_id, key=_key(case),
            channel=self._card_channel if direct else case.channel,
            thread_ts=None if direct else case.thread_ts,
            payload=self._card(session, case, ping=self._oncall and _may_ping(session, case)),
        )  # fmt: skip
        return case

    def claim(self, session: Session, case: Case, user: str) -> None:
        """Nobody else needs to look: `user` does. An open case only."""
        if case.status is CaseStatus.OPEN:
            case.claimed_by, case.claimed_at = user, now()
            self._turn(session, case, CaseStatus.CLAIMED, user, "claim")

    def resolve(self, session: Session, case: Case, user: str) -> None:
        """The question was answered by people."""
        if case.status in UNSETTLED:
            case.resolved_by, case.resolved_at = user, now()
            self._turn(session, case, CaseStatus.RESOLVED, user, "resolve")

    def withdraw(self, session: Session, case: Case, user: str) -> None:
        """No help is needed any more. Too late once it was claimed."""
        if case.status is CaseStatus.OPEN:
            case.resolved_by, case.resolved_at = user, now()
            self._turn(session, case, CaseStatus.WITHDRAWN, user, "withdraw")

    def answered(
        self, session: Session, team_id: str, channel: str, thread_ts: str, ts: str, by: str
    ) -> None:
        """Staff marked a person's message as the right answer: it settles its thread's case."""
        rows = select(Case).where(
            Case.team_id == team_id, Case.channel == channel, Case.thread_ts == thread_ts,
            Case.ts < ts, col(Case.status).in_(UNSETTLED),
        )  # fmt: skip
        if (case := session.exec(rows.with_for_update()).first()) is not None:
            self.resolve(session, case, by)

    def _reopen(self, session: Session, wanted: Case) -> Case | None:
        """Help is needed again after all. The card changes in place, which pings nobody."""
        case = _locked(session, wanted.team_id, wanted.channel, wanted.ts)
        if case is None or case.status is not CaseStatus.WITHDRAWN:
            return None
        case.opened_by, case.reason = wanted.opened_by, wanted.reason
        case.resolved_by = case.resolved_at = None
        try:
            with session.begin_nested():
                case.status = CaseStatus.OPEN
                session.add(case)
        except IntegrityError:  # the thread has another one by now
            return None
        self._turn(session, case, CaseStatus.OPEN, wanted.opened_by, "open")
        return case

    def _turn(
        self, session: Session, case: Case, status: CaseStatus, actor: str, action: str
    ) -> None:
        case.status = status
        session.add(case)
        change = self._record(session, case, actor, action)
        if (card := _card_row(session, case)) is not None:
            payload = self._card(session, case, ping=False)
            # The card of a question that was deleted, and came back, is gone.
            anew = status is CaseStatus.OPEN
            outbox.change(session, card, key=f"{_key(case)}:{change}", payload=payload, anew=anew)

    def _card(self, session: Session, case: Case, *, ping: bool) -> dict[str, Any]:
        asked = session.get(Question, case.question_id) if case.question_id else None
        return self._render(case, asker=asked.user if asked else case.opened_by, ping=ping)

    def _record(self, session: Session, case: Case, actor: str, action: str) -> int | None:
        row = audit.record(session, case.team_id, actor, f"case.{action}", f"case:{case.id}")
        session.flush()
        return row.id


def of_question(question: Question, *, by: str, reason: str) -> Case:
    """The case that a question would have."""
    return Case(
        team_id=question.team_id, channel=question.channel, thread_ts=question.thread_ts,
        ts=question.ts, question_id=question.id, opened_by=by, reason=reason,
    )  # fmt: skip


def of_message(session: Session, team_id: str, channel: str, ts: str) -> Case | None:
    """The case of a message, however it stands."""
    return session.exec(_of_message(team_id, channel, ts)).first()


def by_id(session: Session, team_id: str, case_id: int) -> Case | None:
    """A team's case, to be changed: nobody else changes it before the transaction ends."""
    rows = select(Case).where(Case.team_id == team_id, Case.id == case_id)
    return session.exec(rows.with_for_update()).first()


def asked_about(
    session: Session, team_id: str, channel: str, thread_ts: str, before: str
) -> Question | None:
    """The thread's newest question before a message that people were asked to answer."""
    rows = select(Question).where(
        is_escalated(team_id), Question.channel == channel, Question.thread_ts == thread_ts,
        Question.ts < before,
    )  # fmt: skip
    return session.exec(rows.order_by(col(Question.ts).desc())).first()


def is_still_wanted(session: Session, case: Case) -> bool:
    """Whether somebody's call for help about the question stands."""
    its_answers = select(Answer.id).where(Answer.question_id == case.question_id)
    calls = select(Feedback.id).where(
        Feedback.team_id == case.team_id,
        Feedback.channel == case.channel,
        Feedback.kind == FeedbackKind.ESCALATE,
        col(Feedback.revoked_at).is_(None),
        or_(Feedback.target_ts == case.ts, col(Feedback.answer_id).in_(its_answers)),
    )
    return session.exec(calls).first() is not None


def forget_message(session: Session, team_id: str, channel: str, ts: str) -> None:
    """The message was deleted: its case is closed, and the card goes."""
    case = _locked(session, team_id, channel, ts)
    if case is None:
        return
    if case.status in UNSETTLED:
        case.status, case.resolved_by, case.resolved_at = CaseStatus.WITHDRAWN, MYNAH, now()
        session.add(case)
        audit.record(session, team_id, MYNAH, "case.withdraw", f"case:{case.id}")
    if (card := _card_row(session, case)) is not None:
        outbox.take_back(session, card, key=f"{_key(case)}:deleted:{case.resolved_at}")


def is_direct(channel: str) -> bool:
    """Whether it is a direct message with the bot, which nobody else can read."""
    return channel.startswith("D")


def _may_ping(session: Session, case: Case) -> bool:
    """Not again in the same thread, nor for a person whom we have pinged for often enough."""
    lately = (
        select(func.count())
        .select_from(Case)
        .outerjoin(Question, col(Question.id) == col(Case.question_id))
        .where(Case.team_id == case.team_id, Case.id != case.id, Case.opened_at > now() - _A_WHILE)
    )
    asked = select(Question.user).where(Question.id == case.question_id).scalar_subquery()
    who = [col(Case.opened_by) == case.opened_by] if case.opened_by != MYNAH else []
    if case.question_id is not None:
        who.append(col(Question.user) == asked)
    here = (Case.channel == case.channel, Case.thread_ts == case.thread_ts)
    return (
        session.exec(lately.where(*here)).one() == 0
        and session.exec(lately.where(or_(*who))).one() < _PINGS
    )


def _locked(session: Session, team_id: str, channel: str, ts: str) -> Case | None:
    return session.exec(_of_message(team_id, channel, ts).with_for_update()).first()


def _of_message(team_id: str, channel: str, ts: str) -> SelectOfScalar[Case]:
    return select(Case).where(Case.team_id == team_id, Case.channel == channel, Case.ts == ts)


def _card_row(session: Session, case: Case) -> OutboxMessage | None:
    return outbox.said(session, case.team_id, _key(case))


def _key(case: Case) -> str:
    return f"case:{case.id}"
