"""Leases by name: one owner at a time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from bot.store import leases
from bot.store.database import transaction


def acquire(engine: Engine, owner: str, ttl_s: float = 60) -> bool:
    """Try in a transaction of its own."""
    with transaction(engine) as session:
        return leases.acquire(session, "worker", owner, ttl_s)


def test_one_owner_holds_a_lease_and_may_renew_it(store: Engine) -> None:
    """The second worker has to wait; the first goes on as long as it likes."""
    assert acquire(store, "one")
    assert not acquire(store, "two")
    assert acquire(store, "one")


def test_a_lease_that_ran_out_is_taken_over(store: Engine) -> None:
    """After a takeover the former owner waits like any other."""
    assert acquire(store, "dead", ttl_s=-1)
    assert acquire(store, "heir")
    assert not acquire(store, "dead")


def test_a_lease_that_is_given_back_is_free_at_once(store: Engine) -> None:
    """A clean stop lets the next worker start without waiting; others cannot give it back."""
    acquire(store, "one")
    with transaction(store) as session:
        leases.release(session, "worker", "two")
    assert not acquire(store, "two")
    with transaction(store) as session:
        leases.release(session, "worker", "one")
    assert acquire(store, "two")


def test_of_many_at_once_one_gets_it(store: Engine) -> None:
    """Exactly one of the workers that start at the same moment becomes the active one."""
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda i: acquire(store, f"w{i}"), range(16)))
    assert won.count(True) == 1


def test_an_expired_lease_is_taken_over_by_one(store: Engine) -> None:
    """Of many that see the lease run out, one becomes the owner."""
    acquire(store, "dead", ttl_s=-1)
    with ThreadPoolExecutor(8) as threads:
        won = list(threads.map(lambda i: acquire(store, f"w{i}"), range(16)))
    assert won.count(True) == 1
