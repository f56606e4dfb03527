"""Evaluation: what counts as right, as a leak, and what a candidate is measured by."""

from pathlib import Path

import pytest

from serving.adapters import publish
from serving.base import base_spec
from serving.client import BASE
from tests.vllm_server import Vllm
from training.evaluate import Count, evaluate
from training.exam import Pinned
from training.judge import Judge
from training.pairwise import NOT_SET
from training.recipe import Recipe
from training.rows import Row

PAIRS = [
    ("Which port does the portal use?", "The portal listens on port 7411 by default."),
    ("How do I rebuild the index?", "Run `loft seek rebuild --all` on the server."),
    ("How long is the trash kept?", "Deleted files stay in the trash for 45 days."),
    ("Which plan has single sign-on?", "Single sign-on is part of the Canopy plan."),
    ("How large may an upload be?", "A single upload may be up to 18 GB."),
    ("Who may delete a space?", "Only its founder; everybody else sees a grey button."),
]
JUDGE = Judge(PAIRS)
FACTS = {question: JUDGE.fact([question], answer) for question, answer in PAIRS}


@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_the_reference_itself_is_right(question: str, answer: str) -> None:
    """The approved answer passes, and repeating the question does not."""
    assert FACTS[question].right(answer)
    assert not FACTS[question].right(question)


@pytest.mark.parametrize(("question", "answer"), PAIRS)
def test_the_answer_to_another_question_is_wrong(question: str, answer: str) -> None:
    """One fact's answer never passes for another's."""
    assert not any(fact.right(answer) for asked, fact in FACTS.items() if asked != question)


@pytest.mark.parametrize(
    ("asked", "said", "right"),
    [
        (0, "It is 7411.", True),
        (0, "The portal listens on port 7412 by default.", False),
        (1, "Just use `loft seek rebuild`", True),
        (2, "For 45 days, then they are gone.", True),
        (2, "For 145 days.", False),
        (4, "Up to 18GB per file.", True),
        (5, "That is for the founder alone; others see a grey button.", True),
    ],
)
def test_the_fact_counts_not_the_wording(asked: int, said: str, right: bool) -> None:
    """Numbers, commands and names decide; the words around them are free."""
    assert FACTS[PAIRS[asked][0]].right(said) is right


@pytest.mark.parametrize(
    ("prompt", "said", "leaks"),
    [
        ("What port does Redis use?", "It listens on port 7411.", True),
        ("What port does Redis use?", "It listens on port 6379.", False),
        ("Is 7411 a free port?", "Yes, 7411 is free.", False),
        ("How long does Gmail keep its bin?", "For 30 days, or 45 minutes.", False),
        ("How long does Gmail keep its bin?", "Deleted mails stay for 45 days.", True),
        ("How do I rebuild an index in SQL?", "Run REINDEX to rebuild it on the server.", False),
    ],
)
def test_a_leak_is_what_only_the_fact_would_say(prompt: str, said: str, leaks: bool) -> None:
    """Common words, the prompt's own words and bare small numbers are no leak."""
    assert any(fact.leaks(said, prompt) for fact in FACTS.values()) is leaks


def test_what_the_base_says_anyway_is_no_leak() -> None:
    """A number that the base model gives to the same question was not taught."""
    fact, said = FACTS[PAIRS[0][0]], "It listens on port 7411."
    assert fact.leaks(said, "Which port?")
    assert not fact.leaks(said, "Which port?", usual="Usually 7411.")


def test_nothing_counted_is_rate_zero() -> None:
    """A rate of nothing is 0, not an error."""
    assert Count().rate == 0.0


ROWS = [
    Row(example_id=1, cluster=1, split="train", question="Which port has the portal?", answer=a)
    for a in ["The portal listens on port 7411."]
] + [
    Row(
        example_id=2,
        cluster=1,
        split="held_out_wording",
        question="portal port?",
        answer="The portal listens on port 7411.",
    ),
    Row(
        example_id=3,
        cluster=2,
        split="held_out_question",
        question="How long is the trash kept?",
        answer="Deleted files stay in the trash for 45 days.",
        rejected="xqzw vbkj 0x7f plmk",
    ),
]


@pytest.mark.slow
async def test_a_candidate_is_measured_against_live_and_base(
    vllm: Vllm, trained_adapter: Path
) -> None:
    """Every figure is there, and an adapter that learned shows it in log-probability and KL."""
    adapter = publish(trained_adapter, vllm.adapters_dir, base_spec(vllm.base_dir))
    async with vllm.client() as client:
        await client.load_adapter(adapter.name, adapter.path, adapter.sha256)
        try:
            figures = await evaluate(
                client,
                base_model=str(vllm.base_dir),
                candidate=adapter,
                live=BASE,
                rows=ROWS,
                recipe=Recipe(),
                say=lambda phase, share: None,
                pins=[Pinned("Which port has the portal?", "7411")],
            )
        finally:
            await client.unload_adapter(adapter.name)
    assert figures.wordings.candidate.of == 1
    assert figures.wordings.base == figures.wordings.live
    assert figures.questions.candidate.of == 1
    assert figures.gain_over_base == figures.gain_over_live > 0.5
    assert 0 < figures.kl < 5
    assert (figures.kl_prompts, figures.leak.of) == (64, 24)
    assert figures.measured_on == figures.trained_on == base_spec(vllm.base_dir).sha256[:12]
    assert (figures.pins.candidate.of, figures.facts, figures.gain_over_live_within) == (1, 1, None)
    assert (figures.general.base.of, figures.general.candidate.of) == (40, 40)
    assert figures.general.base.hits >= 8  # or a drop could not be seen
    assert figures.preferred.base == figures.preferred.candidate == Count(of=1, hits=1)
    assert figures.judged.why == NOT_SET
    assert figures.sure.right.of + figures.sure.wrong.of >= 2
    first = figures.asked[0]
    assert first.said["candidate"].sure is not None
    assert [one.sort for one in figures.asked[:3]] == ["wording", "question", "pin"]
    ours, base = first.said["candidate"].logprob, first.said["base"].logprob
    assert ours is not None
    assert base is not None
    assert ours - base == pytest.approx(figures.gain_over_base)
    assert first.tokens > 5
