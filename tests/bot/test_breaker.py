"""The breaker: when a server is left alone, for how long, and how it comes back."""

from __future__ import annotations

from bot.breaker import FAILURES, LONGEST_REST_S, REST_S, Breaker


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def broken(breaker: Breaker) -> None:
    """It has failed often enough."""
    for _ in range(FAILURES):
        assert not breaker.rests
        breaker.failed()
    assert breaker.rests


def test_failures_in_a_row_open_it() -> None:
    """One answer between them, and it stays closed."""
    breaker = Breaker(4)
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.succeeded()
    assert (breaker.is_closed, breaker.room) == (True, 4)
    broken(breaker)
    assert (breaker.is_closed, breaker.room) == (False, 0)


def test_nobody_there_opens_it_at_once() -> None:
    """A refused connection needs no second opinion."""
    breaker = Breaker(4)
    breaker.failed(gone=True)
    assert breaker.rests


def test_it_comes_back_one_by_one() -> None:
    """After its rest one question, then two, then four: and then it is closed."""
    breaker = Breaker(4, clock=(clock := Clock()))
    broken(breaker)
    clock.now += REST_S
    assert (breaker.room, breaker.is_proved) == (1, False)
    breaker.succeeded()
    assert (breaker.room, breaker.is_proved, breaker.is_closed) == (2, True, False)
    breaker.succeeded()
    assert (breaker.room, breaker.is_closed) == (4, True)


def test_it_rests_longer_each_time() -> None:
    """One failure after its rest is enough, and the rest doubles, up to a ceiling; an answer makes
    it short again."""
    breaker = Breaker(4, clock=(clock := Clock()))
    broken(breaker)
    rests = []
    for _ in range(8):
        rests.append(breaker.rest_s)
        clock.now += breaker.rest_s
        breaker.failed()
    assert rests[:4] == [REST_S, 2 * REST_S, 4 * REST_S, 8 * REST_S]
    assert rests[-1] == LONGEST_REST_S
    clock.now += LONGEST_REST_S
    breaker.succeeded()
    breaker.failed()  # while it comes back, one is enough
    assert breaker.rest_s == REST_S


def test_what_breaks_together_counts_once() -> None:
    """Four answers that one crash broke off do not make it rest for ever longer."""
    breaker = Breaker(4, clock=(clock := Clock()))
    broken(breaker)
    for _ in range(9):
        breaker.failed()
    assert breaker.rest_s == REST_S
    clock.now += REST_S
    assert breaker.room == 1


def test_a_limit_of_one_comes_back_too() -> None:
    """Where one question at a time is all there is, the first answer closes it."""
    breaker = Breaker(1, clock=(clock := Clock()))
    broken(breaker)
    clock.now += REST_S
    breaker.failed()
    assert breaker.rests
    clock.now += 2 * REST_S
    breaker.succeeded()
    assert breaker.is_closed
