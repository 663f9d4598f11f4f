"""A classifier as a list of the few operators that integers can hold, in floating point.

Names and operators are those of `integer_graph`, whose activations have their channels last; here tensors are torch's,
(n, channels, height, width), and vectors have a height and a width of 1. `tracing` makes graphs of torch modules,
`fusing` leaves those operators that integers need.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from shoestring.integers.operands import OfOne, OfTwo

Pair = tuple[int, int]
Shape = tuple[int, int, int]
"""Height, width and channels."""


def pair(numbers: int | Sequence[int]) -> Pair:
    """Height and width, of torch's arguments that may be one number for both."""
    both = (numbers, numbers) if isinstance(numbers, int) else tuple(numbers) * (2 if len(numbers) == 1 else 1)
    return both[0], both[1]


@dataclass(frozen=True, eq=False)
class Pointwise:
    """A function of each number.

    Attributes:
        name: As torch has it, such as "silu".
        function: The function.
        saturates: Whether it is the identity between 0 and a maximum, if any, and constant beyond, as ReLU and ReLU6:
            then an output whose integers start at 0 saturates as the function does.
    """

    name: str
    function: Callable[[Tensor], Tensor]
    saturates: bool = False


@dataclass(frozen=True, eq=False)
class Convolution(OfOne):
    """Convolution; a linear layer has a kernel as large as its input. Then the residual, then the activation.

    Attributes:
        input: Name of what it reads.
        output: Name of what it gives.
        weight: float64 (outputs, channels / groups, height, width).
        bias: float64 (outputs,).
        stride: Down and across.
        padding: Above and below; left and right.
        dilation: Down and across.
        groups: Of the channels.
        padding_value: float64 (channels,), what lies outside of the input; None for 0.
        residual: Name of what is added.
        activation: What follows.
    """

    weight: Tensor
    bias: Tensor
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    padding_value: Tensor | None = None
    residual: str | None = None
    activation: Pointwise | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all that it reads."""
        return (self.input,) if self.residual is None else (self.input, self.residual)


@dataclass(frozen=True, eq=False)
class Affine(OfOne):
    """scale * input + shift, float64 (channels,) each: a batch norm in evaluation mode. `fusing` leaves none."""

    scale: Tensor
    shift: Tensor


@dataclass(frozen=True, eq=False)
class Activate(OfOne):
    """A function of each number of the input."""

    activation: Pointwise


@dataclass(frozen=True, eq=False)
class Mean(OfOne):
    """The mean of all pixels, then the activation."""

    activation: Pointwise | None = None


@dataclass(frozen=True, eq=False)
class MaxPool(OfOne):
    """The largest of each window."""

    kernel: Pair
    stride: Pair
    padding: Pair


@dataclass(frozen=True, eq=False)
class Add(OfTwo):
    """first + sign * second, then the activation; the second may be a vector that is added to every pixel."""

    sign: int = 1
    activation: Pointwise | None = None


@dataclass(frozen=True, eq=False)
class Multiply(OfTwo):
    """first * second, then the activation; the second may be a vector that scales every pixel."""

    activation: Pointwise | None = None


@dataclass(frozen=True, eq=False)
class Slice(OfOne):
    """The channels start..stop."""

    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Concatenate:
    """Channels behind channels."""

    inputs: tuple[str, ...]
    output: str


Node: TypeAlias = Convolution | Affine | Activate | Mean | MaxPool | Add | Multiply | Slice | Concatenate
Computing = TypeVar("Computing", Convolution, Mean, Add, Multiply)


@dataclass(frozen=True)
class Graph:
    """A net that maps an image to logits.

    Attributes:
        shapes: Height, width and channels by name; the image is the first.
        nodes: In the order they run; the last gives the logits, (1, 1, classes).
        reads_digits: Whether it reads one channel at a time and gives logits of a digit, to be added up.
    """

    shapes: Mapping[str, Shape]
    nodes: Sequence[Node] = field(default_factory=list[Node])
    reads_digits: bool = False


def evaluate(node: Node, values: Mapping[str, Tensor]) -> Tensor:
    """What a node gives, (n, c, h, w), of the values that it reads, by name; in their type."""
    x = values[node.inputs[0]]
    match node:
        case Convolution():
            y = convolve(node, x)
            return _activated(y if node.residual is None else y + values[node.residual], node.activation)
        case Affine():
            return x * node.scale.to(x.dtype)[:, None, None] + node.shift.to(x.dtype)[:, None, None]
        case Activate():
            return node.activation.function(x)
        case Mean():
            return _activated(x.mean((2, 3), keepdim=True), node.activation)
        case MaxPool():
            return F.max_pool2d(x, node.kernel, node.stride, node.padding)
        case Add():
            return _activated(x + node.sign * values[node.second], node.activation)
        case Multiply():
            return _activated(x * values[node.second], node.activation)
        case Slice():
            return x[:, node.start : node.stop]
        case Concatenate():
            return torch.cat([values[name] for name in node.inputs], 1)


def convolve(node: Convolution, x: Tensor) -> Tensor:
    """A convolution alone, bias included, without residual and activation."""
    padding = node.padding
    if node.padding_value is not None and padding != (0, 0):
        # Relative to the padding value, what lies outside is zero.
        offset = node.padding_value.to(x.dtype)[:, None, None]
        inside = F.pad(x - offset, (padding[1], padding[1], padding[0], padding[0]))
        x, padding = inside + offset, (0, 0)
    weight, bias = node.weight.to(x.dtype), node.bias.to(x.dtype)
    return F.conv2d(x, weight, bias, node.stride, padding, node.dilation, node.groups)


def _activated(x: Tensor, activation: Pointwise | None) -> Tensor:
    return x if activation is None else activation.function(x)
