"""What of a training's state is evaluated, with the batch norms of averaged generators measured anew."""

import copy
from dataclasses import replace

import torch
from torch import nn

from shoestring.core.device import Machine
from shoestring.core.rng import generator, seeded
from shoestring.model.model import Model
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.classification import ClassifierTask

COUNT, BATCH = 4096, 128  # images to take the statistics of; a mean over so many errs by 1.6 % of a deviation


def answering(recipe: Recipe, state: State, machine: Machine, average: float | None = None) -> Model:
    """The model of the running mean of a decay; by default of the first one, or of the nets if there is none."""
    nets = state.answering() if average is None else state.averages[average]
    model = Model(recipe, nets.eval(), machine)
    return standing(model) if state.averages else model


@torch.no_grad()
def standing(model: Model) -> Model:
    """The model with a copy of its nets whose generator normalises by statistics of its own activations.

    Running statistics are gathered while weights move. The mean of these weights cancels much of what moved them, so
    its activations are smaller than the statistics say, and images turn grey. A generator without batch norm, and what
    classifies, is given back as it is. (Brock et al. 2019, "standing statistics".)

    Args:
        model: In evaluation mode; its nets are not changed.
    """
    recipe, task = model.recipe, model.recipe.task
    maker = task.maker
    if maker is None or isinstance(task, ClassifierTask) or not any(_norms(model.nets[maker])):
        return model
    nets = copy.deepcopy(model.nets)
    for norm in _norms(nets[maker]):
        norm.reset_running_stats()
        norm.momentum = None  # an even mean over batches
    draws = generator(recipe.seed, "standing statistics")
    latents = torch.randn(COUNT, *recipe.latent_shape, generator=draws)
    nets.train()
    for i, (some, labels) in enumerate(
        zip(torch.split(latents, BATCH), torch.split(model.labels(COUNT), BATCH), strict=True)
    ):
        # Nets of users may draw random numbers of their own.
        with seeded(recipe.seed, "standing statistics", i, device=model.machine.device), model.machine.autocast():
            task.generate(nets, some.to(model.machine.device), labels.to(model.machine.device))
    return replace(model, nets=nets.eval())


def _norms(net: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
