"""The hard limits: each is enforced in exactly one place, before any work is spent."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from pydantic import PositiveInt

from shoestring.core.config import Spec
from shoestring.core.errors import OverBudgetError


@dataclass(frozen=True)
class Layer:
    """One row of a layer table.

    Attributes:
        name: Dotted module name, starting with the net's name.
        type: What it is, such as "Conv2d 3x3 s2".
        output: Shape of the output for one image, without the batch dimension.
        parameters: What counts of this layer alone: its parameters, and its saved buffers but batch norm's own.
        multiply_adds: Multiply-accumulate operations for one image.
    """

    name: str
    type: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class DeviceLimits:
    """What a classifier in 8-bit integers takes of a device to answer for one image.

    Attributes:
        weight_bytes: Of int8 weights, as they are stored: mirrored kernels once.
        activation_bytes: The most that activations and patches of them take at any time, without the image.
        multiply_adds: Products that are summed.
    """

    weight_bytes: int
    activation_bytes: int
    multiply_adds: int


class Budget(Spec):
    """What a model may cost: parameters of all its nets together, steps, net calls per image; and of a device."""

    parameters: PositiveInt
    """Parameters of all nets of the recipe together, each once: the sum of p.numel(). Buffers that are saved count too,
    but for batch norm's own."""
    steps: PositiveInt
    """Optimisation steps of the training; for a GAN one step is one update of each net."""
    nfe: PositiveInt | None = None
    """Net calls per generated image (number of function evaluations); unlimited when not given."""
    multiply_adds: PositiveInt | None = None
    """Of a classifier in 8-bit integers, for one image; unlimited when not given."""
    weight_bytes: PositiveInt | None = None
    """Of a classifier's int8 weights on a device; unlimited when not given."""
    activation_bytes: PositiveInt | None = None
    """The most that a classifier's int8 activations take at any time on a device, without the image; unlimited when not
    given."""

    @property
    def limits_device(self) -> bool:
        """Whether any of the limits is that of a device."""
        return any(getattr(self, field.name) is not None for field in fields(DeviceLimits))

    def admit_on_device(self, cost: DeviceLimits) -> DeviceLimits:
        """What a classifier takes of a device, when it is within the budget.

        Args:
            cost: What it takes.

        Raises:
            OverBudgetError: It is more than a limit; says of each by how much.
        """
        over = [
            f"{found:,} {field.name.replace('_', ' ')}, {found - limit:,} over the budget of {limit:,}"
            for field in fields(cost)
            if (limit := getattr(self, field.name)) is not None and (found := getattr(cost, field.name)) > limit
        ]
        if over:
            raise OverBudgetError(
                f"in 8-bit integers the net takes {'; '.join(over)}. Make it narrower, or its stem's stride larger"
            )
        return cost

    def admit(self, layers: Sequence[Layer]) -> int:
        """The parameters of a net that is within the budget.

        Args:
            layers: The net's layer table.

        Returns:
            The sum of the layers' parameters.

        Raises:
            OverBudgetError: The sum is over the limit; the message holds the table and says by how much.
        """
        total = sum(layer.parameters for layer in layers)
        if total > self.parameters:
            rows = "\n".join(f"  {layer.name:<40} {layer.type:<22} {layer.parameters:>9,}" for layer in layers)
            raise OverBudgetError(
                f"the net has {total:,} parameters, {total - self.parameters:,} over the budget of "
                f"{self.parameters:,}:\n{rows}\nMake it smaller, or change the budget itself with "
                f"--budget.parameters {total}."
            )
        return total

    def admit_nfe(self, count: int, *, fixed: bool = False) -> int:
        """The net calls of one image, when they are within the budget.

        Args:
            count: The net calls.
            fixed: Whether the budget is that of a training of before, which nothing can change any more.

        Raises:
            OverBudgetError: They are more than the limit.
        """
        if self.nfe is not None and count > self.nfe:
            change = "" if fixed else f", or change the budget with --budget.nfe {count}"
            raise OverBudgetError(
                f"a sample takes {count:,} net calls, {count - self.nfe:,} over the budget of "
                f"{self.nfe:,}. Take fewer steps, or less guidance{change}."
            )
        return count

    def take_step(self, step: int) -> int:
        """The number of the next step, when it may still be taken.

        Args:
            step: Steps taken so far.

        Returns:
            `step + 1`.

        Raises:
            OverBudgetError: All steps of the budget are spent.
        """
        if step >= self.steps:
            raise OverBudgetError(f"all {self.steps:,} steps of the budget are spent; no step can be taken past them")
        return step + 1
