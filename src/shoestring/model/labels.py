"""Labels for a conditional generator, by the names of classes."""

import torch
from torch import Tensor

from shoestring.core.config import did_you_mean
from shoestring.core.errors import RecipeError
from shoestring.core.rng import generator
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.contract import NO_CLASS


def named_labels(recipe: Recipe, count: int, name: str) -> Tensor:
    """Labels of one name, int64 (count,).

    Args:
        recipe: What the generator was trained as.
        count: How many.
        name: A class; "" for no class, or, where nets were always given one, for a random class each. "none"
            says the same, unless a class is called so.

    Raises:
        RecipeError: There is no such class, or the nets know of none.
    """
    classes = recipe.data.classes
    if not recipe.task.conditional:
        raise RecipeError(f"{recipe.name} is not conditional, so it cannot make images of a class")
    if name in classes:
        return torch.full((count,), classes.index(name))
    if name not in ("", "none"):
        raise RecipeError(f"{did_you_mean('class', name, classes)} An empty name, '', asks for no class in particular.")
    if recipe.task.unconditional:
        return torch.full((count,), NO_CLASS)
    return torch.randint(len(classes), (count,), generator=generator(0, "classes by chance"))
