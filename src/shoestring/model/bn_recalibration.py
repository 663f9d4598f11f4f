"""Selects EMA weights; re-estimates BatchNorm statistics."""

import copy

import torch
from torch import nn

from shoestring.core.device import Machine
from shoestring.core.rng import generator, seeded
from shoestring.model.generator import Generator
from shoestring.model.model import Model, model_of
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe

COUNT, BATCH = 4096, 128  # images to take the statistics of; a mean over so many errs by 1.6 % of a std


def ema_or_raw_model(recipe: Recipe, state: State, machine: Machine, ema_decay: float | None = None) -> Model:
    """The model of a training's state: its EMA weights of a decay, by default of the first, or raw ones if none."""
    nets = state.ema_or_raw_nets() if ema_decay is None else state.ema[ema_decay]
    model = model_of(recipe, nets.eval(), machine)
    return recalibrate_batchnorm(model) if state.ema and isinstance(model, Generator) else model


@torch.no_grad()
def recalibrate_batchnorm(model: Generator) -> Generator:
    """The generator with a copy of its nets whose BatchNorm statistics are those of its own activations.

    Running statistics are gathered while weights move. Averaging these weights cancels much of what moved them, so
    activations are smaller than the statistics say, and images turn grey. A generator without batch norm is given back
    as it is. ("Standing statistics", Brock et al. 2019, arXiv 1809.11096.)

    Args:
        model: In evaluation mode; its nets are not changed.
    """
    recipe, machine, net = model.recipe, model.machine, model.recipe.task.generator_net
    if net is None or not any(_norms(model.nets[net])):
        return model
    nets = copy.deepcopy(model.nets)
    for norm in _norms(nets[net]):
        norm.reset_running_stats()
        norm.momentum = None  # an even mean over batches
    draws = generator(recipe.seed, "standing statistics")
    latents = torch.randn(COUNT, *recipe.latent_shape, generator=draws)
    nets.train()
    sampler = model.sampler_of(nets)
    for i, (some, labels) in enumerate(
        zip(torch.split(latents, BATCH), torch.split(model.labels(COUNT), BATCH), strict=True)
    ):
        # Nets of users may draw random numbers of their own.
        with seeded(recipe.seed, "standing statistics", i, device=machine.device):
            sampler.generate(some.to(machine.device), labels.to(machine.device))
    return Generator(recipe, nets.eval(), machine)


def _norms(net: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
