"""Steps of a training, one after the other: what the loop repeats, and what `speed` times."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import chain

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.processes import ALONE, Processes
from shoestring.core.rng import generator, seeded
from shoestring.data.dataset import Images
from shoestring.data.loader import BatchLoader
from shoestring.model.train_state import State
from shoestring.optim.configs import set_learning_rate, set_options
from shoestring.recipes.recipe import Annealed, Recipe, has_outside
from shoestring.tasks.contract import Batch
from shoestring.training.whole_batch import whole_batch

OptimiserStep = Callable[[Batch], dict[str, Tensor]]
"""Takes one step on a batch; gives 0-dimensional metrics to log by name. Learning rates are set beforehand."""

ProfilerHook = Callable[[str], None]
"""Reports a part of a step, by name, when it is over."""

WARM_UP = 3  # eager steps before a capture, so that libraries have allocated what they need


def no_hook(_: str) -> None:
    """No-op timing hook."""


def make_optimiser_step(
    recipe: Recipe,
    state: State,
    machine: Machine,
    annealed: Callable[[int], Annealed],
    hook: ProfilerHook = no_hook,
    processes: Processes = ALONE,
) -> OptimiserStep:
    """The optimiser step that suits the machine.

    Args:
        recipe: What to learn and how.
        state: Changed in place.
        machine: How the arithmetic is done.
        annealed: The task with the numbers of a step.
        hook: Hears of each forward, backward and step; not in a graph.
        processes: Each takes its share of a batch, and gradients and metrics are those of the whole batch.
    """

    def take_optimiser_step(batch: Batch) -> dict[str, Tensor]:
        metrics: dict[str, Tensor] = {}
        batch, task = dict(batch), annealed(state.step).task
        parts = task.parts(recipe.batch_size) if processes.count > 1 else ()
        for phase in task.phases:
            with machine.autocast(), whole_batch(processes, parts):
                loss, more = task.loss(phase, state.nets, batch)
            hook("forward")
            optimiser = state.optimisers[phase]
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            found = {f"{phase}/loss": loss.detach()} | more
            processes.average(chain(_gradients(state.nets[phase]), found.values()))
            hook("backward")
            with machine.autocast():  # Muon's matrix products, as Jordan et al. 2024 take them
                optimiser.step()  # pyright: ignore[reportUnknownMemberType]
            hook("optimiser")
            metrics |= found
        return metrics

    if machine.compile:
        for net in state.nets.values():
            net.compile(dynamic=False)  # a phase may call a net with two sizes of batch; both are always the same
    # What users wrote may ask the device within a step, and their optimisers read the learning rate on the CPU.
    fits_a_graph = not has_outside(recipe) and recipe.annealed_before_the_loss
    return GraphedStep(take_optimiser_step) if machine.graphs and fits_a_graph else take_optimiser_step


def _gradients(net: nn.Module) -> Iterator[Tensor]:
    """A net's gradients; zeros where a parameter has none, since another process may have one."""
    for parameter in net.parameters():
        if parameter.requires_grad:
            yield torch.zeros_like(parameter) if parameter.grad is None else parameter.grad


class GraphedStep:
    """Runs the first steps eagerly, then captures the update once and replays it.

    Nets this small keep a GPU waiting for kernel launches; a replay launches all kernels of a step at once. Every
    step that runs is a step of the training: warming up takes real steps, and capturing itself computes nothing.
    """

    def __init__(self, take_optimiser_step: OptimiserStep) -> None:
        self.take_optimiser_step = take_optimiser_step
        self.taken = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream()
        self.inputs: Batch = {}
        self.metrics: dict[str, Tensor] = {}

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Takes one step."""
        if self.taken < WARM_UP:
            self.taken += 1
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                metrics = self.take_optimiser_step(batch)
            torch.cuda.current_stream().wait_stream(self.stream)
            return metrics
        if self.graph is None or batch.keys() != self.inputs.keys():  # what is annealed to 0 is drawn no more
            self.inputs = {name: tensor.clone() for name, tensor in batch.items()}
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph):
                self.metrics = self.take_optimiser_step(self.inputs)
        for name, tensor in batch.items():
            self.inputs[name].copy_(tensor)
        self.graph.replay()
        return {name: tensor.clone() for name, tensor in self.metrics.items()}


class TrainStep:
    """Takes optimisation steps. Waits for a device nowhere, so that a GPU works while the next batch is queued.

    Attributes:
        rate: Learning rate of the last step.
    """

    def __init__(
        self,
        recipe: Recipe,
        state: State,
        machine: Machine,
        images: Images,
        hook: ProfilerHook = no_hook,
        processes: Processes = ALONE,
    ) -> None:
        """Moves the images to the device.

        Args:
            recipe: What to learn and how.
            state: Where to go on from; changed in place.
            machine: How the arithmetic is done.
            images: The training split.
            hook: Reports each part of a step when it is over: "data", "forward", "backward", "optimiser", "ema".
            processes: Those that share the images of each step.
        """
        self.recipe = recipe
        self.state = state
        self.machine = machine
        self.hook = hook
        self.processes = processes
        self.rate = 0.0
        self.annealed = lru_cache(maxsize=1)(recipe.annealed)
        self.load_batch = BatchLoader(
            images,
            recipe.normalisation,
            lambda step: self.annealed(step).augment,
            recipe.batch_size,
            recipe.seed,
            machine.device,
        )
        of_split = recipe.task.of_split(images.labels, len(recipe.data.classes))
        self.of_split = {name: tensor.to(machine.device) for name, tensor in of_split.items()}
        self.take_optimiser_step = make_optimiser_step(recipe, state, machine, self.annealed, hook, processes)

    def __call__(self) -> dict[str, Tensor]:
        """Takes the next step; gives its metrics by name, 0-dimensional, on the device.

        Raises:
            OverBudgetError: All steps of the budget are spent.
        """
        recipe, state = self.recipe, self.state
        taken = recipe.budget.take_step(state.step)
        self.rate = recipe.optimiser.learning_rate * recipe.schedule.factor(state.step, recipe.budget.steps)
        for phase, optimiser in state.optimisers.items():
            if recipe.anneals("optimiser"):
                set_options(optimiser, self.annealed(state.step).optimiser.build(state.nets[phase]))
            set_learning_rate(optimiser, self.rate)
        batch = self.batch()
        self.hook("data")
        with self.randomness():
            metrics = self.take_optimiser_step(batch)
        state.step = taken
        state.update_ema()
        self.hook("ema")
        return metrics

    def randomness(self) -> AbstractContextManager[None]:
        """Inside, what parts from outside the package draw without a generator depends on seed and step alone."""
        if not has_outside(self.recipe):
            return nullcontext()
        return seeded(self.recipe.seed, "net", self.state.step, device=self.machine.device)

    def batch(self) -> Batch:
        """The batch of the next step, with everything that the task draws at random; of that, this process's share.

        All is drawn for the whole batch, which takes a hundredth of a step: so it is as if one process had it.
        """
        recipe, step = self.recipe, self.state.step
        noise = generator(recipe.seed, "noise", step, device=self.machine.device)
        whole = self.annealed(step).task.draw(self.load_batch(step) | self.of_split, recipe.latent_shape, step, noise)
        return {name: each if name in self.of_split else self.processes.share(each) for name, each in whole.items()}
