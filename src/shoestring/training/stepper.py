"""Steps of a training, one after the other: what the loop repeats, and what `speed` times."""

from torch import Tensor

from shoestring.data.feed import Feed
from shoestring.data.images import Images
from shoestring.engine import Machine
from shoestring.optim import set_learning_rate
from shoestring.recipes.recipe import Recipe
from shoestring.rng import generator
from shoestring.tasks.phase import Batch
from shoestring.training.state import State
from shoestring.training.update import Lap, make_update, unwatched


class Stepper:
    """Takes optimisation steps. Waits for a device nowhere, so that a GPU works while the next batch is queued.

    Attributes:
        rate: Learning rate of the last step.
    """

    def __init__(self, recipe: Recipe, state: State, machine: Machine, images: Images, lap: Lap = unwatched) -> None:
        """Moves the images to the device.

        Args:
            recipe: What to learn and how.
            state: Where to go on from; changed in place.
            machine: How the arithmetic is done.
            images: The training split.
            lap: Told of each part of a step when it is over: "data", "forward", "backward", "update", "average".
        """
        self.recipe = recipe
        self.state = state
        self.machine = machine
        self.lap = lap
        self.rate = 0.0
        self.feed = Feed(
            images,
            recipe.normalisation,
            recipe.augment,
            recipe.batch_size,
            recipe.seed,
            machine.device,
            recipe.budget.steps,
        )
        self.update = make_update(recipe, state, machine, lap)

    def __call__(self) -> dict[str, Tensor]:
        """Takes the next step; gives its facts by name, 0-dimensional, on the device.

        Raises:
            OverBudgetError: All steps of the budget are spent.
        """
        recipe, state = self.recipe, self.state
        taken = recipe.budget.take_step(state.step)
        self.rate = recipe.optimiser.learning_rate * recipe.schedule.factor(state.step, recipe.budget.steps)
        for optimiser in state.optimisers.values():
            set_learning_rate(optimiser, self.rate)
        batch = self.batch()
        self.lap("data")
        facts = self.update(batch)
        state.step = taken
        state.average()
        self.lap("average")
        return facts

    def batch(self) -> Batch:
        """The batch of the next step, with everything that the task draws at random."""
        recipe, step = self.recipe, self.state.step
        noise = generator(recipe.seed, "noise", step, device=self.machine.device)
        return recipe.task.draw(self.feed(step), recipe.latent_shape, step, noise)
