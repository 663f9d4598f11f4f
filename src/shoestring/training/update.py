"""One optimisation step: every phase of the task once. Eager, or replayed as one CUDA graph."""

from collections.abc import Callable

import torch
from torch import Tensor

from shoestring.engine import Machine
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.phase import Batch
from shoestring.training.state import State

Update = Callable[[Batch], dict[str, Tensor]]
"""Takes one step on a batch; gives 0-dimensional facts to log by name. Learning rates are set beforehand."""

Lap = Callable[[str], None]
"""Told of a part of a step, by name, when it is over."""

WARM_UP = 3  # eager steps before a capture, so that libraries have allocated what they need


def unwatched(_: str) -> None:
    """The lap that nobody times."""


def make_update(recipe: Recipe, state: State, machine: Machine, lap: Lap = unwatched) -> Update:
    """The update that suits the machine; a lap hears of each phase's forward, backward and update (not in a graph)."""

    def update(batch: Batch) -> dict[str, Tensor]:
        facts: dict[str, Tensor] = {}
        batch = dict(batch)
        for phase in recipe.task.phases:
            with machine.autocast():
                loss, more = recipe.task.loss(phase, state.nets, batch)
            lap("forward")
            optimiser = state.optimisers[phase]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            lap("backward")
            with machine.autocast():  # Muon's matrix products, as Jordan et al. 2024 take them
                optimiser.step()  # pyright: ignore[reportUnknownMemberType]
            lap("update")
            facts |= {f"{phase}/loss": loss.detach()} | more
        return facts

    if machine.compile:
        for net in state.nets.values():
            net.compile(dynamic=False)  # a phase may call a net with two sizes of batch; both are always the same
    return GraphedUpdate(update) if machine.graphs else update


class GraphedUpdate:
    """Runs the first steps eagerly, then captures the update once and replays it.

    Nets this small keep a GPU waiting for kernel launches; a replay launches all kernels of a step at once. Every
    step that runs is a step of the training: warming up takes real steps, and capturing itself computes nothing.
    """

    def __init__(self, update: Update) -> None:
        self.update = update
        self.taken = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()
        self.inputs: Batch = {}
        self.facts: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Takes one step."""
        if self.taken < WARM_UP:
            self.taken += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                facts = self.update(batch)
            torch.cuda.current_stream().wait_stream(self.stream)
            return facts
        if self.graph is None:
            self.inputs = {name: tensor.clone() for name, tensor in batch.items()}
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.facts = self.update(self.inputs)
        for name, tensor in batch.items():
            self.inputs[name].copy_(tensor)
        self.graph.replay()
        return {name: tensor.clone() for name, tensor in self.facts.items()}
