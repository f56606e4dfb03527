"""Recipes: what shapes an adapter is frozen and named."""

import pytest
from pydantic import ValidationError

from training.recipe import Recipe, UnknownRecipe, named


def test_each_recipe_has_a_name() -> None:
    """`MYNAH_RECIPE` names one, several or all; they train in one order, each once."""
    assert named("sft") == [Recipe(name="sft")]
    assert named("sdft", seed=3) == [Recipe(name="sdft", seed=3)]
    assert named("sdft, sft,sdft") == [Recipe(name="sft"), Recipe(name="sdft")]
    assert [recipe.name for recipe in named("auto")] == ["sft", "sft+dpo", "sft+kto", "sdft"]


def test_what_goes_on_from_the_sft_has_to_beat_it() -> None:
    """The SFT is trained anyway, so it competes."""
    assert named("sft+dpo") == [Recipe(name="sft"), Recipe(name="sft+dpo")]


@pytest.mark.parametrize("names", ["sfft", "", "sft,", "auto,sft"])
def test_an_unknown_name_is_refused(names: str) -> None:
    """A misspelt recipe is one clear line, not a default."""
    with pytest.raises(UnknownRecipe, match="sft, sft\\+dpo"):
        named(names)


def test_a_recipe_comes_back_from_its_json() -> None:
    """What a run stores of its recipe is enough to train again the same way."""
    recipe = Recipe(seed=7, lr=3e-4)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": -1.0}, {"vary": 1.5}, {"raank": 8}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    """Values that cannot train, and names that do not exist, are refused."""
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)
