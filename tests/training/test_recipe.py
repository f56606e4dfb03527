"""Recipes: what shapes an adapter is frozen and named."""

import pytest
from pydantic import ValidationError

from training.recipe import Recipe, UnknownRecipe, named


def test_both_recipes_have_a_name() -> None:
    """`MYNAH_RECIPE` chooses between exactly the recipes that there are."""
    assert named("sft") == Recipe(name="sft")
    assert named("sft+dpo", seed=3) == Recipe(name="sft+dpo", seed=3)


def test_an_unknown_name_is_refused() -> None:
    """A misspelt recipe is one clear line, not a default."""
    with pytest.raises(UnknownRecipe, match="sft, sft\\+dpo"):
        named("sfft")


def test_a_recipe_comes_back_from_its_json() -> None:
    """What a run stores of its recipe is enough to train again the same way."""
    recipe = Recipe(seed=7, lr=3e-4)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": -1.0}, {"vary": 1.5}, {"raank": 8}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    """Values that cannot train, and names that do not exist, are refused."""
    with pytest.raises(ValidationError):
        Recipe.model_validate(wrong)
