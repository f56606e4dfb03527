"""The workspace with a past: what was said in it, and that a real bot learns from it."""

from __future__ import annotations

import re
import time
from pathlib import Path

from sqlalchemy import Engine

from bot.store.schema import Example, ExampleStatus, Feedback, FeedbackKind
from deploy import helpdesk, lived_in
from deploy.helpdesk import Fact
from deploy.sandbox.pages import DIRECTORY
from deploy.sandbox.state_file import NAME, StateFile
from tests.bot.slack.house import HELP, House, until
from tests.fake_vllm import FakeVllm
from tests.lora_files import make_base
from tests.sandbox_server import Sandbox


def test_nobody_there_has_said_what_is_measured_or_left_to_be_taught() -> None:
    """Four wordings of each fact but the unknown ones, each once; never the held-out one."""
    said = [thread.question for thread in lived_in.threads()]
    facts = [fact for fact in helpdesk.load() if fact.kind == "fact"]
    known = [fact for fact in facts if fact.id not in lived_in.UNKNOWN]
    assert len(facts) - len(known) == 6
    assert len(said) == len(set(said))
    assert {wording for fact in known for wording in fact.wordings[:4]} <= set(said)
    assert not {fact.wordings[-1] for fact in facts} & set(said)
    unknown = [fact for fact in helpdesk.load() if fact.id in lived_in.UNKNOWN]
    assert not {wording for fact in unknown for wording in fact.wordings} & set(said)
    answers = " ".join(thread.answer for thread in lived_in.threads())
    assert not any(helpdesk.passes(answers, fact.checks) for fact in unknown)


def test_the_first_steps_ask_what_nobody_there_has_answered() -> None:
    """The page asks twice, and answers, in the words of one fact that is left out."""
    page = (DIRECTORY / "first_steps.js").read_text()
    words = dict(re.findall(r'^const (\w+) = "(.+)";$', page, re.MULTILINE))
    fact = walked()
    assert (words["QUESTION"], words["AGAIN"]) == fact.wordings[:2]
    assert words["ANSWER"] == fact.answer


def walked() -> Fact:
    """What the first steps lead a newcomer to ask, and to teach."""
    return next(fact for fact in helpdesk.load() if fact.id == lived_in.WALK)


async def test_a_bot_that_comes_later_learns_all_of_it(tmp_path: Path, engine: Engine) -> None:
    """Each thread is a live example, approved by the staff member who answered, from a person's own
    words; what nobody said there is not known."""
    (tmp_path / "adapters").mkdir()
    vllm = FakeVllm(adapters_dir=tmp_path / "adapters", base_dir=make_base(tmp_path / "base"))
    found = lived_in.threads()
    with (
        StateFile(tmp_path / NAME, plant=lived_in.plant) as keep,
        Sandbox(keep=keep) as sandbox,
        vllm,
    ):
        house = House(sandbox, vllm, engine, tmp_path)
        began = time.monotonic()
        async with house.bot():
            await until(lambda: len(house.rows(Example)) >= len(found))
            print(f"{len(found)} threads were learned within {time.monotonic() - began:.1f} s")
            await house.quiet()
            learned = {row.question: row for row in house.rows(Example)}
            assert {one.question: one.answer for one in found} == {
                row.question: row.answer for row in learned.values()
            }
            assert {row.status for row in learned.values()} == {ExampleStatus.LIVE}
            assert {row.approved_by for row in learned.values()} == {"U0STAFF", "U0STAFF2"}
            assert {row.kind for row in house.rows(Feedback)} == {FeedbackKind.CORRECT}
            assert not house.failed()
            assert not [one for one in await sandbox.messages() if one["user"] == "U0MYNAH"]
            house.vllm.script = lambda messages, model: "I have no idea."
            answer = await house.asked(walked().wordings[0])
            assert answer["metadata"]["event_payload"]["mode"] != "quoted"


async def test_it_happened_within_three_weeks_and_by_people(tmp_path: Path) -> None:
    """In their order, none in the future; the people have names, and keep what they may."""
    with StateFile(tmp_path / NAME, plant=lived_in.plant) as keep, Sandbox(keep=keep) as sandbox:
        times = [float(one["ts"]) for one in await sandbox.messages(HELP)]
        users = (await sandbox.state(parts="users"))["users"]
        said = await sandbox.client("xoxp-asker").chat_postMessage(channel=HELP, text="now")
        before_s = time.time() - lived_in.DAYS * 86400 - 60
        assert times == sorted(times)
        assert before_s < times[0] < times[-1] < float(str(said["ts"]))
        assert times[-1] - times[0] > 20 * 86400
        assert abs(float(str(said["ts"])) - time.time()) < 60
        named = {user["name"]: user["real_name"] for user in users}
        assert (named["asker"], named["guest"]) == ("Jo Lindgren", "Lee Novak")
        assert [user["name"] for user in users if user["is_admin"]] == ["admin"]
        assert [user["name"] for user in users if user["is_restricted"]] == ["guest"]
