"""What a program of tensors is written with: values, steps and constants, one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, fx

from shoestring.core.errors import ExportError
from shoestring.exporting.float_program import Constant, Step

SMALLEST = 64
"""Numbers of a weight that is worth rounding; smaller ones stay float32."""


@dataclass(frozen=True)
class Value:
    """A tensor that depends on the inputs."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Weight:
    """A layer's weight, whose outputs are along an axis."""

    tensor: Tensor
    axis: int


class ProgramWriter:
    """Gathers steps and constants.

    Args:
        what: Name of the net, for messages.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.steps: list[Step] = []
        self.constants: dict[str, Constant] = {}
        self._named: dict[int, tuple[str, Tensor]] = {}

    def step(self, operator: str, operands: Sequence[Any], shape: tuple[int, ...], options: dict[str, Any]) -> Value:
        """Adds a step; tensors and numbers among its operands become constants."""
        output = f"v{len(self.steps)}"
        inputs = tuple(each.name if isinstance(each, Value) else self._constant(each) for each in operands)
        self.steps.append(Step(operator, output, inputs, shape, options))
        return Value(output, shape)

    def weights(self, tensors: Sequence[Tensor | None], axis: int) -> list[Any]:
        """Weight and bias of a layer as operands: the weight rounded, the bias left out where there is none."""
        weight, *bias = tensors
        assert isinstance(weight, Tensor)
        return [Weight(weight, axis), *(each for each in bias if each is not None)]

    def sliced(self, x: Value, axis: int, start: int | None = 0, stop: int | None = None, step: int = 1) -> Value:
        """Some places along an axis; the value itself where they are all."""
        axis %= len(x.shape)
        start, stop, step = slice(start, stop, step).indices(x.shape[axis])
        count = len(range(start, stop, step))
        if count == x.shape[axis]:
            return x
        shape = *x.shape[:axis], count, *x.shape[axis + 1 :]
        return self.step("slice", (x,), shape, {"axis": axis, "start": start, "stop": stop, "step": step})

    def mirrored(self, x: Value, axes: Sequence[int]) -> Value:
        """The value in the opposite order along axes: their places one by one, for they are few."""
        for axis in axes:
            places = [self.sliced(x, axis, place, place + 1) for place in reversed(range(x.shape[axis]))]
            x = self.step("concatenate", places, x.shape, {"axis": axis})
        return x

    def refuse(self, node: fx.Node, reason: str = "") -> NoReturn:
        """Says that the page cannot do this."""
        reason = f" ({reason})" if reason else ""
        raise ExportError(
            f"{self.what}: the page has no operator for '{node.target}'{reason}. ONNX holds it: shoestring export "
            f"{self.what} --to onnx"
        )

    def _constant(self, number: Any) -> str:
        """The name of a constant; the same tensor has one."""
        weight = number if isinstance(number, Weight) else None
        tensor = torch.as_tensor(number if weight is None else weight.tensor)
        key = id(tensor)
        if key not in self._named:
            name = f"c{len(self.constants)}"
            self._named[key] = name, tensor  # the tensor too, so that its id stays its own
            values = tensor.detach().float()
            axis = weight.axis if weight is not None and values.numel() >= SMALLEST else None
            self.constants[name] = Constant(values, axis)
        return self._named[key][0]
