"""From a recipe to its nets, admitted by the budget."""

from dataclasses import dataclass

import torch
from torch import nn

from shoestring.core.budget import DeviceLimits, Layer
from shoestring.core.errors import RecipeError
from shoestring.core.rng import derive
from shoestring.integers.limits import limits_of
from shoestring.model.soundness import require_sound
from shoestring.nets import summary
from shoestring.recipes.recipe import Recipe, has_outside


@dataclass(frozen=True)
class Built:
    """The nets of a recipe and what they cost.

    Attributes:
        nets: Freshly initialised nets by name, on the CPU.
        layers: Their layer table.
        device: What a classifier takes of a device, where the budget limits that.
        parameters: What counts of all nets together; within the budget.
    """

    nets: nn.ModuleDict
    layers: list[Layer]
    parameters: int
    device: DeviceLimits | None = None


def build(recipe: Recipe) -> Built:
    """The nets of a recipe, initialised from its seed, when the budget admits them.

    Raises:
        OverBudgetError: The nets have more parameters than the budget, and the message holds the layer table; or they
            take more of a device.
        ShoestringError: The budget limits what they take of a device, and integers cannot hold them.
        RecipeError: A net cannot learn from one image a step, as the recipe asks; or a part from outside the package is
            not sound.
    """
    nets = initialise(recipe)
    if has_outside(recipe):
        require_sound(recipe, nets, initialise(recipe, "initialise again"))
    if recipe.batch_size == 1 and any(isinstance(module, nn.BatchNorm1d) for module in nets.modules()):
        raise RecipeError(
            f"net {recipe.net.kind!r} normalises features over the images of a step, so batch_size 1 tells it nothing; "
            "take 2 or more"
        )
    layers = summary.layer_table(nets, recipe.net.examples(recipe.data.shape))
    parameters = recipe.budget.admit(layers)
    if not recipe.budget.limits_device:
        return Built(nets, layers, parameters)
    return Built(nets, layers, parameters, recipe.budget.admit_on_device(device_cost(recipe, nets)))


def device_cost(recipe: Recipe, nets: nn.ModuleDict) -> DeviceLimits:
    """What the nets of a recipe take of a device.

    Raises:
        RecipeError: They make images.
        ShoestringError: Integers cannot hold them.
    """
    if recipe.makes_images:
        raise RecipeError(
            f"{recipe.name} makes images: multiply_adds, weight_bytes and activation_bytes limit classifiers only"
        )
    shape, classes = recipe.data.shape, len(recipe.data.classes)
    return limits_of(nets["classifier"], shape, recipe.normalisation, classes, recipe.name)


def initialise(recipe: Recipe, purpose: str = "initialise") -> nn.ModuleDict:
    """The nets of a recipe, initialised from its seed. Leaves torch's global random state as it was.

    Args:
        recipe: What to build.
        purpose: Another one gives other random numbers.

    Raises:
        RecipeError: Nets of this size do not fit into memory, or into numbers.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.seed, purpose))
        try:
            return recipe.net.build(recipe.data.shape, len(recipe.data.classes))
        except (RuntimeError, TypeError, OverflowError, MemoryError) as error:
            if has_outside(recipe):
                raise
            said = str(error).partition("\n")[0][:200] or type(error).__name__
            raise RecipeError(f"net {recipe.net.kind!r} cannot be made as large as this: {said}") from error


def count(recipe: Recipe) -> int:
    """What counts of all nets of a recipe together; no layer table is made, which takes seconds."""
    return summary.count(initialise(recipe))
