"""Weights of one run that another training starts from."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from shoestring.core.errors import RecipeError
from shoestring.data.download import checksum_of
from shoestring.model.load import load_nets, open_run, recipe_of
from shoestring.recipes.recipe import Recipe


@dataclass(frozen=True)
class Pretrained:
    """What was taken over.

    Attributes:
        source: The run, as the recipe names it.
        recipe: Name of that run's recipe.
        data: What it was trained on, such as "cifar100".
        sha256: Of its weights file.
        taken: Parameters that were taken over.
        fresh: Names of the tensors that start anew, since there are none of their names and shapes.
    """

    source: str
    recipe: str
    data: str
    sha256: str
    taken: int
    fresh: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return dict(vars(self)) | {"fresh": list(self.fresh)}


def start_from(recipe: Recipe, nets: nn.ModuleDict) -> Pretrained | None:
    """What nets were given of another run's weights: all tensors of equal names and shapes; None if nothing is asked.

    Args:
        recipe: What is to be trained.
        nets: Its nets, freshly initialised; those tensors are replaced.

    Raises:
        RunError: There is no such run or recipe whose weights are shipped, or it is not finished.
        RecipeError: It has no parameter of these nets.
    """
    if recipe.pretrained is None:
        return None
    run = open_run(recipe.pretrained)
    run.require_weights_kept()
    other = recipe_of(run)
    found = load_nets(run, other).state_dict()
    own = nets.state_dict()
    same = {name: tensor for name, tensor in found.items() if name in own and own[name].shape == tensor.shape}
    with torch.no_grad():
        for name, tensor in same.items():
            own[name].copy_(tensor)
    taken = sum(parameter.numel() for name, parameter in nets.named_parameters() if name in same)
    if not taken:
        raise RecipeError(
            f"no weight of {recipe.pretrained} has the name and shape of one of net {recipe.net.kind!r}; take that "
            f"run's net, {other.net.kind!r}, with its widths"
        )
    fresh = tuple(name for name in own if name not in same)
    return Pretrained(
        recipe.pretrained, other.name, other.data.kind, checksum_of(run.weights_file, "sha256"), taken, fresh
    )
