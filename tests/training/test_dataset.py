"""What may be trained and what is kept back: claims about every set of examples."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlmodel import SQLModel, select

from bot.store.database import open_engine, reading, transaction
from bot.store.schema import DatasetExample, Example, ExampleStatus, Team
from training import dataset, neighbours, wordings
from training.dataset import TooLittle
from training.neighbours import Vectors
from training.rows import Row, read
from training.wordings import TWIN

TEAM = "T0MYNAH"


def example(number: int, question: str, answer: str, **fields: Any) -> Example:
    values = {"approved_by": "U0STAFF", "content_hash": str(number), "team_id": TEAM} | fields
    return Example(id=number, question=question, answer=answer, **values)


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def desk(sizes: Sequence[int], seed: int) -> tuple[list[Example], Vectors]:
    """Facts asked in `sizes` wordings each; about every third wording is a near-copy of another."""
    draw = np.random.default_rng(seed)
    examples: list[Example] = []
    vectors: list[np.ndarray] = []
    for fact, size in enumerate(sizes):
        for wording in range(size):
            copied = bool(vectors) and draw.random() < 0.3
            source = vectors[int(draw.integers(len(vectors)))] if copied else draw.normal(size=16)
            vectors.append(source + draw.normal(size=16) * 0.05)
            question = (
                f"topic {'abcdefghij'[fact % 10]}{'x' * (fact // 10)} way {'klmnopqrst'[wording]}"
            )
            examples.append(example(len(examples) + 1, question, f"the answer is {fact}"))
    return examples, unit(np.array(vectors))


@st.composite
def desks(draw: st.DrawFn) -> tuple[list[Example], Vectors]:
    sizes = draw(st.lists(st.integers(1, 7), min_size=4, max_size=25))
    return desk(sizes, draw(st.integers(0, 10_000)))


def split_or_skip(
    examples: Sequence[Example], vectors: Vectors, threads: dict[int, str] | None = None
) -> list[Row]:
    try:
        return dataset.split(examples, vectors, threads=threads)
    except TooLittle:
        assume(False)
        raise


@settings(max_examples=150)
@given(desks())
def test_nothing_held_out_has_a_twin_that_is_trained(made: tuple[list[Example], Vectors]) -> None:
    """No held-out wording or question, and nothing nearly equal to one, is ever trained."""
    examples, vectors = made
    at = {one.id: index for index, one in enumerate(examples)}
    rows = split_or_skip(examples, vectors)
    trained = [row for row in rows if row.split == "train"]
    for held in rows:
        if held.split == "train":
            continue
        for row in trained:
            likeness = vectors[at[held.example_id]] @ vectors[at[row.example_id]]
            assert likeness < TWIN
            assert held.question != row.question


@settings(max_examples=100)
@given(desks())
def test_every_held_out_wording_is_about_a_fact_that_is_trained(
    made: tuple[list[Example], Vectors],
) -> None:
    """A cluster with a held-out wording keeps two different wordings to train; a held-out
    question's cluster keeps none."""
    examples, vectors = made
    rows = split_or_skip(examples, vectors)
    twin_of = dict(zip((one.id for one in examples), _twins(examples, vectors), strict=True))
    clusters: defaultdict[int, list[Row]] = defaultdict(list)
    for row in rows:
        clusters[row.cluster].append(row)
    for members in clusters.values():
        trained = {twin_of[row.example_id] for row in members if row.split == "train"}
        if any(row.split == "held_out_question" for row in members):
            assert {row.split for row in members} == {"held_out_question"}
        if any(row.split == "held_out_wording" for row in members):
            assert len(trained) >= dataset.KEPT_WORDINGS


@settings(max_examples=50)
@given(desks(), st.randoms(use_true_random=False))
def test_the_split_depends_on_the_texts_alone(
    made: tuple[list[Example], Vectors], shuffler: random.Random
) -> None:
    """Another order and other ids of the same examples give the same split."""
    examples, vectors = made
    order = list(range(len(examples)))
    shuffler.shuffle(order)
    moved = [
        example(1000 + number, examples[at].question, examples[at].answer)
        for number, at in enumerate(order)
    ]
    before = split_or_skip(examples, vectors)
    after = dataset.split(moved, vectors[order])
    assert [(r.question, r.split, r.cluster) for r in before] == [
        (r.question, r.split, r.cluster) for r in after
    ]


@settings(max_examples=100)
@given(desks(), st.integers(0, 10_000), st.integers(5, 80))
def test_no_thread_is_on_both_sides(
    made: tuple[list[Example], Vectors], seed: int, number: int
) -> None:
    """Whatever threads the examples came from, each is trained on or held out, and a fact with a
    held-out wording still keeps two to train."""
    examples, vectors = made
    draw = random.Random(seed)
    threads = {one.id or 0: f"C0HELP:{draw.randrange(number)}" for one in examples}
    rows = split_or_skip(examples, vectors, threads)
    sides: defaultdict[str, set[bool]] = defaultdict(set)
    for row in rows:
        sides[threads[row.example_id]].add(row.split == "train")
    assert {len(side) for side in sides.values()} == {1}
    for held in (row for row in rows if row.split == "held_out_wording"):
        trained = [row for row in rows if row.split == "train" and row.cluster == held.cluster]
        assert len({row.question for row in trained}) >= dataset.KEPT_WORDINGS


def test_a_thread_takes_its_other_fact_along() -> None:
    """A fact asked once would be held out whole; what else came up in its thread is trained, so it
    is, too."""
    examples, vectors = plain_desk([4] * 9 + [1])
    pair = (examples[0].id or 0, examples[-1].id or 0)
    alone = {row.example_id: row.split for row in dataset.split(examples, vectors)}
    threads = dict.fromkeys(pair, "C0HELP:1.0")
    together = {
        row.example_id: row.split for row in dataset.split(examples, vectors, threads=threads)
    }
    assert alone[pair[1]] == "held_out_question"
    assert (together[pair[0]] == "train") is (together[pair[1]] == "train")


def test_a_usual_desk_is_divided_as_promised() -> None:
    """48 facts in four wordings and ten asked once: a tenth of the rows is held out as wordings,
    and the whole questions come from those asked once."""
    examples, vectors = plain_desk([4] * 48 + [1] * 10)
    rows = dataset.split(examples, vectors)
    held = [row for row in rows if row.split == "held_out_wording"]
    whole = [row for row in rows if row.split == "held_out_question"]
    assert len(held) == 20
    assert len(whole) == 3
    assert {row.answer for row in whole} <= {f"the answer is {fact}" for fact in range(48, 58)}


def test_a_held_out_wording_stays_held_out_when_another_fact_comes() -> None:
    """One more fact moves at most one wording: what the live adapter was not trained on is not
    suddenly what the next one is measured on, and the other way round."""
    before = _held(*plain_desk([4] * 30))
    after = _held(*plain_desk([4] * 31))
    assert len(before & after) >= len(before) - 1


def test_a_twin_in_other_words_goes_with_its_wording() -> None:
    """Questions equal but for filler words are one wording, whatever the embedder says."""
    asked = ["Which port is the web page on?", "what is the web page port please"]
    vectors = unit(np.eye(2, dtype=np.float32))
    assert wordings.twins(asked, vectors) == [0, 0]


def test_questions_that_name_different_codes_are_no_twins() -> None:
    """A template question about another code is about another fact, however close it looks."""
    asked = ["What does error FL-331 mean?", "What does error FL-208 mean?"]
    vectors = unit(np.ones((2, 4), dtype=np.float32))
    assert wordings.twins(asked, vectors) == [0, 1]


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ([], "no approved examples"),
        ([4], "4 approved examples leave"),
        ([2, 2, 2], "at least 8 are needed"),
        ([2] * 12, "three different wordings"),
    ],
)
def test_too_little_is_refused_with_a_reason(sizes: list[int], reason: str) -> None:
    """Nothing is trained on too few examples, or when nothing could be measured."""
    with pytest.raises(TooLittle, match=reason):
        dataset.split(*plain_desk(sizes))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_engine(f"sqlite:///{tmp_path / 'mynah.db'}")
    SQLModel.metadata.create_all(made)
    yield made
    made.dispose()


def test_only_live_examples_of_the_whole_workspace_are_learned(engine: Engine) -> None:
    """Never revoked or disputed ones, nor a private channel's or another team's."""
    with transaction(engine) as session:
        session.add_all([Team(team_id=TEAM), Team(team_id="T0OTHER")])
        session.add(example(1, "q1?", "a1"))
        session.add(example(2, "q2?", "a2", status=ExampleStatus.REVOKED))
        session.add(example(3, "q3?", "a3", scope="C0PRIV"))
        session.add(example(5, "q5?", "a5", status=ExampleStatus.HELD))
        session.add(example(4, "q4?", "a4", team_id="T0OTHER"))
    with reading(engine) as session:
        assert [one.id for one in dataset.learnable(session, TEAM)] == [1]


def test_a_frozen_dataset_is_named_by_its_content(engine: Engine, tmp_path: Path) -> None:
    """The same rows give the same dataset and no second file; each example's split is recorded."""
    examples, vectors = plain_desk([4] * 6)
    rows = dataset.split(examples, vectors)
    with transaction(engine) as session:
        session.add_all(examples)
        first = dataset.freeze(session, TEAM, rows, tmp_path / "datasets")
    with transaction(engine) as session:
        second = dataset.freeze(session, TEAM, rows, tmp_path / "datasets")
    assert first.id == second.id
    assert [path.name for path in (tmp_path / "datasets").iterdir()] == [
        f"dataset-{first.content_hash[:12]}.jsonl"
    ]
    assert read(Path(first.path)) == rows
    with reading(engine) as session:
        recorded = session.exec(select(DatasetExample.example_id, DatasetExample.split)).all()
    assert sorted(recorded) == sorted((row.example_id, row.split) for row in rows)
    assert first.counts["train"] + first.counts["held_out_wording"] + first.counts[
        "held_out_question"
    ] == len(rows)


def test_stored_embeddings_are_used_when_one_embedder_made_them_all() -> None:
    """Only what another embedder made, or nobody, is embedded again."""
    stored = np.array([[0.6, 0.8]], dtype=np.float32)
    made = example(1, "q?", "a", embedder="tiny", embedding=stored.tobytes())

    def embed(texts: Sequence[str]) -> Vectors:
        return np.ones((len(texts), 2), dtype=np.float32)

    assert dataset.embeddings([made], "tiny", embed).tolist() == stored.tolist()
    assert dataset.embeddings([made], "other", embed).tolist() == [[1.0, 1.0]]


def plain_desk(sizes: Sequence[int]) -> tuple[list[Example], Vectors]:
    """Facts in `sizes` wordings each, no two of them alike."""
    examples = [
        example(100 * fact + wording + 1, _ask(fact, wording), f"the answer is {fact}")
        for fact, size in enumerate(sizes)
        for wording in range(size)
    ]
    return examples, unit(np.eye(max(1, len(examples)), dtype=np.float32))[: len(examples)]


def _ask(fact: int, wording: int) -> str:
    return f"topic{fact} way{wording}"


def _held(examples: Sequence[Example], vectors: Vectors) -> set[str]:
    rows = dataset.split(examples, vectors)
    return {row.question for row in rows if row.split == "held_out_wording"}


def _twins(examples: Sequence[Example], vectors: Vectors) -> list[int]:
    return wordings.twins([one.question for one in examples], vectors)


def test_what_is_only_wrong_is_a_split_of_its_own() -> None:
    """It holds no fact, so nothing is measured on it and the other rows stay as they were; where it
    asks as something held out does, it is left away."""
    examples, vectors = desk([4, 4, 4, 4], seed=1)
    rows = dataset.split(examples, vectors)
    held = next(at for at, one in enumerate(examples) if _split_of(rows, one) != "train")
    wrong = [
        example(100, "something else", "", rejected="No."),
        example(101, examples[held].question, "", rejected="Never."),
    ]
    apart = unit(np.ones((1, 16), np.float32))
    both = np.concatenate([vectors, apart, vectors[held : held + 1]])
    found = dataset.split([*examples, *wrong], both)
    assert found[:-1] == rows
    assert found[-1] == Row(
        example_id=100, cluster=1 + max(row.cluster for row in rows), split="rejected",
        question="something else", answer="", rejected="No.",
    )  # fmt: skip
    with pytest.raises(TooLittle, match="no approved examples"):
        dataset.split(wrong, both[-2:])


def test_what_is_approved_is_not_also_wrong() -> None:
    """An answer that is both approved and rejected as one to the same question is only taught."""
    examples, vectors = plain_desk([4, 4, 4, 4])
    rows = dataset.split(examples, vectors)
    at = next(at for at, one in enumerate(examples) if _split_of(rows, one) == "train")
    wrong = example(
        100, f"Please, {examples[at].question}?", "", rejected=examples[at].answer + "."
    )
    other = example(101, examples[at].question, "", rejected="Never.")
    again = np.concatenate([vectors, vectors[[at, at]]])
    found = dataset.split([*examples, wrong, other], again)
    assert [row.example_id for row in found if row.split == "rejected"] == [101]


def test_no_wrong_answer_to_what_is_held_out_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many examples there are: where twins are only searched in cells, too."""
    monkeypatch.setattr(neighbours, "EXACT", 0)
    monkeypatch.setattr(neighbours, "_most", lambda vectors, least: iter(()))  # it finds nothing
    examples, vectors = plain_desk([4, 4, 4, 4])
    rows = dataset.split(examples, vectors)
    held = next(at for at, one in enumerate(examples) if _split_of(rows, one) != "train")
    wrong = example(100, f"once more {examples[held].question}", "", rejected="Never.")
    near = vectors[[held]] + np.float32(0.05) * vectors[[held - 1]]
    found = dataset.split([*examples, wrong], np.concatenate([vectors, unit(near)]))
    assert found == rows


def _split_of(rows: Sequence[Row], one: Example) -> str:
    return next(row.split for row in rows if row.example_id == one.id)


def test_what_is_only_wrong_obeys_the_walls(engine: Engine) -> None:
    """It is learnable while it stands and belongs to everybody, as the others are."""
    with transaction(engine) as session:
        for number, (status, scope) in enumerate(
            [
                (ExampleStatus.REJECTED, None), (ExampleStatus.REJECTED, "C0PRIV"),
                (ExampleStatus.HELD, None), (ExampleStatus.REVOKED, None),
            ]
        ):  # fmt: skip
            one = example(number + 1, "q", "", rejected="No.", status=status, scope=scope)
            session.add(one)
    with reading(engine) as session:
        assert [one.id for one in dataset.learnable(session, TEAM)] == [1]
