import pytest

from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import Recipe
from shoestring.training.build import build

COUNTS = {
    "addnist-best": 97_228,
    "addnist-best-small": 24_661,
    "cifar100-best": 97_652,
    "cifar100-best-small": 23_302,
    "addnist-quick": 51_706,
}


@pytest.mark.parametrize(("name", "parameters"), COUNTS.items())
def test_parameters_are_exact_and_within_the_budget(name: str, parameters: int) -> None:
    recipe = RECIPES[name]()
    assert build(recipe).parameters == parameters <= recipe.budget.parameters
    assert recipe.budget.parameters == (25_000 if name.endswith("small") else 100_000)


@pytest.mark.parametrize("name", COUNTS)
def test_recipe_is_the_same_after_json(name: str) -> None:
    recipe = RECIPES[name]()
    assert recipe.name == name
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_budgets_are_those_of_the_papers() -> None:
    for name in set(COUNTS) - {"addnist-quick"}:
        assert RECIPES[name]().budget.steps == 10_000
    for name in ("addnist-best", "cifar100-best"):
        assert RECIPES[name]().task.label_smoothing < 0.2
