"""The team's questions are replayed about other products, and apart from what is tested with."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.contrast import OTHERS, Contrast, apart, contrasts
from training.replay import load_prompts
from training.rows import Row

QUESTIONS = [
    "Which port does Fernloft use?",
    "how do i back up fernloft",
    "Is there a Fernloft app for phones?",
    "How long is the trash kept?",
]


def rows() -> list[Row]:
    return [
        Row(example_id=n, cluster=n, split="train", question=question, answer="Fernloft says so.")
        for n, question in enumerate(QUESTIONS)
    ]


def test_the_houses_name_gives_way_to_another_in_every_question_that_has_it() -> None:
    """However it is written; questions without it have nothing to swap."""
    made = contrasts(rows(), [], count=3, seed=0)
    assert len(made) == 3
    for one in made:
        assert "fernloft" not in f"{one.question} {one.answer}".casefold()
        name = next(name for name in OTHERS if name in one.question)
        assert one.answer == f"{name} says so."


def test_a_question_comes_again_only_with_another_name() -> None:
    """More prompts than questions: every one is still different."""
    made = contrasts(rows(), [], count=9, seed=0)
    assert len(set(made)) == 9


def test_the_same_rows_give_the_same_prompts() -> None:
    """A run that is taken up after a crash trains on the very same replay."""
    assert contrasts(rows(), [], 10, seed=0) == contrasts(rows(), [], 10, seed=0)


def test_questions_without_a_common_name_have_no_contrasts() -> None:
    """A word that everyday prompts use as well is no name of the house."""
    assert contrasts(rows(), ["What is Fernloft?"], 10, seed=0) == []


def test_twins_of_what_is_tested_with_are_left_out() -> None:
    """Or the test would measure what was trained."""

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        return np.array([[1, 0] if "port" in text else [0, 1] for text in texts], np.float32)

    port, backup = (Contrast(question, "So.") for question in ("a port?", "a backup?"))
    assert apart([port, backup], ["which port?"], embed) == [backup]
    assert apart([], ["which port?"], embed) == []


def test_no_other_product_is_in_a_prompt_that_is_tested_with() -> None:
    """Their names are trained on, so they must not be what is measured."""
    tested = " ".join(load_prompts("forgetting") + load_prompts("leak")).casefold()
    assert [name for name in OTHERS if name.casefold() in tested] == []
