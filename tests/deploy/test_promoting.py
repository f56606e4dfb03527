"""`mynah promote`: what waits, a canary, or a release that answered before; and its counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlmodel import Session, col, select

from bot import pausing
from bot.store.database import reading, transaction
from bot.store.schema import FeedbackKind, OutboxMessage, Rollout
from tests.bot.released import candidate, promoted
from tests.bot.slack.waiting import passed
from tests.bot.threads import Threads
from tests.deploy.conftest import Mynah
from tests.stores import TEAM

pytestmark = pytest.mark.usefixtures("url")


def write(team: Engine, *do: object) -> None:
    """Change the store."""
    with transaction(team) as session:
        for one in do:
            assert callable(one)
            one(session)


def live_and_waiting(session: Session) -> None:
    """v2 is live, v3 passed and waits."""
    promoted(session, "mynah-a")
    passed(session)


def last(team: Engine) -> tuple[float, str, str]:
    """What last happened to the releases."""
    with reading(team) as session:
        row = session.exec(select(Rollout).order_by(col(Rollout.id).desc())).first()
        assert row is not None
        return row.share, row.by, row.reason


def told(team: Engine) -> list[str]:
    """What waits to be said in Slack, its first lines, newest last."""
    with reading(team) as session:
        rows = session.exec(select(OutboxMessage).order_by(col(OutboxMessage.id)))
        return [row.payload["text"].splitlines()[0] for row in rows if "text" in row.payload]


def test_what_waits_is_tried_on_some_threads(mynah: Mynah, team: Engine) -> None:
    """The row has the run's reasons, the admins read of it, and status counts its threads."""
    write(team, live_and_waiting)
    shown = mynah("promote", "v3", "--share", "0.25", MYNAH_ADMIN_CHANNEL="C0ADMIN")
    assert shown == (0, "v3 answers 25% of new threads, v2 the others\n", "")
    assert last(team) == (0.25, "operator", "4 of 5 right")
    assert ":eyes: Run 2: v3 answers 25% of new threads, promoted by operator." in told(team)
    assert told(team)[-1] == "The operator let v3 answer 25% of new threads, v2 the others."
    quiet = "canary    v3, 25% of new threads: nobody said how a thread went yet"
    assert quiet in mynah("status")[1].splitlines()

    def rate(session: Session) -> None:
        made = Threads(session)
        made.say(made.ask(3))
        made.say(made.ask(3), FeedbackKind.REJECT)
        made.say(made.ask(2))

    write(team, rate)
    found = json.loads(mynah("status", "--json")[1])["canary"]
    assert (found["release"], found["share"]) == ("v3", 0.25)
    assert found["threads"] == {"canary": {"well": 1, "of": 2}, "live": {"well": 1, "of": 1}}
    assert "1 of 2 threads went well, of v2's in the same time 1 of 1" in mynah("status")[1]
    assert "canary, 25%" in mynah("releases")[1].splitlines()[0]


def test_a_runs_report_says_how_its_release_went_out(
    mynah: Mynah, team: Engine, tmp_path: Path
) -> None:
    """On trial while it is, taken back when that ended so, and live once it answered everybody."""

    def headline() -> str:
        assert mynah("report", "2")[0] == 0
        page = (tmp_path / "run-2.html").read_text("utf-8")
        found = re.search(r'<p class="verdict">(.*?\.) ', page)
        assert found is not None
        return found[1]

    write(team, live_and_waiting)
    assert headline() == "Run 2 passed the gate; v3 waits for an admin."
    mynah("promote", "v3", "--share", "0.25")
    assert headline() == ("Run 2 passed the gate, and v3 answers 25% of new threads, on trial.")
    mynah("rollback")
    assert headline() == ("Run 2 passed the gate, and v3 was on trial; it answers nobody any more.")
    mynah("promote", "v3")
    assert headline() == "Run 2 passed the gate, and v3 went live."


def test_going_back_from_a_canary_says_so(mynah: Mynah, team: Engine) -> None:
    """To what is live, and the admins read from which release."""
    write(team, live_and_waiting)
    mynah("promote", "v3", "--share", "0.25", MYNAH_ADMIN_CHANNEL="C0ADMIN")
    assert mynah("rollback") == (0, "v2 is live\n", "")
    assert told(team)[-1] == "The operator rolled back from v3 to v2."


def test_without_a_name_the_canary_answers_all(mynah: Mynah, team: Engine) -> None:
    """Nothing waits, so it is the one on trial; JSON says what answers."""
    write(team, lambda session: promoted(session, "mynah-a", share=0.5))
    found = json.loads(mynah("promote", "--json")[1])
    assert found == {"live": "v2", "promoted": "v2", "share": 1}
    assert last(team)[:2] == (1, "operator")
    assert mynah("promote")[2] == "mynah: nothing waits for a decision\n"


def test_what_cannot_be_promoted_is_one_line(mynah: Mynah, team: Engine) -> None:
    """Not proven, paused, no share, unknown, live already: nothing changes."""
    write(team, live_and_waiting, lambda session: candidate(session, "mynah-c"))
    before = last(team)
    assert mynah("promote", "v4")[2] == "mynah: v4 was not evaluated yet\n"
    assert mynah("promote", "v9")[2] == "mynah: there is no release v9\n"
    assert mynah("promote", "v2")[2].startswith("mynah: v2 was promoted by gate")
    assert mynah("promote", "v3", "--share", "2")[0] == 2
    write(team, lambda session: pausing.pause(session, TEAM, by="U0ADMIN"))
    status, out, err = mynah("promote", "v3")
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("mynah: Mynah is paused")
    assert last(team) == before
