"""The classes that a generator is told, as users name them."""

import torch
from torch import Tensor

from shoestring.core.config import unknown
from shoestring.core.errors import RecipeError
from shoestring.core.rng import generator
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.contract import NO_CLASS


def named_labels(recipe: Recipe, count: int, name: str) -> Tensor:
    """Labels of one name, int64 (count,).

    Args:
        recipe: What the generator was trained as.
        count: How many.
        name: A class; "" for no class, or, where nets were always told one, for a class by chance for each. "none"
            says the same, unless a class is called so.

    Raises:
        RecipeError: There is no such class, or the nets know of none.
    """
    classes = recipe.data.classes
    if not recipe.task.conditional:
        raise RecipeError(f"{recipe.name} was not told of classes, so it cannot make images of one")
    if name in classes:
        return torch.full((count,), classes.index(name))
    if name not in ("", "none"):
        raise RecipeError(f"{unknown('class', name, classes)} An empty name, '', asks for no class in particular.")
    if recipe.task.classless:
        return torch.full((count,), NO_CLASS)
    return torch.randint(len(classes), (count,), generator=generator(0, "classes by chance"))
