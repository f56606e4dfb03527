"""What follows from a rating that was given or taken back: what is shown, used and reviewed."""

from __future__ import annotations

from collections.abc import Iterable

from sqlmodel import Session, col, select, update

from bot import corrections, disputes, outbox
from bot.disputes import Dispute
from bot.slack import conflict_cards, corrected, review_card
from bot.store.schema import Answer, Example, Feedback, OutboxMessage


class Aftermath:
    """Brings a question up to date with its ratings, in the transaction that changed them.

    It looks at all of the question, so it may run any number of times.
    """

    def __init__(self, review_channel: str, *, quorum: int = 1) -> None:
        """
        Args:
            review_channel: where staff settle what they disagree on; "" for nowhere.
            quorum: how many of the staff have to say the same before it counts.
        """
        self._channel = review_channel
        self._quorum = quorum

    def follow(self, session: Session, question_id: int, link: str = "") -> None:
        """Show the answer that stands, hold what is disputed, and tell the reviewers.

        Args:
            link: of the answer's message, for the card of a new dispute.
        """
        corrections.settle(session, question_id, corrected.messages)
        found = disputes.review(session, question_id, self._quorum)
        if self._channel:
            self._tell(session, question_id, found, link)

    def follow_rating(self, session: Session, given: Feedback, link: str = "") -> None:
        """The same for the question that a rating is about; people's answers have none."""
        if given.answer_id is None:
            disputes.review_person(session, given, self._quorum)
        else:
            answer = session.get_one(Answer, given.answer_id)
            self.follow(session, answer.question_id, link)
        conflict_cards.follow(session, given.team_id)

    def forgotten(self, session: Session, examples: Iterable[Example]) -> None:
        """The same after messages that examples came from were deleted or edited."""
        gone = list(examples)
        for team_id in {example.team_id for example in gone}:
            conflict_cards.follow(session, team_id)
        ids = [example.feedback_id for example in gone if example.feedback_id is not None]
        for given in list(session.exec(select(Feedback).where(col(Feedback.id).in_(ids)))):
            self.follow_rating(session, given)
            # What it said is gone with the message: it never stands again.
            made = update(Answer).where(col(Answer.correction_id) == given.id)
            session.execute(made.values(text=""))

    def _tell(self, session: Session, question_id: int, found: list[Dispute], link: str) -> None:
        about = {_key(one) for one in found}
        for dispute in found:
            self._open(session, dispute, link)
        for card in _cards(session, f"dispute:{question_id}:"):
            if card.key.rpartition(":")[0] + ":" not in about:
                _close(session, card)

    def _open(self, session: Session, dispute: Dispute, link: str) -> None:
        cards = _cards(session, _key(dispute))
        last = _last(session, cards[-1]) if cards else None
        if last is None or not review_card.is_open(last.payload):
            outbox.say(
                session, team_id=dispute.answer.team_id, key=f"{_key(dispute)}{dispute.since}",
                channel=self._channel, payload=review_card.opened(dispute, link),
            )  # fmt: skip
            return
        payload = review_card.opened(dispute, review_card.link_of(last.payload))
        if payload != last.payload:
            outbox.change(session, cards[-1], key=f"{cards[-1].key}:{last.id}", payload=payload)


def _close(session: Session, card: OutboxMessage) -> None:
    last = _last(session, card)
    if not review_card.is_open(last.payload):
        return
    decision = disputes.decision(session, int(card.key.split(":")[2]))
    if decision is not None and decision.given_at < card.created_at:
        decision = None  # it settled an earlier dispute
    payload = review_card.closed(decision, review_card.link_of(last.payload))
    outbox.change(session, card, key=f"{card.key}:{last.id}", payload=payload)


def _key(dispute: Dispute) -> str:
    """What the keys of the cards about an answer begin with; the rating follows, for each anew."""
    return f"dispute:{dispute.question.id}:{dispute.answer.id}:"


def _cards(session: Session, key: str) -> list[OutboxMessage]:
    """The cards whose keys begin so, oldest first."""
    rows = select(OutboxMessage).where(
        col(OutboxMessage.key).startswith(key), col(OutboxMessage.follows_id).is_(None)
    )
    return list(session.exec(rows.order_by(col(OutboxMessage.id))))


def _last(session: Session, card: OutboxMessage) -> OutboxMessage:
    """What the card says, or will say when all that waits was said."""
    rows = select(OutboxMessage).where(OutboxMessage.follows_id == card.id)
    return session.exec(rows.order_by(col(OutboxMessage.id).desc())).first() or card
