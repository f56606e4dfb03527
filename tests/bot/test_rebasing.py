"""Another base model: what was trained on the one before answers no more, and is not lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, select

from bot import deciding, pausing, promoting, rebasing, releases
from bot.abstaining import ratings
from bot.releases import OtherBase
from bot.store import bases
from bot.store.database import reading, transaction
from bot.store.schema import (
    Answer,
    AnswerMode,
    Audit,
    Example,
    Feedback,
    FeedbackKind,
    OutboxMessage,
    Question,
    Release,
    Rollout,
    RolloutAction,
    Run,
    RunStatus,
    RunTrigger,
    ServedBase,
    now,
)
from tests.bot.released import BASE_SHA256, candidate, promoted
from tests.bot.slack.waiting import passed
from tests.stores import TEAM

OLD, NEW = BASE_SHA256, "f" * 64
ADMINS = "C0ADMIN"


def serve(session: Session, sha256: str, model: str = "small") -> None:
    """Note what the servers have."""
    session.add(ServedBase(model=model, sha256=sha256))
    session.flush()


def settle(session: Session, team_id: str = TEAM) -> bool:
    """What the active worker does for each workspace."""
    return rebasing.settle(session, team_id, admin_channel=ADMINS)


def live(session: Session, team_id: str = TEAM) -> int:
    return releases.live(session, team_id).number


def told(session: Session) -> list[str]:
    return [row.payload["text"] for row in session.exec(select(OutboxMessage))]


def test_the_base_answers_when_it_was_changed(store: Engine) -> None:
    """v1 is live by one row that names both models, and threads and servers leave the adapters."""
    with transaction(store) as session:
        serve(session, OLD, "small")
        promoted(session, "a")
        promoted(session, "b")
        assert releases.for_thread(session, TEAM, "C1", "old").number == 3
        serve(session, NEW, "large")
        assert settle(session)
        assert live(session) == 1
        row = session.exec(select(Rollout).where(Rollout.action == RolloutAction.REBASE)).one()
        assert (row.by, row.share) == ("mynah", 1)
        assert f"large@{NEW[:12]}" in row.reason
        assert f"small@{OLD}" in row.reason
        assert releases.desired_adapters(session) == []
        assert releases.for_thread(session, TEAM, "C1", "old").number == 1


def test_the_admins_are_told_once(store: Engine) -> None:
    """Settled again, by another worker or after a crash, nothing more is said or done."""
    with transaction(store) as session:
        serve(session, OLD)
        promoted(session, "a")
        serve(session, NEW, "large")
        assert [settle(session), settle(session), settle(session)] == [True, False, False]
        (news,) = told(session)
        assert "large@ffffffffffff" in news
        assert "`/mynah train`" in news
        rows = session.exec(select(Rollout).where(Rollout.action == RolloutAction.REBASE)).all()
        assert len(rows) == 1


def test_a_workspace_without_adapters_is_told_too(store: Engine) -> None:
    """Another model answers there; a workspace that comes later knows no other."""
    with transaction(store) as session:
        releases.ensure_team(session, TEAM)
        serve(session, OLD)
        serve(session, NEW)
        assert settle(session)
        assert len(told(session)) == 1
        later = releases.ensure_team(session, "T2")
        later.created_at = now() + timedelta(seconds=1)
        assert not settle(session, "T2")
        assert len(told(session)) == 1


def test_the_first_note_is_no_change(store: Engine) -> None:
    """A store from before, whose live adapter fits what is served: nothing happens, nobody hears
    of it."""
    with transaction(store) as session:
        promoted(session, "a")
        serve(session, OLD)
        assert not settle(session)
        assert live(session) == 2
        assert [one.name for one in releases.desired_adapters(session)] == ["a"]
        assert told(session) == []


def test_the_first_note_finds_an_adapter_of_another_base(store: Engine) -> None:
    """The live adapter itself says that the base model is another one, and which it was."""
    with transaction(store) as session:
        promoted(session, "a")
        serve(session, NEW, "large")
        assert settle(session)
        assert live(session) == 1
        assert f"it was base@{OLD}" in told(session)[0]
        assert not settle(session)


def test_a_canary_ends(store: Engine) -> None:
    """What was on trial with some threads ends, whether the base or an adapter was live."""
    with transaction(store) as session:
        serve(session, OLD)
        run = _left(session, promoted(session, "a", share=0.99))
        assert releases.for_thread(session, TEAM, "C1", "1").number == 2
        serve(session, NEW)
        assert settle(session)
        assert live(session) == 1
        assert releases.for_thread(session, TEAM, "C1", "1").number == 1
        assert not settle(session)
        assert run.status is RunStatus.KEPT
        assert "the base model is" in run.reasons[-1]
        promoted(session, "b", base_sha256=NEW)
        promoted(session, "c", share=0.99, base_sha256=NEW)
        serve(session, OLD)
        assert settle(session)
        assert live(session) == 1
        assert {releases.for_thread(session, TEAM, "C1", str(n)).number for n in range(20)} == {1}


def test_candidates_are_discarded_and_queued_runs_stay(store: Engine) -> None:
    """What waits for an admin is discarded with its run's card; a queued run and what was taught
    are as before."""
    with transaction(store) as session:
        serve(session, OLD)
        releases.ensure_team(session, TEAM)
        passed(session)
        one = deciding.waiting(session, TEAM)
        assert one is not None
        candidate(session, "tried")
        session.add(Run(team_id=TEAM, trigger=RunTrigger.COMMAND))
        session.add(
            Example(team_id=TEAM, question="q", answer="a", approved_by="U", content_hash="h")
        )
        serve(session, NEW)
        assert settle(session)
        assert deciding.waiting(session, TEAM) is None
        assert releases.desired_adapters(session) == []
        status = {run.status for run in session.exec(select(Run))}
        assert status == {RunStatus.KEPT, RunStatus.QUEUED}
        with pytest.raises(deciding.Decided, match="discarded by mynah"):
            deciding.promote(session, one, by="U0ADMIN")
        assert session.exec(select(Example)).one().status == "live"


def test_a_paused_workspace_changes_too(store: Engine) -> None:
    """There is no choice: its adapter cannot be loaded. It stays paused."""
    with transaction(store) as session:
        serve(session, OLD)
        promoted(session, "a")
        pausing.pause(session, TEAM, by="U0ADMIN")
        serve(session, NEW)
        assert settle(session)
        assert live(session) == 1
        assert pausing.standing(session, TEAM) is not None


def test_nothing_goes_to_a_release_of_another_base(store: Engine) -> None:
    """Neither promoting nor rolling back, by name or not: one clear line; nor is it offered."""
    with transaction(store) as session:
        serve(session, OLD)
        promoted(session, "a")
        v3 = promoted(session, "b")
        serve(session, NEW, "large")
        for attempt in (1, 2):  # between the note and the change, and after it
            with pytest.raises(
                OtherBase, match=r"v2 was trained on base@0+, and what is served is"
            ):
                releases.roll_back(session, TEAM, by="U0ADMIN", number=2)
            fallback = releases.fallback(session, TEAM)
            assert fallback is None or fallback.number == 1
            assert releases.desired_adapters(session) == []
            assert settle(session) is (attempt == 1)
        with pytest.raises(OtherBase, match="v3 was trained on"):
            releases.promote(session, v3, by="U0ADMIN")
        assert releases.earlier_live(session, TEAM) == []
        assert [view.other_base for view in releases.history(session, TEAM)] == [True, True, False]
        promoted(session, "c", base_sha256=NEW)
        assert releases.roll_back(session, TEAM, by="U0ADMIN").release_id == 1
        assert releases.desired_adapters(session) == []


def test_whatever_became_of_a_release_of_another_base_that_is_why_it_cannot_answer(
    store: Engine,
) -> None:
    """Not that the gate promoted it: also before the worker has put the base in its place, and
    also of a candidate that was discarded then."""
    with transaction(store) as session:
        serve(session, OLD)
        promoted(session, "a")
        candidate(session, "b")
        serve(session, NEW, "large")
        for _ in ("live and open", "left and discarded"):
            for number in (2, 3):
                with pytest.raises(OtherBase, match=f"v{number} was trained on base@0+, and what"):
                    promoting.promote(session, TEAM, by="U0ADMIN", number=number)
            settle(session)


def test_with_its_own_base_a_release_can_be_brought_back(store: Engine) -> None:
    """The operator goes back: the news names the release, which was never rolled back for being
    bad, and naming it brings it back."""
    with transaction(store) as session:
        serve(session, OLD)
        promoted(session, "a")
        promoted(session, "b")
        for sha256 in (NEW, OLD):
            serve(session, sha256)
            assert settle(session)
        assert live(session) == 1
        assert "`/mynah rollback v3` goes to it" in told(session)[-1]
        assert [view.rolled_back for view in releases.history(session, TEAM)] == [False] * 3
        releases.roll_back(session, TEAM, by="U0ADMIN", number=3)
        assert live(session) == 3
        assert "b" in [one.name for one in releases.desired_adapters(session)]


def test_other_workspaces_keep_what_fits(store: Engine) -> None:
    """Each workspace is looked at by itself."""
    with transaction(store) as session:
        promoted(session, "a")
        promoted(session, "z", team_id="T2", base_sha256=NEW)
        serve(session, NEW)
        assert (settle(session), settle(session, "T2")) == (True, False)
        assert (live(session), live(session, "T2")) == (1, 2)


def test_how_sure_another_model_was_says_nothing(store: Engine) -> None:
    """Ratings of answers from before a change do not set the limit; the first note is none."""
    with transaction(store) as session:
        v1 = _base_release(session)
        serve(session, OLD)
        _rated_answer(session, v1, "1")
        assert len(ratings(session, TEAM, AnswerMode.CLOSED_BOOK)) == 1
        serve(session, NEW)
        assert ratings(session, TEAM, AnswerMode.CLOSED_BOOK) == []
        _rated_answer(session, v1, "2")
        assert len(ratings(session, TEAM, AnswerMode.CLOSED_BOOK)) == 1


def test_what_was_done_is_in_the_audit(store: Engine) -> None:
    """Who (Mynah itself), to which base model, and which release had to leave."""
    with transaction(store) as session:
        serve(session, OLD)
        promoted(session, "a")
        serve(session, NEW, "large")
        settle(session)
    with reading(store) as session:
        row = session.exec(select(Audit).where(Audit.action == rebasing.CHANGED)).one()
        assert (row.actor, row.detail) == ("mynah", {"base": "large@ffffffffffff", "left": 2})
        assert bases.changed_at(session) is not None


def _left(session: Session, release: Release) -> Run:
    """The run that left the release, as it is while the release is a canary."""
    run = Run(
        team_id=TEAM, trigger=RunTrigger.COMMAND, status=RunStatus.RELEASED,
        adapter_id=release.adapter_id,
    )  # fmt: skip
    session.add(run)
    session.flush()
    return run


def _base_release(session: Session) -> Release:
    releases.ensure_team(session, TEAM)
    return releases.live(session, TEAM)


def _rated_answer(session: Session, release: Release, ts: str) -> None:
    question = Question(team_id=TEAM, channel="C1", thread_ts=ts, ts=ts, user="U1", text="?")
    session.add(question)
    session.flush()
    answer = Answer(
        team_id=TEAM, question_id=question.id or 0, text="!", mode=AnswerMode.CLOSED_BOOK,
        release_id=release.id or 0, confidence=-0.5, channel="C1",
    )  # fmt: skip
    session.add(answer)
    session.flush()
    session.add(
        Feedback(
            team_id=TEAM, channel="C1", target_ts=ts, answer_id=answer.id, user="U2",
            kind=FeedbackKind.APPROVE,
        )
    )  # fmt: skip
    session.flush()
