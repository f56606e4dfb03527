"""Replay: the base's own answers, asked for once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.client import BASE, Unavailable, VllmClient
from tests.fake_vllm import API_KEY, FakeVllm
from training.replay import Reply, base_answers, load_prompts


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
