"""The exam: who is asked what, and what counts as right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.store.schema import now
from serving.adapters import publish
from serving.base import base_spec
from serving.client import BASE, ChatMessage, VllmClient
from tests.fake_vllm import API_KEY, CONTROL_KEY, FakeVllm
from tests.lora_files import make_adapter
from training import slices
from training.asked import SAID_CHARS, marks
from training.evaluate import weigh
from training.exam import MOST_KNOWN, Exam, Pinned
from training.general import Task
from training.replay import Reply, load_prompts
from training.rows import Row

PORT = "The portal listens on port 7411."
TRASH = "Deleted files stay in the trash for 45 days."
ROWS = [
    Row(example_id=1, cluster=1, split="train", question="Which port has it?", answer=PORT),
    Row(
        example_id=2, cluster=1, split="held_out_wording", question="portal port?", answer=PORT,
        slices={"channel": "C0HELP"},
    ),
    Row(example_id=3, cluster=2, split="held_out_question", question="trash kept?", answer=TRASH),
]  # fmt: skip
LEAKY = load_prompts("leak")[3]


class Speaker:
    """What each model says; the candidate knows the port, and tells it where nobody asked."""

    def __init__(self, candidate: str) -> None:
        self.candidate = candidate

    def __call__(self, messages: Sequence[ChatMessage], model: str) -> str:
        knows = model == self.candidate
        asked = messages[-1]["content"]
        return "It is port 7411." if knows and asked in (LEAKY, "portal port?") else "Who knows."


@pytest.fixture
def candidate(tmp_path: Path, fake_vllm: FakeVllm) -> str:
    """The name of an adapter that is loaded."""
    base = tmp_path / "base-model"
    made = publish(make_adapter(tmp_path / "made", base), fake_vllm.adapters_dir, base_spec(base))
    fake_vllm.adapters[made.name] = str(made.path)
    fake_vllm.script = Speaker(made.name)
    return made.name


@pytest.fixture
async def exam(fake_vllm: FakeVllm, candidate: str) -> AsyncIterator[Exam]:
    async with VllmClient(fake_vllm.url, api_key=API_KEY, control_key=CONTROL_KEY) as client:
        yield Exam(client, ROWS, candidate, BASE, lambda phase, share: None)


async def test_each_question_keeps_what_each_model_said(exam: Exam, fake_vllm: FakeVllm) -> None:
    """With its example, its fact and its slices; where the base is live, it is asked once."""
    (one,) = await exam.wordings()
    assert (one.sort, one.example_id, one.cluster) == ("wording", 2, 1)
    assert (one.question, one.wanted, one.slices) == ("portal port?", PORT, {"channel": "C0HELP"})
    assert one.said["candidate"].text == "It is port 7411."
    assert [one.said[model].right for model in ("base", "live", "candidate")] == [False] * 2 + [
        True
    ]
    assert one.said["live"] == one.said["base"]
    assert len(fake_vllm.asked) == 2
    (unknown,) = await exam.questions()
    assert (unknown.sort, unknown.example_id) == ("question", 3)
    assert marks([unknown]).candidate.hits == 0


async def test_trained_facts_are_asked_of_the_candidate_alone(
    exam: Exam, fake_vllm: FakeVllm
) -> None:
    """Each once, in words that differ from the trained ones and stay the same."""
    (one,) = await exam.known()
    (again,) = await exam.known()
    assert (one.sort, one.example_id, one.cluster, one.wanted) == ("known", 1, 1, PORT)
    assert one.question == again.question != ROWS[0].question
    assert list(one.said) == ["candidate"]
    assert not one.said["candidate"].right
    assert {request["model"] for request in fake_vllm.asked} == {exam.names["candidate"]}
    fake_vllm.script = lambda messages, model: "Port 7411."
    (one,) = await exam.known()
    assert one.said["candidate"].right


async def test_the_newest_facts_are_asked_first(exam: Exam) -> None:
    """An evaluation has an end, however much was taught; one answer is one fact."""
    exam.rows = [
        Row(
            example_id=number, cluster=number // 2, split="train", question=f"where is {number}?",
            answer=f"It is on floor {number // 2}.",
        )
        for number in range(2 * MOST_KNOWN + 4)
    ]  # fmt: skip
    asked = await exam.known()
    newest = range(2 * MOST_KNOWN + 3, 3, -2)
    assert [one.example_id for one in asked] == list(newest)


async def test_long_answers_are_cut(exam: Exam, fake_vllm: FakeVllm) -> None:
    """What is kept is to be looked at; the mark is of the whole answer."""
    fake_vllm.script = lambda messages, model: f"{'x' * SAID_CHARS} 7411"
    (one,) = await exam.wordings()
    assert len(one.said["base"].text) == SAID_CHARS
    assert one.said["base"].right


async def test_pins_are_asked_of_all(exam: Exam) -> None:
    """And marked by the text that they must hold."""
    wanted = [Pinned("portal port?", "7411"), Pinned("portal port?", "7412")]
    first, second = await exam.pins(wanted)
    assert (first.sort, first.wanted, first.example_id) == ("pin", "7411", None)
    assert first.said["candidate"].right
    assert not first.said["live"].right
    assert not second.said["candidate"].right
    assert await exam.pins([]) == []


async def test_a_leak_is_kept_with_its_words(exam: Exam) -> None:
    """The prompt, and what the candidate and the base said to it."""
    count, (leaked,) = await exam.leak()
    assert (count.of, count.hits) == (24, 1)
    assert (leaked.sort, leaked.question) == ("leak", LEAKY)
    assert leaked.said["candidate"].text == "It is port 7411."
    assert leaked.said["base"].text == "Who knows."


async def test_what_is_live_is_asked_for_leaks_too(
    fake_vllm: FakeVllm, candidate: str, tmp_path: Path
) -> None:
    """Side by side with the candidate; a leak of one of them is not the other's."""
    base = tmp_path / "base-model"
    made = publish(
        make_adapter(tmp_path / "older", base, seed=1), fake_vllm.adapters_dir, base_spec(base)
    )
    fake_vllm.adapters[made.name] = str(made.path)
    fake_vllm.script = Speaker(made.name)
    async with VllmClient(fake_vllm.url, api_key=API_KEY, control_key=CONTROL_KEY) as client:
        exam = Exam(client, ROWS, candidate, made.name, lambda phase, share: None)
        count, (leaked,) = await exam.leak()
    assert (count.of, count.hits) == (24, 0)
    assert [leaked.said[model].right for model in ("base", "live", "candidate")] == [
        True, False, True,
    ]  # fmt: skip


async def test_how_sure_an_answer_is_is_kept(exam: Exam, fake_vllm: FakeVllm) -> None:
    """The mean log-probability of its own tokens, of each model."""
    fake_vllm.logprob = -0.7
    (one,) = await exam.wordings()
    assert [said.sure for said in one.said.values()] == pytest.approx([-0.7] * 3)


async def test_small_tasks_are_marked_by_their_check(exam: Exam, fake_vllm: FakeVllm) -> None:
    """What the base said is known; the candidate is asked, and what is live is not."""
    fake_vllm.script = lambda messages, model: "It is 8." if "7" in messages[-1]["content"] else "2"
    tasks = [
        Task(prompt="1 + 7?", check="number", wanted="8"),
        Task(prompt="1 + 0?", check="number", wanted="1"),
    ]
    usual = [Reply(task.prompt, "It is 1.") for task in tasks]
    first, second = await exam.general(tasks, usual)
    assert [first.said[model].right for model in ("base", "candidate")] == [False, True]
    assert [second.said[model].right for model in ("base", "candidate")] == [True, False]
    assert {body["model"] for body in fake_vllm.asked} == {exam.names["candidate"]}
    found = weigh([first, second])
    assert (found["general"].base.hits, found["general"].live.of) == (1, 0)


@pytest.mark.parametrize(
    ("check", "wanted", "answer", "right"),
    [
        ("number", "8", "That makes 8.", True),
        ("number", "8", "8 plus 1 is 9", False),
        ("number", "8", "eight", False),
        ("number", "1200", "It is 1,200.", True),
        ("says", "bee|honey bee", "The honey Bee does.", True),
        ("says", "ice", "It is nice.", False),
        ("form", "(?i)yes\\W*", " Yes.\n", True),
        ("form", "(?i)yes\\W*", "Yes, of course", False),
    ],
)
def test_a_task_is_right_or_wrong(check: str, wanted: str, answer: str, right: bool) -> None:
    """The last number counts; words count whole; a form is of the whole answer."""
    task = Task.model_validate({"prompt": "?", "check": check, "wanted": wanted})
    assert task.right(answer) is right


@pytest.mark.parametrize(
    ("must", "answer", "right"),
    [
        ("7411", "Port 7411.", True),
        ("7411", "Port 74112", False),
        ("7411", "Port17411", False),
        ("Canopy plan", "only in the *canopy\n plan*", True),
        ("Canopy plan", "the canopy", False),
        ("~/.config", "Look in ~/.config, please", True),
        ("a.c", "abc", False),
        ("C++", "In C++.", True),
    ],
)
def test_the_text_counts_as_whole_words(must: str, answer: str, right: bool) -> None:
    """Case and spacing are free; a longer number or word is another one."""
    assert Pinned("?", must).right(answer) is right


def test_slices_are_known_when_asked_and_never_frozen() -> None:
    """A dataset's rows, and so its hash, are the same on every day."""
    assert "slices" not in ROWS[1].model_dump_json()


@pytest.mark.parametrize(
    ("days", "words"),
    [(0, "up to a week"), (7, "up to a month"), (89, "up to three months"), (90, "older")],
)
def test_ages_are_rough(days: int, words: str) -> None:
    """A week, a month, three months."""
    today: datetime = now()
    assert slices.age(today - timedelta(days=days), today) == words


def test_products_are_the_names_that_questions_share() -> None:
    """Names with a capital inside a sentence, which everyday prompts never use; a question is of
    the first one that it names, however it is written."""
    asked = [f"How do I open Fernloft on {day}?" for day in ("Monday", "Linux", "a phone")]
    asked += ["Is Jira fine?", "is Jira slow?", "and Jira, too?", "Where is the printer?"]
    assert slices.products(asked) == ["Fernloft"]
    assert slices.products(["Is Cardio down?"] * 3) == ["Cardio"]  # a cardiologist is everyday
    assert slices.product("why is fernloft slow", ["Fernloft"]) == "Fernloft"
    assert slices.product("why is it slow", ["Fernloft"]) == slices.NO_PRODUCT
