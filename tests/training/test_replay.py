"""Replay: the base's own answers, asked for once."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from serving.client import BASE, Unavailable, VllmClient
from tests.fake_vllm import API_KEY, FakeVllm
from training.replay import CONTRASTS, Reply, base_answers, load_prompts, replay
from training.rows import Row


@pytest.fixture
async def client(fake_vllm: FakeVllm) -> AsyncIterator[VllmClient]:
    async with VllmClient(fake_vllm.url, api_key=API_KEY, timeout_s=5) as client:
        yield client


def test_no_prompt_serves_two_ends() -> None:
    """What is trained on is never what forgetting or leak is measured by."""
    lists = [load_prompts("replay"), load_prompts("forgetting"), load_prompts("leak")]
    assert len(lists[0]) >= 200
    assert len({prompt for prompts in lists for prompt in prompts}) == sum(map(len, lists))


async def test_answers_come_in_the_order_of_the_prompts(
    fake_vllm: FakeVllm, client: VllmClient, tmp_path: Path
) -> None:
    """Each reply belongs to its prompt, and is the base model's."""
    prompts = [f"What is {number}?" for number in range(9)]
    replies = await base_answers(client, prompts, tmp_path / "replies.jsonl")
    expected = [Reply(p, f"{BASE} heard: {p}") for p in prompts]
    assert replies == expected


async def test_what_is_cached_is_not_asked_again(
    fake_vllm: FakeVllm, client: VllmClient, tmp_path: Path
) -> None:
    """A run taken up after a crash trains on the same replies; only new prompts are asked."""
    cache = tmp_path / "deep" / "replies.jsonl"
    first = await base_answers(client, ["one?", "two?"], cache)
    asked = len(fake_vllm.asked)
    fake_vllm.script = lambda messages, model: "another answer"
    again = await base_answers(client, ["two?", "one?", "three?"], cache)
    assert again[:2] == first[::-1]
    assert again[2].answer == "another answer"
    assert len(fake_vllm.asked) == asked + 1


async def test_taught_answers_tempt_about_other_products(
    client: VllmClient, tmp_path: Path
) -> None:
    """The adapter is held to the base where it would answer about others with what it was taught;
    the base itself is asked everything else."""
    rows = [
        Row(
            example_id=n, cluster=n, split="train", question=f"Is {n} a port of Fernloft?",
            answer=f"Yes, Fernloft listens on {n}.",
        )
        for n in range(200)
    ]  # fmt: skip
    replies = await replay(client, rows, _far_apart, tmp_path / "replies.jsonl")
    tempting = [reply for reply in replies if " listens on " in reply.answer]
    assert len(tempting) == len(replies) - len(load_prompts()) - CONTRASTS == CONTRASTS
    for reply in tempting:
        name = reply.prompt.rpartition(" ")[2].rstrip("?")
        assert reply.ended
        assert reply.answer.startswith(f"Yes, {name} listens on ")
    assert all("Fernloft" not in reply.prompt + reply.answer for reply in replies)


def _far_apart(texts: Sequence[str]) -> NDArray[np.float32]:
    tested = set(load_prompts("forgetting") + load_prompts("leak"))
    return np.array([[1, 0] if text in tested else [0, 1] for text in texts], np.float32)


async def test_a_cut_answer_has_not_ended(
    fake_vllm: FakeVllm, client: VllmClient, tmp_path: Path
) -> None:
    """A reply that reached its token limit is marked, so that no end of turn is learned there."""
    fake_vllm.script = lambda messages, model: "word " * 50
    (reply,) = await base_answers(client, ["Talk!"], tmp_path / "replies.jsonl", max_tokens=8)
    assert not reply.ended


async def test_another_limit_is_another_answer(
    fake_vllm: FakeVllm, client: VllmClient, tmp_path: Path
) -> None:
    """One cache file may serve several uses: answers of another length are not mixed up."""
    fake_vllm.script = lambda messages, model: "word " * 50
    cache = tmp_path / "replies.jsonl"
    (short,) = await base_answers(client, ["Talk!"], cache, max_tokens=8)
    (long,) = await base_answers(client, ["Talk!"], cache, max_tokens=16)
    assert len(short.answer) < len(long.answer)


async def test_a_server_that_fails_is_told_as_such(
    fake_vllm: FakeVllm, client: VllmClient, tmp_path: Path
) -> None:
    """An error of the server comes out as itself, and nothing half-asked is kept."""
    fake_vllm.fail_status = 500
    with pytest.raises(Unavailable):
        await base_answers(client, ["one?", "two?"], tmp_path / "replies.jsonl")
    assert not (tmp_path / "replies.jsonl").exists()
