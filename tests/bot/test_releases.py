"""Releases: nothing unproven goes live, a thread keeps its release, going back always works."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import releases
from bot.releases import NoSuchRelease, NothingToRollBackTo, NotProven, Paused
from bot.store.database import reading, transaction
from bot.store.schema import Audit, Release, RolloutAction, Team
from tests.bot.released import candidate, evaluate, made_adapter, promoted
from tests.stores import TEAM


def live_number(session: Session, team_id: str = TEAM) -> int:
    """Which release is live."""
    return releases.live(session, team_id).number


def wanted(session: Session) -> list[str]:
    """The names of the adapters that replicas should hold."""
    return [adapter.name for adapter in releases.desired_adapters(session)]


def test_a_new_team_is_answered_by_the_base(store: Engine) -> None:
    """v1 is the base model, live from the start, and made once."""
    for _ in range(2):
        with transaction(store) as session:
            releases.ensure_team(session, TEAM)
    with reading(store) as session:
        v1 = releases.live(session, TEAM)
        assert (v1.number, releases.adapter_of(session, v1)) == (1, None)
        assert len(releases.history(session, TEAM)) == 1
        assert wanted(session) == []


def test_processes_that_start_together_make_one_base_release(store: Engine) -> None:
    """Several bots that meet a new team make one v1."""

    def start(_: int) -> None:
        with transaction(store) as session:
            releases.ensure_team(session, TEAM)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, range(8)))
    with reading(store) as session:
        assert len(session.exec(select(Release)).all()) == 1


def test_an_unknown_team_has_no_live_release(store: Engine) -> None:
    """Reading makes nothing; the error says what is missing."""
    with reading(store) as session, pytest.raises(NoSuchRelease, match="T9"):
        releases.live(session, "T9")


def test_a_candidate_is_loaded_but_answers_nobody(store: Engine) -> None:
    """Share 0: on the replicas, not live, not given to any thread."""
    with transaction(store) as session:
        trial = candidate(session, "a")
        assert (trial.number, live_number(session)) == (2, 1)
        assert wanted(session) == ["a"]
        assert releases.for_thread(session, TEAM, "C1", "1.1").number == 1


def test_an_adapter_has_one_release(store: Engine) -> None:
    """A cycle that resumes and adds its candidate again gets the same release."""
    with transaction(store) as session:
        first = candidate(session, "a")
        again = releases.add_candidate(session, TEAM, first.adapter_id or 0, "worker")
        assert again.id == first.id
        releases.discard(session, first, by="gate", reason="worse")
        assert wanted(session) == []
        releases.add_candidate(session, TEAM, first.adapter_id or 0, "worker")
        assert wanted(session) == ["a"]


def test_an_adapter_that_answers_already_is_no_candidate(store: Engine) -> None:
    """Trained to the same bits again, the live release stays what it is."""
    with transaction(store) as session:
        live = promoted(session, "a")
        before = releases.history(session, TEAM)
        again = releases.add_candidate(session, TEAM, live.adapter_id or 0, "worker")
        assert again.id == live.id
        assert releases.history(session, TEAM) == before


def test_an_adapter_of_another_team_is_no_candidate(store: Engine) -> None:
    """Adapters never cross workspaces."""
    with transaction(store) as session:
        releases.ensure_team(session, TEAM)
        adapter = made_adapter(session, "a", "T2")
        with pytest.raises(NoSuchRelease):
            releases.add_candidate(session, TEAM, adapter.id or 0, "worker")


@pytest.mark.parametrize("passed", [None, False])
def test_nothing_unproven_goes_live(store: Engine, passed: bool | None) -> None:
    """Without an evaluation that passed, neither the gate nor an admin can promote."""
    with transaction(store) as session:
        trial = candidate(session, "a")
        if passed is not None:
            evaluate(session, trial, passed=True)
            evaluate(session, trial, passed=passed, reasons=["leaks too much"])
        for by in ("gate", "U0ADMIN"):
            with pytest.raises(NotProven, match="v2"):
                releases.promote(session, trial, by=by, reason="please")
        assert live_number(session) == 1


def test_a_passed_candidate_goes_live(store: Engine) -> None:
    """The promotion says what it replaced, by whom and why; doing it twice is doing it once."""
    with transaction(store) as session:
        trial = candidate(session, "a")
        evaluate(session, trial)
        row = releases.promote(session, trial, by="gate", reason="right on 9 of 10")
        again = releases.promote(session, trial, by="gate", reason="right on 9 of 10")
        assert again.id == row.id
        assert live_number(session) == 2
        assert session.get_one(Release, row.replaces_id).number == 1
        assert (row.share, row.by, row.reason) == (1, "gate", "right on 9 of 10")


def test_a_discarded_candidate_is_unloaded(store: Engine) -> None:
    """What the gate refused is no longer wanted; a live release cannot be discarded."""
    with transaction(store) as session:
        trial = candidate(session, "a")
        assert releases.discard(session, trial, by="gate", reason="worse") is not None
        assert wanted(session) == []
        assert releases.discard(session, trial, by="gate", reason="worse") is None
        v3 = promoted(session, "b")
        assert releases.discard(session, v3, by="gate", reason="x") is None
        assert live_number(session) == 3


def test_a_thread_keeps_its_release_while_it_is_live_or_the_one_before(store: Engine) -> None:
    """Old threads go on with what they know; after two promotions they get the live one."""
    with transaction(store) as session:
        promoted(session, "a")
        thread = partial(releases.for_thread, session, TEAM, "C1")
        assert thread("old").number == 2
        promoted(session, "b")
        assert (thread("old").number, thread("new").number) == (2, 3)
        promoted(session, "c")
        assert (thread("old").number, thread("new").number) == (4, 3)
        assert thread("old").number == 4


def test_after_a_roll_back_every_thread_gets_the_live_release(store: Engine) -> None:
    """Threads of the bad release and of the ones before leave for the live one, and stay there."""
    with transaction(store) as session:
        thread = partial(releases.for_thread, session, TEAM, "C1")
        releases.ensure_team(session, TEAM)
        assert thread("one").number == 1
        promoted(session, "a")
        assert thread("two").number == 2
        promoted(session, "b")
        assert thread("three").number == 3
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert [thread(name).number for name in ("one", "two", "three", "four")] == [2, 2, 2, 2]
        promoted(session, "c")
        assert [thread(name).number for name in ("one", "three", "five")] == [2, 2, 4]


def test_threads_of_the_same_name_elsewhere_are_other_threads(store: Engine) -> None:
    """Channel and team belong to a thread's identity."""
    with transaction(store) as session:
        releases.ensure_team(session, "T2")
        promoted(session, "a")
        assert releases.for_thread(session, TEAM, "C1", "1.1").number == 2
        assert releases.for_thread(session, "T2", "C1", "1.1").number == 1
        promoted(session, "b")
        assert releases.for_thread(session, TEAM, "C2", "1.1").number == 3


def test_a_canary_answers_its_share_of_new_threads(store: Engine) -> None:
    """About a third of the threads get it, each for good; then it is promoted or taken back."""
    with transaction(store) as session:
        promoted(session, "a")
        releases.for_thread(session, TEAM, "C1", "before")
        canary = promoted(session, "b", share=0.3)
        assert live_number(session) == 2
        names = [str(i) for i in range(200)]
        chosen = {n: releases.for_thread(session, TEAM, "C1", n).number for n in names}
        assert 35 <= list(chosen.values()).count(3) <= 85
        assert chosen == {n: releases.for_thread(session, TEAM, "C1", n).number for n in names}
        assert releases.for_thread(session, TEAM, "C1", "before").number == 2
        assert wanted(session) == ["a", "b"]
        releases.promote(session, canary, by="gate")
        assert live_number(session) == 3


def test_rolling_back_takes_a_canary_back(store: Engine) -> None:
    """With a canary out, rolling back stops it and leaves the live release."""
    with transaction(store) as session:
        promoted(session, "a")
        promoted(session, "b", share=0.99)
        on_canary = releases.for_thread(session, TEAM, "C1", "1.1")
        assert on_canary.number == 3
        row = releases.roll_back(session, TEAM, by="U0ADMIN")
        assert session.get_one(Release, row.replaces_id).number == 3
        assert live_number(session) == 2
        assert releases.for_thread(session, TEAM, "C1", "1.1").number == 2
        assert wanted(session) == ["a"]


def test_rolling_back_goes_to_the_newest_earlier_release_never_rolled_back(store: Engine) -> None:
    """v4 back to v3, to v2, to the base; then nothing is left."""
    with transaction(store) as session:
        for name in ("a", "b", "c"):
            promoted(session, name)
        seen = []
        for _ in range(3):
            releases.roll_back(session, TEAM, by="U0ADMIN", reason="wrong port")
            seen.append(live_number(session))
        assert seen == [3, 2, 1]
        with pytest.raises(NothingToRollBackTo, match="v1"):
            releases.roll_back(session, TEAM, by="U0ADMIN")


def test_rolling_back_skips_what_was_rolled_back_before(store: Engine) -> None:
    """v3 was bad once: from v4 it goes to v2."""
    with transaction(store) as session:
        promoted(session, "a")
        promoted(session, "b")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        promoted(session, "c")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert live_number(session) == 2


def test_rolling_back_skips_candidates_that_never_were_live(store: Engine) -> None:
    """A candidate in between, discarded or open, is nothing to go back to."""
    with transaction(store) as session:
        promoted(session, "a")
        releases.discard(session, candidate(session, "b"), by="gate", reason="x")
        evaluate(session, candidate(session, "c"))
        promoted(session, "d")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert live_number(session) == 2


def test_a_named_release_comes_back_also_after_it_was_rolled_back(store: Engine) -> None:
    """An admin may go anywhere that was live, and from there back as before."""
    with transaction(store) as session:
        promoted(session, "a")
        promoted(session, "b")
        releases.roll_back(session, TEAM, by="U0ADMIN", number=1)
        assert live_number(session) == 1
        releases.roll_back(session, TEAM, by="U0ADMIN", number=3)
        assert live_number(session) == 3
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert live_number(session) == 2
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert live_number(session) == 1


def test_the_base_is_the_last_resort_always(store: Engine) -> None:
    """Whatever was rolled back before, from any adapter one gets back to the base."""
    with transaction(store) as session:
        promoted(session, "a")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        releases.roll_back(session, TEAM, by="U0ADMIN", number=2)
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert live_number(session) == 1


@pytest.mark.parametrize(
    ("number", "error", "line"),
    [
        (9, NoSuchRelease, "no release v9"),
        (0, NoSuchRelease, "no release v0"),
        (3, NoSuchRelease, "v3 was never live"),
        (2, NothingToRollBackTo, "v2 is live already"),
    ],
)
def test_names_that_cannot_be_rolled_back_to(
    store: Engine, number: int, error: type[Exception], line: str
) -> None:
    """Unknown, never live and live releases are refused with one line, and nothing changes."""
    with transaction(store) as session:
        promoted(session, "a")
        evaluate(session, candidate(session, "b"))
        with pytest.raises(error, match=line):
            releases.roll_back(session, TEAM, by="U0ADMIN", number=number)
        assert live_number(session) == 2


def test_the_gate_does_not_bring_back_what_a_person_rolled_back(store: Engine) -> None:
    """The same adapter trained again next night stays a candidate; an admin may promote it."""
    with transaction(store) as session:
        v2 = promoted(session, "a")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        again = releases.add_candidate(session, TEAM, v2.adapter_id or 0, "worker")
        assert again.id == v2.id
        evaluate(session, again)
        with pytest.raises(NotProven, match="rolled back before"):
            releases.promote(session, again, by="gate")
        releases.promote(session, again, by="U0ADMIN")
        assert live_number(session) == 2


def test_a_paused_team_promotes_nothing_but_can_go_back(store: Engine) -> None:
    """Pausing stops changes; the way back stays open."""
    with transaction(store) as session:
        promoted(session, "a")
        trial = candidate(session, "b")
        evaluate(session, trial)
        session.get_one(Team, TEAM).paused = True
        session.flush()
        with pytest.raises(Paused):
            releases.promote(session, trial, by="gate")
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert live_number(session) == 1


def test_replicas_hold_what_can_answer_at_once(store: Engine) -> None:
    """Live, the one before, the next to roll back to and open candidates, of all teams; no more."""
    with transaction(store) as session:
        for name in ("a", "b", "c"):
            promoted(session, name)
        candidate(session, "d")
        promoted(session, "t2", team_id="T2")
        assert wanted(session) == ["b", "c", "d", "t2"]
        releases.roll_back(session, TEAM, by="U0ADMIN")
        assert wanted(session) == ["a", "b", "d", "t2"]


def test_the_history_reads_like_a_table(store: Engine) -> None:
    """Newest first: number, adapter, what happened last, what is live, what was taken back."""
    with transaction(store) as session:
        promoted(session, "a", score=0.9)
        promoted(session, "b", score=0.8)
        candidate(session, "c")
        releases.roll_back(session, TEAM, by="U0ADMIN", reason="wrong port")
        rows = releases.history(session, TEAM)
        assert releases.history(session, "T9") == []
    assert [(v.number, v.adapter_name, v.action.value) for v in rows] == [
        (4, "c", "candidate"),
        (3, "b", "promote"),
        (2, "a", "roll_back"),
        (1, None, "promote"),
    ]
    assert [v.live for v in rows] == [False, False, True, False]
    assert [v.share for v in rows] == [0, 0, 1, 0]
    assert [v.rolled_back for v in rows] == [False, True, False, False]
    assert [v.score for v in rows] == [None, 0.8, 0.9, None]
    assert rows[2].by == "U0ADMIN"


def test_every_change_is_in_the_audit(store: Engine) -> None:
    """Who made which change to which release, and why."""
    with transaction(store) as session:
        promoted(session, "a")
        releases.discard(session, candidate(session, "b"), by="gate", reason="worse")
        releases.roll_back(session, TEAM, by="U0ADMIN", reason="wrong port")
    with reading(store) as session:
        rows = session.exec(select(Audit)).all()
    assert [(row.actor, row.action, row.subject) for row in rows] == [
        ("mynah", "release.promote", "release:1"),
        ("worker", "release.candidate", "release:2"),
        ("gate", "release.promote", "release:2"),
        ("worker", "release.candidate", "release:3"),
        ("gate", "release.discard", "release:3"),
        ("U0ADMIN", "release.roll_back", "release:1"),
    ]
    assert rows[-1].detail == {"share": 1, "reason": "wrong port"}


def test_changes_at_the_same_moment_come_one_after_the_other(store: Engine) -> None:
    """Eight admins who roll back at once go back eight steps or are told that nothing is left;
    each step replaces the release that was live just before it."""
    with transaction(store) as session:
        for name in "abcd":
            promoted(session, name)

    def back(_: int) -> tuple[int, int] | None:
        with transaction(store) as session:
            try:
                row = releases.roll_back(session, TEAM, by="U0ADMIN")
            except NothingToRollBackTo:
                return None
            return session.get_one(Release, row.replaces_id).number, live_number(session)

    with ThreadPoolExecutor(8) as threads:
        steps = [step for step in threads.map(back, range(8)) if step]
    assert sorted(steps) == [(2, 1), (3, 2), (4, 3), (5, 4)]


def test_a_share_is_a_share(store: Engine) -> None:
    """Shares of 0 or above 1 are mistakes in the code, not releases."""
    with transaction(store) as session:
        trial = candidate(session, "a")
        evaluate(session, trial)
        for share in (0, 1.5, -1):
            with pytest.raises(ValueError, match="share"):
                releases.promote(session, trial, by="gate", share=share)
        assert releases.history(session, TEAM)[0].action == RolloutAction.CANDIDATE
