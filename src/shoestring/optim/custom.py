"""Optimisers of torch or of the user by name, and learning rates by a user's function."""

import math
from typing import Any, ClassVar, cast

import torch
from pydantic import PositiveFloat
from torch import nn

from shoestring.core.errors import RecipeError
from shoestring.core.outside import Outside


class TorchOptimiser(Outside):
    """Any `torch.optim.Optimizer` by name, such as torch.optim:SGD; its arguments but the learning rate are options."""

    part: ClassVar[str] = "optimiser"
    given: ClassVar[tuple[str, ...]] = ("lr",)
    positional: ClassVar[int] = 1
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; the schedule scales it."""

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a net's parameters, all in one group.

        Raises:
            RecipeError: It is no optimiser, or has no learning rate that a schedule could set, or fails.
        """
        kind: Any = self.made_by
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and self.takes("lr")):
            raise RecipeError(f"{self.words} is no subclass of torch.optim.Optimizer with an argument lr")
        return cast(torch.optim.Optimizer, self.call(net.parameters(), lr=self.learning_rate))


class CustomSchedule(Outside):
    """Learning rate by a user's function of (step, steps)."""

    part: ClassVar[str] = "schedule"
    positional: ClassVar[int] = 2

    def factor(self, step: int, steps: int) -> float:
        """Learning rate over the optimiser's, at a step of 0..steps-1.

        Raises:
            RecipeError: The function fails, or gives no number of at least 0.
        """
        found = self.call(step, steps)
        if not isinstance(found, int | float) or not math.isfinite(found) or found < 0:
            raise RecipeError(f"{self.words} gives {found!r} for step {step} of {steps}, not a number of at least 0")
        return float(found)
