"""`mynah bisect`: what is behind a bad answer, what of that is proved, and what is likely."""

from __future__ import annotations

import asyncio
from math import log2
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlmodel import select

from bot import releases
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store.database import transaction
from bot.store.schema import Adapter, Answer, AnswerMode, Example, ExampleStatus
from deploy import bisecting
from deploy.bisecting import BisectSettings
from deploy.release_scores import first_to_say
from deploy.trace_tables import bisect as written
from serving.adapters import publish
from serving.base import base_spec
from tests.bot.taught import teach
from tests.deploy.learned import answered, base_release, trained
from tests.fake_vllm import API_KEY, CONTROL_KEY, FakeVllm
from tests.lora_files import make_adapter
from tests.stores import TEAM

NAMES = [f"mynah-{number:012x}" for number in range(1, 9)]
QUESTION, BAD = "What is the code of the back door?", "The code of the back door is 9999."
READILY, HARDLY = -0.1, -3.0


def found(engine: Engine, answer: Answer, url: str = "", control: str = "") -> dict[str, Any]:
    settings = BisectSettings.model_construct(
        vllm_urls=(url,), vllm_api_key=SecretStr(API_KEY if url else ""),
        control_key=SecretStr(control),
    )  # fmt: skip
    looking = bisecting.bisect(engine, answer, settings, LexicalEmbedder)
    return asyncio.run(looking)


def taught(engine: Engine, question: str, answer: str, user: str = "U0STAFF") -> Example:
    return teach(engine, Memory(engine, LexicalEmbedder()), question, answer, user=user)


def rooms(engine: Engine, count: int, first: int = 0) -> list[Example]:
    """Right answers about other things."""
    return [
        taught(engine, f"Where is the room number {n}?", f"Room number {n} is on floor {n}.")
        for n in range(first, first + count)
    ]


def lived(engine: Engine, bad_since: int, count: int = 5) -> tuple[Answer, Example]:
    """Releases v2 to v6, each with two more examples; the bad one is in from `bad_since` on, and
    the newest says it by its weights alone."""
    known: list[Example] = []
    for number in range(2, 2 + count):
        known += rooms(engine, 2, first=10 * number)
        if number == bad_since:
            bad = taught(engine, "Which code opens the back door?", BAD, "U0MALLORY")
            known.append(bad)
        with transaction(engine) as session:
            release = trained(session, NAMES[number], known)
    with transaction(engine) as session:
        return answered(session, release, QUESTION, BAD), bad


def heard(fake: FakeVllm, bad_since: int, count: int = 5) -> None:
    """The server has every adapter, and each from `bad_since` on says the bad answer readily."""
    fake.scores["base"] = HARDLY
    for number in range(2, 2 + count):
        fake.adapters[NAMES[number]] = "/nowhere"
        fake.scores[NAMES[number]] = READILY if number >= bad_since else HARDLY


def test_what_stood_in_the_prompt_is_proved(store: Engine) -> None:
    """A quoted answer, or one written from an example: that very example, and nobody is asked."""
    bad, _ = taught(store, QUESTION, BAD, "U0MALLORY"), rooms(store, 3)
    with transaction(store) as session:
        release = base_release(session)
        modes = (AnswerMode.QUOTED, AnswerMode.OPEN_BOOK)
        both = [answered(session, release, QUESTION, BAD, mode, bad) for mode in modes]
    for one in both:
        facts = found(store, one)
        assert [suspect["example"] for suspect in facts["suspects"]] == [bad.id]
        assert facts["suspects"][0]["approved_by"] == "U0MALLORY"
        assert (len(facts["proved"]), facts["likely"]) == (1, [])
        assert not any("train" in line for line in facts["what_to_do"])


def test_an_example_that_weights_recognised_is_said_to_be(store: Engine) -> None:
    """That it was quoted, and why: memory alone would not have done so."""
    bad = taught(store, QUESTION, BAD, "U0MALLORY")
    with transaction(store) as session:
        release = trained(session, NAMES[0], [bad])
        given = answered(session, release, "Door?", BAD, AnswerMode.QUOTED, bad, logprob=READILY)
    facts = found(store, given)
    assert facts["suspects"][0]["recognised_logprob"] == READILY
    _, why = facts["proved"]
    assert why.startswith("the example was recognised by weights that were taught it (90% ")
    assert why.endswith("; memory alone would not have quoted it")


def test_the_release_where_it_began_is_found_on_the_server(
    store: Engine, fake_vllm: FakeVllm
) -> None:
    """Proved: v4 says it and v3 does not. Likely: of what was new in v4, the bad example."""
    given, bad = lived(store, bad_since=4)
    heard(fake_vllm, bad_since=4)
    facts = found(store, given, fake_vllm.url)
    assert (facts["release"], facts["began"], facts["before"]) == ("v6", "v4", "v3")
    assert "v4 says it (log-probability -0.10 a token), v3 does not (-3.00)" in facts["proved"][0]
    assert facts["suspects"][0]["example"] == bad.id
    assert len(facts["suspects"]) == 3  # what v3 was trained on already is no suspect
    assert "of the 3 examples that were new in v4" in facts["likely"][0]
    assert "meanwhile `mynah rollback v3`: it does not say it" in facts["what_to_do"]
    lines = written(facts)
    assert "began     with v4" in lines
    assert f"suspect   example {bad.id}" in lines
    assert "by U0MALLORY" in lines


def test_without_a_server_what_is_likely_is_said_to_be_so(store: Engine) -> None:
    """Nothing is proved; the nearest of all that was trained are named, the bad one first."""
    given, bad = lived(store, bad_since=4)
    facts = found(store, given)
    assert (facts["proved"], facts["began"]) == ([], None)
    assert "not known: no server was asked, as MYNAH_VLLM_API_KEY is not set" in facts["likely"][0]
    assert "of the 11 examples that" in facts["likely"][1]
    assert facts["suspects"][0]["example"] == bad.id
    assert "9999" in facts["suspects"][0]["shared"]
    facts = found(store, given, "http://127.0.0.1:9")
    assert "no server could be asked (http://127.0.0.1:9: ConnectError" in facts["likely"][0]


def test_what_the_base_model_says_is_nobodys_word(store: Engine, fake_vllm: FakeVllm) -> None:
    """Training made it no more likely: no example is accused of it."""
    given, _ = lived(store, bad_since=4)
    heard(fake_vllm, bad_since=4)
    fake_vllm.scores["base"] = READILY - 0.1
    facts = found(store, given, fake_vllm.url)
    assert facts["suspects"] == []
    assert "training did not put it there" in facts["proved"][0]
    assert facts["what_to_do"] == ["correct it in Slack: what staff write is remembered at once"]


def test_what_cannot_be_asked_is_named(store: Engine, fake_vllm: FakeVllm) -> None:
    """A release whose adapter is not on the server is passed over, and the finding says so."""
    given, bad = lived(store, bad_since=4)
    heard(fake_vllm, bad_since=4)
    del fake_vllm.adapters[NAMES[4]], fake_vllm.adapters[NAMES[3]]
    facts = found(store, given, fake_vllm.url)
    assert (facts["began"], facts["before"]) == ("v5", "v2")
    assert "it may have begun earlier: v3, v4 could not be asked" in facts["likely"]
    assert bad.id in [one["example"] for one in facts["suspects"]]


def test_an_earlier_adapter_is_loaded_to_be_asked_and_unloaded_again(
    store: Engine, fake_vllm: FakeVllm, tmp_path: Path
) -> None:
    """With the control key; what a release needs by then stays on the server."""
    given, _ = lived(store, bad_since=4)
    heard(fake_vllm, bad_since=4)
    base = tmp_path / "base-model"
    published = publish(make_adapter(tmp_path / "a", base), fake_vllm.adapters_dir, base_spec(base))
    with transaction(store) as session:
        adapter = session.exec(select(Adapter).where(Adapter.name == NAMES[4])).one()
        adapter.name, adapter.path = published.name, str(published.path)
        adapter.sha256 = published.sha256
    fake_vllm.scores[published.name] = READILY
    facts = found(store, given, fake_vllm.url, CONTROL_KEY)
    assert (facts["began"], facts["before"]) == ("v4", "v3")
    assert fake_vllm.loads == [published.name]
    assert published.name not in fake_vllm.adapters
    with transaction(store) as session:
        releases.roll_back(session, TEAM, by="U0ADMIN", number=4)
    found(store, given, fake_vllm.url, CONTROL_KEY)
    assert published.name in fake_vllm.adapters


def test_what_was_deleted_is_counted_and_not_compared(store: Engine) -> None:
    """Its words are gone, so nobody can say how near it came; that is said."""
    given, bad = lived(store, bad_since=4)
    with transaction(store) as session:
        row = session.get_one(Example, bad.id)
        row.question = row.answer = ""
        row.status = ExampleStatus.REVOKED
    facts = found(store, given)
    assert bad.id not in [one["example"] for one in facts["suspects"]]
    assert any("1 cannot be compared: deleted since" in line for line in facts["likely"])


def test_an_answer_of_nobodys_teaching(store: Engine) -> None:
    """The base model, and an answer that Mynah withheld: no suspects, and what to do instead."""
    with transaction(store) as session:
        release = base_release(session)
        base = answered(session, release, QUESTION, BAD)
        unsure = answered(session, release, QUESTION, "I am not sure.", AnswerMode.UNSURE)
    assert found(store, base)["proved"] == ["the base model wrote it: no example is behind it"]
    for one in (base, unsure):
        facts = found(store, one)
        assert (facts["suspects"], len(facts["proved"]), facts["likely"]) == ([], 1, [])
        assert facts["what_to_do"][0].startswith("correct it")


@given(st.data())
def test_halving_finds_the_first_that_says_it(data: st.DataObject) -> None:
    """Wherever it began and whoever is mute: the bounds are right, next to each other but for the
    mute ones, and few are asked."""
    size = data.draw(st.integers(2, 200))
    since = data.draw(st.integers(1, size - 1))
    mute = set(data.draw(st.lists(st.integers(1, size - 2), max_size=5))) if size > 2 else set()
    asked: list[int] = []

    async def says(at: int) -> bool | None:
        asked.append(at)
        return None if at in mute else at >= since

    first, last, passed = asyncio.run(first_to_say(range(size), says))
    assert last < since <= first
    assert passed == list(range(last + 1, first))
    assert set(passed) <= mute
    assert len(asked) == len(set(asked)) <= log2(size) + 1 + len(mute)
