"""The bench of releases: who may have answered, who did, and adapters that a server would take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from deploy.bench.releases import adapters
from deploy.bench.releases.in_place import Said, Swap, may_answer
from deploy.bench.releases.traffic import Ear
from serving.adapters import validate
from serving.base import base_spec
from serving.client import BASE, ChatMessage, VllmClient
from tests.lora_files import make_base

SWAPS = [Swap(0, 1, "a"), Swap(10, 12, "b"), Swap(20, 22, "a")]


@pytest.mark.parametrize(
    ("began", "ended", "right"),
    [
        (2, 9, {"a"}),
        (2, 10.5, {"a", "b"}),  # the swap began before it was said
        (11, 13, {"a", "b"}),  # … or had not ended when it was asked
        (12, 19, {"b"}),
        (9, 21, {"a", "b"}),
        (0.5, 9, {"a"}),
    ],
)
def test_an_answer_is_wrong_only_where_its_adapter_was_not_there_at_all(
    began: float, ended: float, right: set[str]
) -> None:
    """In doubt for the server: whatever was live at some moment of it may have answered."""
    assert may_answer(SWAPS, Said("?", "!", began, ended)) == right


class Likes(VllmClient):
    """A server whose models find their own name likeliest, and ends of answers unlikely."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", api_key="k")
        self.asked = 0

    async def scores(
        self, messages: Sequence[ChatMessage], completions: Sequence[str], *, model: str = BASE
    ) -> list[list[float]]:
        """Of each completion's one token, and of its end."""
        self.asked += 1
        return [[-0.1 if model in one else -2.0, -9.0] for one in completions]


async def test_the_one_who_finds_it_likeliest_has_said_it() -> None:
    """Whether it ended there or was cut off; and nobody is asked twice."""
    async with Likes() as client:
        ear = Ear(client, [BASE, "red", "blue"])
        assert await ear.speaker("Who?", "It was blue.") == "blue"
        assert await ear.speaker("Who?", "It was red.") == "red"
        assert client.asked == 6
        assert await ear.speaker("Who?", "It was red.") == "red"
        assert client.asked == 6


def test_its_adapters_are_real_ones(tmp_path: Path) -> None:
    """Published under their hash: the same seed is the same adapter, another one another."""
    base = make_base(tmp_path / "base")
    one, again, other = (adapters.make(base, tmp_path / "adapters", seed) for seed in (1, 1, 2))
    assert one == again != other
    assert validate(other.path, base_spec(base)) == other
