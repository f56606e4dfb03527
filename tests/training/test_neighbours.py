"""Many vectors: what the quick search finds, and that no twin of what is held out is trained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bot.store.schema import Example
from deploy.bench.workload import WordVectors, examples
from training import dataset
from training.neighbours import Vectors, close_to, links
from training.rows import Row
from training.wordings import TWIN, grouped, overlooked

HELPDESK = Path(__file__).parents[2] / "deploy" / "helpdesk.jsonl"


def unit(rows: np.ndarray) -> Vectors:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def wordings() -> Vectors:
    lines = HELPDESK.read_text("utf-8").splitlines()
    return WordVectors().embed([one for line in lines for one in json.loads(line)["wordings"]])


def test_nearly_all_that_is_close_is_linked() -> None:
    """Of 2,500 pairs that lie just within the limit, where they are easiest to overlook, at least
    99 in 100."""
    draw = np.random.default_rng(0)
    known = wordings()
    mixed = known[draw.integers(len(known), size=2500)] + 0.8 * known[draw.permutation(2500) % 250]
    ones = unit(mixed + draw.normal(size=(2500, 384)) * 0.02)
    drawn = draw.normal(size=(2500, 384))
    aside = unit(drawn - (drawn * ones).sum(axis=1, keepdims=True) * ones)
    cosines = draw.uniform(TWIN + 0.001, 0.92, size=(2500, 1))
    others = unit(cosines * ones + np.sqrt(1 - cosines**2) * aside)
    group = grouped(5000, list(links(np.concatenate([ones, others]), TWIN)))
    found = np.mean([group[at] == group[2500 + at] for at in range(2500)])
    assert found >= 0.99, f"{found:.4f} of the pairs"


def test_no_link_joins_what_is_apart() -> None:
    """Each link is a pair at the limit or above it."""
    vectors = WordVectors().embed([one.question for one in examples(3000)])
    pairs = np.array(list(links(vectors, TWIN)))
    assert len(pairs) > 100
    cosines = (vectors[pairs[:, 0]] * vectors[pairs[:, 1]]).sum(axis=1)
    assert cosines.min() >= TWIN - 1e-5


def test_rows_without_a_direction_are_close_to_nothing() -> None:
    """A text without words, and what is no number, in a set that is searched in cells."""
    vectors = WordVectors().embed([one.question for one in examples(3000)])
    vectors[:700] = 0
    vectors[700:1400] = np.nan
    assert all(one >= 1400 and two >= 1400 for one, two in links(vectors, TWIN))


def test_a_thousand_copies_are_one_group() -> None:
    """Near-copies of one question, which are many more than a cell has room for."""
    draw = np.random.default_rng(0)
    copies = unit(draw.normal(size=384) + draw.normal(size=(3000, 384)) * 0.1)
    assert set(grouped(3000, list(links(copies, TWIN)))) == {0}


@pytest.fixture(scope="module")
def many() -> tuple[list[Example], Vectors, list[Row]]:
    """A large team's examples, their vectors, and what is made of them."""
    made = examples(6000)
    for at, one in enumerate(made):
        one.id = at
    vectors = WordVectors().embed([one.question for one in made])
    return made, vectors, dataset.split(made, vectors)


def test_no_twin_of_what_is_held_out_is_trained(
    many: tuple[list[Example], Vectors, list[Row]],
) -> None:
    """Whatever the quick search overlooks: what is held out is compared with everything."""
    made, vectors, rows = many
    held = {row.example_id for row in rows if row.split != "train"}
    assert overlooked(held, [one.question for one in made], vectors) == []


def test_a_twin_that_the_quick_search_overlooked_is_named() -> None:
    """One of two near-copies is held out and the other is not; another code makes no twin."""
    asked = ["where is the red door", "where's the red door", "where is red door 7"]
    vectors = unit(np.ones((3, 4)))
    assert overlooked({0}, asked, vectors) == [(0, 1)]
    assert overlooked({0, 1}, asked, vectors) == []


def test_no_more_is_held_out_than_it_takes(
    many: tuple[list[Example], Vectors, list[Row]],
) -> None:
    """Of 6,000 examples 400 wordings and 100 questions; the rest is trained."""
    _, _, rows = many
    wordings = [row for row in rows if row.split == "held_out_wording"]
    whole = {row.cluster for row in rows if row.split == "held_out_question"}
    assert dataset.MOST_WORDINGS - 20 <= len(wordings) <= dataset.MOST_WORDINGS
    assert len(whole) <= dataset.MOST_QUESTIONS


def test_what_was_trained_is_not_measured_by_when_examples_come() -> None:
    """With a thousand more, nearly nothing that was trained is held out now."""
    before, after = (_splits(count) for count in (5000, 6000))
    trained = {question for question, split in before.items() if split == "train"}
    measured = {question for question, split in after.items() if split != "train"}
    assert len(trained & measured) <= 0.05 * len(measured)


def test_links_and_exact_search_agree_on_few() -> None:
    """Up to EXACT rows nothing is overlooked."""
    vectors = wordings()
    exact = {(one, two) for one, two in close_to(range(len(vectors)), vectors, TWIN) if one < two}
    assert grouped(len(vectors), list(links(vectors, TWIN))) == grouped(len(vectors), sorted(exact))


def _splits(count: int) -> dict[str, str]:
    made = examples(count)
    rows = dataset.split(made, WordVectors().embed([one.question for one in made]))
    return {row.question: row.split for row in rows}
