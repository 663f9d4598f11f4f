"""A generator as a short list of operators on tensors, with rounded weights: what a page runs in JavaScript.

Everything is for one image at a time, so that every shape is known beforehand. Activations are float32, in torch's
order of axes. What depends on weights alone is computed before. Then the weights of convolutions and linear layers are
rounded to integers of 8 to 12 bits with a scale for each output: q = round(w / scale), scale = max |w| / (2^(bits - 1)
- 1). `FloatProgram.answer` is what the page computes, up to the order of sums; `web/float_net.js` does the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shoestring.exporting.exportable import Inputs
from shoestring.integers.mirror import Mirror, mirror_of

UNARY = ("relu", "tanh", "sigmoid", "silu", "log", "exp", "cos", "sin", "rsqrt", "sqrt", "reciprocal", "neg", "abs")

Operands = Sequence[Tensor]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One operator.

    Attributes:
        name: One of `OPERATORS`.
        output: Name of what it gives.
        inputs: Names of the values and constants that it reads.
        shape: Of what it gives.
        options: What else it must know, as plain JSON values.
    """

    name: str
    output: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, eq=False)
class Constant:
    """Numbers that a program holds.

    Attributes:
        values: float32, of any shape; those of a rounded weight are integers times scales.
        axis: That of the outputs of a weight; None of what is not rounded.
        integers: int16 of the same shape, of a rounded weight.
        scales: float32, one for each output.
    """

    values: Tensor
    axis: int | None = None
    integers: Tensor | None = None
    scales: Tensor | None = None

    def rounded(self, bits: int) -> "Constant":
        """A weight as integers of so many bits; anything else as it is."""
        if self.axis is None:
            return self
        others = [each for each in range(self.values.ndim) if each != self.axis]
        largest = self.values.abs().amax(others, keepdim=True)
        scales = (largest / (2 ** (bits - 1) - 1)).clamp_min(torch.finfo(torch.float32).tiny)
        integers = (self.values / scales).round()
        return Constant(integers * scales, self.axis, integers.to(torch.int16), scales.flatten())

    def mirror(self) -> Mirror:
        """Which of a rounded weight's outputs are mirror images of others, and need not be held."""
        if self.integers is None or self.integers.ndim < 4 or self.axis != 0:
            return "none"
        return mirror_of(self.integers.permute(0, 2, 3, 1).numpy())


@dataclass(frozen=True)
class FloatProgram:
    """A net of tensors for one image.

    Attributes:
        inputs: Shapes of the net's arguments, (1, ...), by name.
        steps: In the order they run; the last gives the answer.
        constants: By name.
        bits: Of the weights' integers; 32 while they are as they were trained.
    """

    inputs: dict[str, tuple[int, ...]]
    steps: tuple[Step, ...]
    constants: dict[str, Constant]
    bits: int = 32

    def rounded(self, bits: int) -> "FloatProgram":
        """The program with weights of 8 to 12 bits."""
        constants = {name: constant.rounded(bits) for name, constant in self.constants.items()}
        return replace(self, constants=constants, bits=bits)

    def answer(self, batch: Inputs) -> Tensor:
        """What the net answers to a batch, each input (n, ...): float32 (n, ...)."""

        def one(*given: Tensor) -> Tensor:
            values = {name: constant.values for name, constant in self.constants.items()}
            values |= {name: each.float() for name, each in zip(self.inputs, given, strict=True)}
            for step in self.steps:
                operands = [values[name] for name in step.inputs]
                values[step.output] = OPERATORS[step.name](operands, step.options | {"shape": step.shape})
            return values[self.steps[-1].output]

        with torch.no_grad():
            return torch.vmap(one)(*(each.unsqueeze(1) for each in batch)).squeeze(1)

    def packed(self) -> tuple[dict[str, Any], bytes]:
        """The graph, as plain JSON values, and the numbers of all constants, which it says the places of.

        Numbers: float32, little-endian; then the upper eight bits of all integers, signed; then their other bits, the
        highest of each first, eight to a byte. A constant has its "shape" and the place of its first float; a rounded
        one the "axis" of its scales, which are its floats, and the place of its first integer; where it has a "mirror",
        only the first half of its outputs is there (`integers/mirror.py`).
        """
        places: dict[str, dict[str, Any]] = {}
        floats: list[Tensor] = []
        integers: list[Tensor] = [torch.zeros(0, dtype=torch.int16)]
        for name, constant in self.constants.items():
            place: dict[str, Any] = {"shape": list(constant.values.shape), "floats": sum(map(len, floats))}
            if constant.integers is not None and constant.scales is not None:
                place |= {"axis": constant.axis, "integers": sum(map(len, integers))}
                held, scales = constant.integers, constant.scales
                if (mirror := constant.mirror()) != "none":
                    place["mirror"] = mirror
                    held, scales = held[: len(held) // 2], scales[: len(scales) // 2]
                integers.append(held.flatten())
                floats.append(scales)
            else:
                floats.append(constant.values.flatten())
            places[name] = place
        steps = [
            {"name": step.name, "output": step.output, "inputs": step.inputs, "shape": step.shape, **step.options}
            for step in self.steps
        ]
        sizes = {"bits": self.bits, "floats": sum(map(len, floats)), "integers": sum(map(len, integers))}
        whole, rest = torch.cat(integers).numpy(), self.bits - 8
        lower = (whole[:, None] >> np.arange(rest - 1, -1, -1) & 1).astype(np.uint8)
        numbers = (
            torch.cat(floats).numpy().astype("<f4").tobytes(),
            (whole >> rest).astype(np.int8).tobytes(),
            np.packbits(lower).tobytes(),
        )
        return {"inputs": self.inputs, "steps": steps, "constants": places, **sizes}, b"".join(numbers)


def _attended(operands: Operands, _: Options) -> Tensor:
    query, key, value = operands
    return torch.softmax(query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1]), -1) @ value


def _convolved(operands: Operands, options: Options) -> Tensor:
    x, weight, *bias = operands
    stride, padding, dilation = options["stride"], options["padding"], options["dilation"]
    return F.conv2d(x, weight, bias[0] if bias else None, stride, padding, dilation, options["groups"])


def _convolved_transposed(operands: Operands, options: Options) -> Tensor:
    x, weight, *bias = operands
    stride, padding = options["stride"], options["padding"]
    return F.conv_transpose2d(x, weight, bias[0] if bias else None, stride, padding, options["output_padding"])


def _sliced(operands: Operands, options: Options) -> Tensor:
    where = [slice(None)] * operands[0].ndim
    where[options["axis"]] = slice(options["start"], options["stop"], options["step"])
    return operands[0][tuple(where)]


OPERATORS: dict[str, Callable[[Operands, Options], Tensor]] = {
    "add": lambda x, _: x[0] + x[1],
    "subtract": lambda x, _: x[0] - x[1],
    "multiply": lambda x, _: x[0] * x[1],
    "divide": lambda x, _: x[0] / x[1],
    "equal": lambda x, _: (x[0] == x[1]).float(),
    **{name: lambda x, _, name=name: getattr(torch.ops.aten, name)(x[0]) for name in UNARY},
    "leaky_relu": lambda x, how: F.leaky_relu(x[0], how["slope"]),
    "power": lambda x, how: x[0] ** how["exponent"],
    "clamp": lambda x, how: x[0].clamp(how["least"], how["most"]),
    "reshape": lambda x, how: x[0].reshape(how["shape"]),
    "permute": lambda x, how: x[0].permute(how["order"]),
    "expand": lambda x, how: x[0].expand(how["shape"]),
    "slice": _sliced,
    "concatenate": lambda x, how: torch.cat(tuple(x), how["axis"]),
    "mean": lambda x, how: x[0].mean(how["axes"], keepdim=True).reshape(how["shape"]),
    "linear": lambda x, _: F.linear(*x),
    "convolve": _convolved,
    "convolve_transposed": _convolved_transposed,
    "attend": _attended,
    "average": lambda x, how: F.avg_pool2d(x[0], how["kernel"], how["stride"]),
    "repeat_pixels": lambda x, how: F.interpolate(x[0], scale_factor=float(how["factor"]), mode="nearest"),
}
"""What each operator means, of its operands and options, which hold the shape of its result as well."""
