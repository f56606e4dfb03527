"""How threads went: what people did counts, once a thread, for the release that it was dealt."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from bot import examples
from bot.cases import MYNAH
from bot.outcomes import AGAIN, Sign, outcomes, signs
from bot.store.database import transaction
from bot.store.schema import AnswerMode, CaseStatus, FeedbackKind, now
from tests.bot.released import promoted
from tests.bot.threads import Threads
from tests.stores import TEAM

Do = Callable[[Threads], object]


def found(session: Session, made: Threads) -> list[Sign]:
    """What is found of v2 (live) and v3 (its canary), since a minute ago."""
    compared = [made.release(number).id or 0 for number in (2, 3)]
    return signs(session, TEAM, compared, now() - timedelta(minutes=1))


def stage(session: Session) -> Threads:
    """v2 is live, v3 a canary."""
    promoted(session, "a")
    promoted(session, "b", share=0.5)
    return Threads(session)


def went(store: Engine, do: Do, **how: str | None) -> list[bool]:
    """Whether each thread went well, after something was done."""
    with transaction(store) as session:
        made = stage(session)
        do(made)
        return [one.good for one in outcomes(found(session, made), **how)]


GOOD, BAD = [True], [False]


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (FeedbackKind.APPROVE, GOOD),
        (FeedbackKind.HELPFUL, GOOD),
        (FeedbackKind.REJECT, BAD),
        (FeedbackKind.CORRECT, BAD),
        (FeedbackKind.ESCALATE, BAD),
        (FeedbackKind.UNHELPFUL, BAD),
    ],
)
def test_what_people_say_of_an_answer(
    store: Engine, kind: FeedbackKind, outcome: list[bool]
) -> None:
    """Approved or helpful is good, all else is bad; taken back it is nothing."""
    assert went(store, lambda made: made.say(made.ask(3), kind)) == outcome


def test_what_was_taken_back_says_nothing(store: Engine) -> None:
    """A revoked rating counts no more."""
    assert went(store, lambda made: made.say(made.ask(3), revoked_at=now())) == []


def test_a_thread_without_a_word_is_neither(store: Engine) -> None:
    """Nobody said anything: it is not counted."""
    assert went(store, lambda made: made.ask(3)) == []


def test_the_worst_counts_once_a_thread(store: Engine) -> None:
    """Three approvals and one rejection in one thread are one thread that went badly."""

    def do(made: Threads) -> None:
        first = made.ask(3)
        more = made.ask(3, thread_ts="1.0")
        for user in ("U1", "U2", "U3"):
            made.say(first, user=user)
        made.say(more, FeedbackKind.REJECT, "U4")

    assert went(store, do) == BAD


def test_without_one_person_the_others_words_stay(store: Engine) -> None:
    """The thread that only they called bad went well by the others' word."""

    def do(made: Threads) -> None:
        one = made.ask(3)
        made.say(one, user="U1")
        made.say(one, FeedbackKind.REJECT, "U2")
        made.say(made.ask(3), FeedbackKind.REJECT, "U2")

    assert went(store, do, without="U2") == GOOD


def test_a_decision_on_a_review_card_settles_it(store: Engine) -> None:
    """What was decided counts, and not what was disagreed on before."""

    def do(made: Threads) -> None:
        one = made.ask(3)
        made.say(one, FeedbackKind.REJECT, "U1")
        made.say(one, FeedbackKind.APPROVE, "U2", decides=True)

    assert went(store, do) == GOOD


def test_help_that_was_asked_for_is_bad(store: Engine) -> None:
    """Somebody opened a case; a case that was withdrawn is none."""
    assert went(store, lambda made: made.case(made.ask(3), "U0ASKER")) == BAD


def test_help_that_was_not_needed_is_nothing(store: Engine) -> None:
    """Whoever asked for a person took it back."""
    withdrawn = CaseStatus.WITHDRAWN
    assert went(store, lambda made: made.case(made.ask(3), "U1", status=withdrawn)) == []


@pytest.mark.parametrize(("taken", "outcome"), [(True, BAD), (False, [])])
def test_a_case_of_mynahs_own_counts_when_people_take_it(
    store: Engine, taken: bool, outcome: list[bool]
) -> None:
    """That Mynah is not sure is its own word; that people had to answer is theirs."""
    fields = {"claimed_by": "U0STAFF", "claimed_at": now()} if taken else {}

    def do(made: Threads) -> None:
        made.case(made.ask(3, mode=AnswerMode.UNSURE), MYNAH, **fields)

    assert went(store, do) == outcome


def test_asking_the_same_again_is_bad(store: Engine) -> None:
    """The same person in nearly the same words, soon after the answer, in whichever thread; the
    later thread itself is not judged by that."""

    def do(made: Threads) -> None:
        made.ask(3, "How do I reset the flux capacitor?")
        made.ask(2, "how can I reset the flux capacitor please")

    with transaction(store) as session:
        made = stage(session)
        do(made)
        said = found(session, made)
    assert [(one.release_id, one.good, one.user) for one in said] == [
        (made_id(store, 3), False, "U0ASKER")
    ]


def made_id(store: Engine, number: int) -> int:
    """The id of a release."""
    with transaction(store) as session:
        return Threads(session).release(number).id or 0


@pytest.mark.parametrize("how", ["other person", "much later", "other figure", "other subject"])
def test_asking_something_else_is_nothing(store: Engine, how: str) -> None:
    """Another person, much later, or not the same."""

    def do(made: Threads) -> None:
        made.ask(3, "How do I reset port 7411 of the flux capacitor?")
        made.ask(
            3,
            {
                "other figure": "How do I reset port 7412 of the flux capacitor?",
                "other subject": "Where is the canteen, and what is for lunch?",
            }.get(how, "How do I reset port 7411 of the flux capacitor?"),
            user="U1" if how == "other person" else "U0ASKER",
            at=made.at + AGAIN + timedelta(minutes=1) if how == "much later" else None,
        )

    assert went(store, do) == []


def test_who_could_not_wait_for_the_answer_says_nothing_of_it(store: Engine) -> None:
    """The same again before the answer was there is impatience."""

    def do(made: Threads) -> None:
        text = "How do I reset the flux capacitor?"
        made.ask(3, text, answered_at=made.at + timedelta(minutes=1))
        made.ask(3, text)

    assert went(store, do) == []


@pytest.mark.parametrize("mode", [AnswerMode.QUOTED, AnswerMode.QUOTED_AWAY])
@pytest.mark.parametrize(("recognised", "outcome"), [(None, []), (-0.1, GOOD)])
def test_what_memory_alone_quoted_tells_nothing_of_a_release(
    store: Engine, mode: AnswerMode, recognised: float | None, outcome: list[bool]
) -> None:
    """It is the same whichever answers; where the weights had a word in it, it counts."""

    def do(made: Threads) -> None:
        answer = made.ask(3, mode=mode)
        made.source(answer, recognised)
        made.say(answer)

    assert went(store, do) == outcome


def test_the_people_of_an_api_key_are_one(store: Engine) -> None:
    """Whoever holds it may name as many as they like: left out, all of them are."""

    def do(made: Threads) -> None:
        for number in range(3):
            made.say(made.ask(3), FeedbackKind.UNHELPFUL, f"api:web/{number}")
        made.say(made.ask(3), FeedbackKind.HELPFUL, "api:tool/0")

    assert went(store, do, without="api:web") == GOOD


def test_what_staff_wrote_is_not_the_releases(store: Engine) -> None:
    """Approving a correction approves no release."""
    assert went(store, lambda made: made.say(made.ask(3, mode=AnswerMode.CORRECTED))) == []


def test_only_threads_of_both_since_it_began_count(store: Engine) -> None:
    """Not one of an older release, not one that began before, not one whose question is gone."""

    def do(made: Threads) -> None:
        made.say(made.ask(1))
        made.ask(2, at=made.at - timedelta(hours=1))
        made.say(made.ask(2, thread_ts="2.0"))
        made.say(made.ask(3, deleted_at=now()))

    assert went(store, do) == []


def test_whoever_was_distrusted_says_nothing(store: Engine) -> None:
    """Until they are trusted again; what they say after it counts."""
    with transaction(store) as session:
        made = stage(session)
        made.say(made.ask(3), FeedbackKind.REJECT, "U1")
        made.at -= timedelta(hours=1)
        made.say(made.ask(3, at=now()), FeedbackKind.REJECT, "U2")
        made.at = now()
        examples.distrust(session, TEAM, "U2", "operator")
        assert [one.user for one in found(session, made)] == ["U1"]
        examples.trust(session, TEAM, "U2", "operator")
        assert len(found(session, made)) == 2


def test_they_come_in_the_order_in_which_they_were_known(store: Engine) -> None:
    """By the word that decides on a thread: the first bad one, or else the first good one."""
    with transaction(store) as session:
        made = stage(session)
        first, second = made.ask(2), made.ask(3)
        made.say(first)
        made.say(second)
        made.say(first, FeedbackKind.REJECT, "U9")
        known = outcomes(found(session, made))
        assert [(one.release_id, one.good) for one in known] == [
            (made.release(3).id, True),
            (made.release(2).id, False),
        ]
