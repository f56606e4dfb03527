"""`mynah trace`: from an answer back to people and messages, and from a message on to answers."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine

from bot import examples, feedback
from bot.embedder import LexicalEmbedder
from bot.memory import Memory
from bot.store import lineage
from bot.store.database import reading, transaction
from bot.store.schema import AnswerMode, Example, FeedbackKind
from deploy import tracing
from deploy.facts import BadInput
from deploy.trace_tables import trace as written
from tests.bot.measured import measure
from tests.bot.taught import teach
from tests.deploy.learned import answered, base_release, trained
from tests.stores import TEAM

ADAPTER = "mynah-0123456789ab"
DOOR = ("What is the code of the door?", "The code of the door is 4711.")


def taught(engine: Engine, question: str, answer: str, user: str = "U0STAFF") -> Example:
    return teach(engine, Memory(engine, LexicalEmbedder()), question, answer, user=user)


def traced(engine: Engine, word: str, team: str = TEAM) -> dict[str, Any]:
    with reading(engine) as session:
        return tracing.trace(session, team, word)


def place(engine: Engine, example: Example) -> str:
    """CHANNEL:TS of the message that an example was made from."""
    with reading(engine) as session:
        return ":".join(lineage.learned(session, example).sources[0])


def test_a_message_is_followed_to_every_answer(store: Engine) -> None:
    """Message → feedback → example → dataset → run → adapter → release → answers, counted."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        release = trained(session, ADAPTER, [one])
        answered(session, release, "door?", "4711", AnswerMode.QUOTED, one)
        answered(session, release, "the door?", "4711", AnswerMode.OPEN_BOOK, one)
        answered(session, release, "code?", "The code is 4711.")
        answered(session, base_release(session), "code?", "I do not know.")
    [learned] = traced(store, place(store, one))["message"]["learned"]
    assert (learned["feedback"]["by"], learned["feedback"]["kind"]) == ("U0STAFF", "approve")
    [run] = learned["runs"]["first"]
    assert (run["split"], run["adapter"], run["status"]) == ("train", ADAPTER, "released")
    assert run["releases"][0]["release"] == "v2"
    assert run["releases"][0]["live"][0]["until"] is None
    assert learned["answers_from_it"] == {"open_book": 1, "quoted": 1}
    assert learned["answers_by_adapters_trained_on_it"] == {"closed_book": 1, "open_book": 1}


def test_an_answer_is_followed_back_to_people_and_messages(store: Engine) -> None:
    """Answer → release → adapter → run → dataset → examples → feedback → who, when, where."""
    one, other = taught(store, *DOOR), taught(store, "Wifi?", "The wifi is guest.", "U0OTHER")
    with transaction(store) as session:
        release = trained(session, ADAPTER, [one, other])
        given = answered(session, release, "door?", "It is 4711.", AnswerMode.OPEN_BOOK, one)
        known = (str(given.id), f"{given.channel}:{given.ts}", f"C0HELP:{_asked(given.ts)}")
    for word in known:
        found = traced(store, word)["answer"]
        assert (found["mode"], found["release"]["release"]) == ("open_book", "v2")
        assert found["adapter"]["run"]["dataset"] == f"{ADAPTER}-data"[:12]
        assert found["adapter"]["trained"]["by"] == {"U0OTHER": 1, "U0STAFF": 1}
        [used] = found["used"]
        assert (used["example"], used["similarity"]) == (one.id, 0.75)
        assert used["feedback"]["message"] == place(store, one) == used["messages"][0]


def _asked(answered_at: str | None) -> str:
    """The question's message is the one before its answer's."""
    seconds, _, order = (answered_at or "").partition(".")
    return f"{seconds}.{int(order) - 1:06d}"


def test_an_adapter_names_what_it_was_made_of_and_where_it_lived(store: Engine) -> None:
    """By name, by the beginning of it, and by its release; many examples are counted."""
    many = [taught(store, f"What is door {n}?", f"Door {n} is room {n}.") for n in range(8)]
    with transaction(store) as session:
        trained(session, ADAPTER, many[:7], held_out=many[7:])
        trained(session, "mynah-999999999999", many)
    for word in (ADAPTER, "mynah-01", "v2"):
        found = traced(store, word)["adapter"]
        assert found["adapter"] == ADAPTER
        assert (found["trained"]["count"], len(found["trained"]["first"])) == (7, lineage.FIRST)
        [lived] = found["releases"]
        assert lived["live"][0]["until"] is not None  # v3 took its place
    assert "… and 2 more" in written(traced(store, "v2"))
    assert traced(store, "v1")["release"]["release"] == "v1"


def test_an_example_is_followed_by_its_number(store: Engine) -> None:
    """How it came, what was done with it, its runs, and the newest of many answers made from it."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        release = trained(session, ADAPTER, [one])
        for _ in range(lineage.FIRST + 2):
            last = answered(session, release, "door?", "4711", AnswerMode.QUOTED, one)
        row = session.get_one(Example, one.id)
        examples.take_back(session, row, "the code was changed", "operator")
    found = traced(store, f"example:{one.id}")
    facts = found["example"]
    assert (facts["feedback"]["by"], facts["imported"]) == ("U0STAFF", None)
    assert [(each["what"], each["by"]) for each in facts["history"]] == [
        ("live", "U0STAFF"), ("revoke", "operator"),
    ]  # fmt: skip
    assert facts["history"][1]["why"] == "the code was changed"
    assert [run["adapter"] for run in facts["runs"]["first"]] == [ADAPTER]
    assert facts["answers"]["count"] == lineage.FIRST + 2
    assert facts["answers"]["newest"][0]["answer"] == last.id
    told = written(found)
    assert "revoked by operator: the code was changed" in told
    assert "answers   used in 7 answers (7 quoted)" in told
    assert "… and 2 more" in told


def test_what_was_deleted_is_still_traced_without_its_words(store: Engine) -> None:
    """A deleted message names the adapters that learned it; nothing of its text is left."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        trained(session, ADAPTER, [one])
    word = place(store, one)
    with transaction(store) as session:
        examples.forget_message(session, TEAM, *word.split(":"))
    found = traced(store, word)
    [learned] = found["message"]["learned"]
    assert (learned["status"], learned["question"], learned["answer"]) == ("revoked", "", "")
    assert learned["runs"]["first"][0]["adapter"] == ADAPTER
    assert traced(store, ADAPTER)["adapter"]["trained"]["taken_back"] == 1
    assert "4711" not in written(found)
    assert "(its words are gone) [revoked: a message that it came from" in written(found)


def test_an_answer_tells_what_it_taught(store: Engine) -> None:
    """Who approved an answer, and the example that came of it, are below the answer."""
    with transaction(store) as session:
        given = answered(session, base_release(session), *DOOR)
        rated, _ = feedback.record(
            session, team_id=TEAM, channel="C0HELP", target_ts=given.ts or "", user="U0STAFF",
            kind=FeedbackKind.APPROVE, answer_id=given.id,
        )  # fmt: skip
        examples.add(
            session, examples.draft(*DOOR), team_id=TEAM, feedback_id=rated.id or 0,
            approved_by="U0STAFF", sources=[("C0HELP", given.ts or "")],
        )  # fmt: skip
        word = str(given.id)
    found = traced(store, word)["answer"]
    assert [rating["by"] for rating in found["ratings"]] == ["U0STAFF"]
    assert [one["question"] for one in found["taught"]] == [DOOR[0]]
    assert "never in a dataset" in written({"answer": found})


def test_an_adapter_names_what_it_forgot(store: Engine) -> None:
    """Beside the adapter that it took the place of; what it learned is counted."""
    one = taught(store, *DOOR)
    other = taught(store, "What is the wifi called?", "The wifi is called guest.")
    with transaction(store) as session:
        for name, knows in ((ADAPTER, one), ("mynah-999999999999", other)):
            trained(session, name, [one, other])
            marks = [("known", each.id or 0, each.answer, each is knows) for each in (one, other)]
            measure(session, name, [one, other], marks)
    found = traced(store, "v3")
    assert found["adapter"]["knows"] == {
        "facts": 2, "known": 1, "before": ADAPTER, "learned": 1,
        "forgotten": {"count": 1, "first": [{"example": one.id, "question": one.question}]},
    }  # fmt: skip
    told = written(found)
    assert f"knows     1 of 2 facts in memory: 1 more than {ADAPTER}, 1 forgotten" in told
    assert f"forgot example {one.id} “{one.question}”" in told
    assert "1 more than the base model, 0 forgotten" in written(traced(store, "v2"))


def test_an_answer_names_what_was_known_without_the_prompt(store: Engine) -> None:
    """And an adapter that knew wrote it."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        release = trained(session, ADAPTER, [one])
        given = answered(session, release, "door?", "It is 4711.", AnswerMode.KNOWN, one)
    found = traced(store, str(given.id))
    assert found["answer"]["weights_wrote_it"]
    told = written(found)
    assert f"knew      example {one.id} " in told
    assert "not in the prompt" in told


def test_an_answer_tells_that_weights_recognised_its_example(store: Engine) -> None:
    """With the number, and that it was quoted for nothing else; of others there is no such line."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        release = trained(session, ADAPTER, [one])
        modes = ((AnswerMode.QUOTED, -0.1), (AnswerMode.OPEN_BOOK, -0.1), (AnswerMode.QUOTED, None))
        given = [
            answered(session, release, "door?", DOOR[1], mode, one, logprob=logprob)
            for mode, logprob in modes
        ]
    found = [traced(store, str(each.id)) for each in given]
    logprobs = [each["answer"]["used"][0]["recognised_logprob"] for each in found]
    assert logprobs == [-0.1, -0.1, None]
    quoted, told, by_memory = (written(each).split("\n") for each in found)
    line = (
        "          recognised by weights that were taught it (90% on average for each of its words;"
        " log-probability -0.10)"
    )
    assert f"{line}; memory alone would not have quoted it" == quoted[_used(quoted) + 1]
    assert line == told[_used(told) + 1]
    assert "recognised" not in "\n".join(by_memory)


def _used(lines: list[str]) -> int:
    """Where the line of the example is."""
    return next(at for at, line in enumerate(lines) if line.startswith("used "))


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("77", "there is no answer 77"),
        ("9" * 40, "there is no answer"),
        ("C0HELP:1.000001", "nothing is known of the message C0HELP:1.000001"),
        ("v9", "there is no release v9"),
        ("example:99", "there is no example 99"),
        ("mynah-", "2 adapters are called mynah-…: mynah-0123456789ab, mynah-0123456789cd"),
        ("mynah_", "nothing is called 'mynah_'"),
        ("", "nothing is called ''"),
    ],
)
def test_what_names_nothing_or_too_much_is_one_line(store: Engine, word: str, line: str) -> None:
    """The line says what there is, or what could be given."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        trained(session, ADAPTER, [one])
        trained(session, "mynah-0123456789cd", [one])
    with pytest.raises(BadInput) as caught:
        traced(store, word)
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_of_another_workspace_is_traced(store: Engine) -> None:
    """Ids, messages, adapters and releases of one team are unknown to another."""
    one = taught(store, *DOOR)
    with transaction(store) as session:
        release = trained(session, ADAPTER, [one])
        given = answered(session, release, "door?", "4711", AnswerMode.QUOTED, one)
        words = [str(given.id), f"{given.channel}:{given.ts}", ADAPTER, "v2", f"example:{one.id}"]
    for word in [*words, place(store, one)]:
        assert traced(store, word)
        with pytest.raises(BadInput):
            traced(store, word, team="T0OTHER")
