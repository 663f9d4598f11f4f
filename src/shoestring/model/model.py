"""A trained model of either kind."""

from torch import nn

from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.model.classifier import Classifier
from shoestring.model.generator import Generator
from shoestring.recipes.recipe import Recipe

Model = Classifier | Generator
"""What `load` gives, by what the recipe's task is."""


def model_of(recipe: Recipe, nets: nn.ModuleDict, machine: Machine) -> Model:
    """The model of trained nets.

    Args:
        recipe: What the nets were trained as.
        nets: By name, on the machine's device, in evaluation mode.
        machine: How the arithmetic is done.
    """
    return (Generator if recipe.makes_images else Classifier)(recipe, nets, machine)


def require_classifier(model: Model) -> Classifier:
    """The model, if it is a classifier.

    Raises:
        RecipeError: It is a generator.
    """
    if isinstance(model, Generator):
        raise RecipeError(f"{model.recipe.name} makes images; it cannot classify them. Use a classifier's recipe")
    return model


def require_generator(model: Model) -> Generator:
    """The model, if it is a generator.

    Raises:
        RecipeError: It is a classifier.
    """
    if isinstance(model, Classifier):
        raise RecipeError(f"{model.recipe.name} classifies images; it cannot make them. Use a generator's recipe")
    return model
