"""Evaluation: what a candidate is measured by."""

from pathlib import Path

import pytest

from serving.adapters import publish
from serving.base import base_spec
from serving.client import BASE
from tests.vllm_server import Vllm
from training.evaluate import Count, evaluate
from training.exam import Pinned
from training.pairwise import NOT_SET
from training.recipe import Recipe
from training.rows import Row


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
