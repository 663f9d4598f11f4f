"""Int8 after training: a model and a few hundred training images become an integer net.

The graph is walked once. Each operator is computed in floating point and, on what the operators before it made of the
same images, in integers: its output gets the range that loses least (in the mean square, after the activation), its
weights a scale for each output channel, and its bias what the integers are off by on average (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", arXiv 1906.04721). The arithmetic follows Jacob et al.,
"Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877.
"""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shoestring.core.errors import DataError, ShoestringError
from shoestring.core.progress import Progress
from shoestring.data.dataset import Normalisation
from shoestring.integers import graph as floating
from shoestring.integers.integer_graph import (
    IMAGE,
    Activation,
    Add,
    Concatenate,
    Convolution,
    DigitSum,
    Int8,
    IntegerNet,
    Lookup,
    MaxPool,
    Mean,
    Multiply,
    Operator,
    Requantisation,
    Residual,
    Slice,
)
from shoestring.integers.mirror import mirror_of
from shoestring.integers.ranges import Numbers, Range, fitted, table_of
from shoestring.integers.simulation import BATCH, accumulated, computed, quantised_image
from shoestring.integers.tracing import graph_of

FINE_RESIDUAL = 1024
"""A residual's integer weights are at least that large: rounding them changes an activation by 1/8 at most."""
LARGEST_RESIDUAL = 2**20
"""A residual's integer weights are at most that large."""
EXACT_BITS = 52
"""Accumulators times multipliers stay below 2 to this, so that doubles hold them with the rounding constant."""
LOGIT_SCALE = 2.0**-16
DIGIT_SCALE = math.log(2) / 256
"""Of logits of digits, whose sums are taken in units of log2(x) / 256."""
MOST_LOST = 0.01
"""Of the accuracy, in fractions of 1; more is not exported unasked."""


def require_accurate(net: IntegerNet, before: float, after: float, n: int) -> None:
    """Does nothing where at most one point of accuracy is lost.

    Args:
        net: The integer net.
        before: Accuracy of the model, in 0..1.
        after: Accuracy of the integer net on the same images.
        n: How many images.

    Raises:
        ShoestringError: More is lost; says where integers are furthest off.
    """
    if before - after <= MOST_LOST:
        return
    name, off = (net.metadata.get(key, "?") for key in ("largest_error_in", "largest_error"))
    raise ShoestringError(
        f"int8 loses {100 * (before - after):.1f} points of accuracy: {100 * before:.2f} % before, {100 * after:.2f} % "
        f"after, on {n:,} images; 1 is allowed. Its integers are furthest off in {name}, by {off} of the std. "
        "Nothing was written: export ONNX in float32, or --force to write it all the same"
    )


@torch.no_grad()
def quantize(
    net: nn.Module,
    normalisation: Normalisation,
    images: Tensor,
    num_classes: int,
    name: str,
    progress: Progress | None = None,
) -> IntegerNet:
    """A classifier as an integer net.

    Args:
        net: Normalised images (n, c, h, w) -> logits (n, num_classes); left as it is.
        normalisation: How it sees pixels.
        images: Training images, uint8 (n, c, h, w); 512 are enough.
        num_classes: Its classes.
        name: What it is called in messages and in the net's metadata.
        progress: Reports every operator.

    Raises:
        ShoestringError: The net does what integers cannot hold here.
        DataError: There are no images.
    """
    if not len(images):
        raise DataError("quantisation needs images to choose ranges by; give some of the training images")
    _, channels, height, width = images.shape
    graph = graph_of(copy.deepcopy(net).cpu().eval(), (channels, height, width), normalisation, name)
    seen = images.cpu()
    if graph.reads_digits:
        seen = seen.flatten(0, 1).unsqueeze(1)[: len(images)]
    walk = _Walk(graph, seen)
    with (progress or Progress()).task("quantising", len(graph.nodes), "operators") as advance:
        for node in graph.nodes:
            walk.take(node)
            advance()
    return IntegerNet(
        image=(height, width, channels),
        activations=walk.activations,
        operators=tuple(walk.operators),
        num_classes=num_classes,
        digit_sum=_digit_sum() if graph.reads_digits else None,
        metadata={"model": name, "calibration_images": str(len(images)), **walk.worst()},
    )


class _Walk:
    """Quantises one operator after the other; what each gives is kept, in floats and in integers, while it is read."""

    def __init__(self, graph: floating.Graph, images: Tensor) -> None:
        self.graph = graph
        self.floats: dict[str, Tensor] = {IMAGE: images.float()}
        self.integers: dict[str, Int8] = {IMAGE: quantised_image(images.numpy())}
        self.activations = {IMAGE: Activation(graph.shapes[IMAGE], 1.0, -128)}
        self.operators: list[Operator] = []
        self.errors: dict[str, float] = {}

    def take(self, node: floating.Node) -> None:
        """Quantises the next node."""
        exact = self.batched(lambda values: floating.evaluate(node, values).numpy(), node.inputs, self.floats)
        operator, activation = self.quantised(node, torch.from_numpy(exact))
        self.operators.append(operator)
        self.activations[node.output] = activation
        found = self.batched(lambda values: computed(operator, values, activation), operator.inputs, self.integers)
        self.floats[node.output], self.integers[node.output] = torch.from_numpy(exact), found
        self.errors[node.output] = self.error(node.output)
        later = self.graph.nodes[len(self.operators) :]
        for name in node.inputs:
            if not any(name in other.inputs for other in later):
                self.floats.pop(name, None)
                self.integers.pop(name, None)

    @staticmethod
    def batched(
        work: Callable[[Mapping[str, Any]], NDArray[Any]], names: tuple[str, ...], values: Mapping[str, Any]
    ) -> NDArray[Any]:
        """What some work gives of values, computed for a few images at a time."""
        count = len(values[names[0]])
        starts = range(0, count, BATCH)
        return np.concatenate([work({name: values[name][start : start + BATCH] for name in names}) for start in starts])

    def error(self, name: str) -> float:
        """How far an activation is off: root mean square over that of the activation's standard deviation."""
        activation = self.activations[name]
        real = Range(activation.scale, activation.zero_point).numbers(self.integers[name][:BATCH])
        exact = self.floats[name][:BATCH].permute(0, 2, 3, 1).double().numpy()
        return float(np.sqrt(((real - exact) ** 2).mean() / max(exact.var(), 1e-30)))

    def worst(self) -> dict[str, str]:
        """The activation that is furthest off."""
        name = max(self.errors, key=self.errors.__getitem__)
        return {"largest_error": f"{self.errors[name]:.3f}", "largest_error_in": name}

    def range_of(self, name: str) -> Range:
        """What an activation's integers mean."""
        return Range(self.activations[name].scale, self.activations[name].zero_point)

    def quantised(self, node: floating.Node, exact: Tensor) -> tuple[Operator, Activation]:
        """A node in integers, and what its output means."""
        shape = self.graph.shapes[node.output]
        match node:
            case floating.MaxPool() | floating.Slice():
                same = self.range_of(node.input)
                activation = Activation(shape, same.scale, same.zero_point)
                if isinstance(node, floating.Slice):
                    return Slice(node.input, node.output, node.start, node.stop), activation
                return MaxPool(node.input, node.output, node.kernel, node.stride, node.padding), activation
            case floating.Activate():
                found = fitted(exact)
                table = table_of(self.range_of(node.input), node.activation, found)
                return Lookup(node.input, node.output, table), Activation(shape, found.scale, found.zero_point)
            case floating.Concatenate():
                found = fitted(exact)
                ranges = [self.range_of(name) for name in node.inputs]
                tables = tuple(None if each == found else table_of(each, None, found) for each in ranges)
                return Concatenate(node.inputs, node.output, tables), Activation(shape, found.scale, found.zero_point)
            case floating.Convolution():
                return self.convolution(node, exact)
            case floating.Mean():
                height, width, _ = self.graph.shapes[node.input]
                given, pixels = self.range_of(node.input), height * width
                target = self.target(node, exact, pixels * 255 * np.array([given.scale / pixels]))
                how = target.requantisation(np.array([given.scale / pixels]), pixels * 255)
                return Mean(node.input, node.output, -pixels * given.zero_point, how), target.activation
            case floating.Multiply():
                first, second = self.range_of(node.first), self.range_of(node.second)
                target = self.target(node, exact)
                how = target.requantisation(np.array([first.scale * second.scale]), 255 * 255)
                zeros = first.zero_point, second.zero_point
                return Multiply(node.first, node.second, node.output, zeros, how), target.activation
            case floating.Add():
                return self.addition(node, exact)
            case floating.Affine():
                raise AssertionError("fused graphs have no affine maps")

    def target(self, node: floating.Computing, exact: Tensor, bounds: Numbers | None = None) -> "_Target":
        """What an operator's accumulators become.

        Args:
            node: The operator; the last gives logits.
            exact: What it gives in floating point, (n, c, h, w).
            bounds: Largest logits, where it is the last.
        """
        shape, activation = self.graph.shapes[node.output], node.activation
        if node is self.graph.nodes[-1]:
            assert bounds is not None
            # Fine units, as long as the largest logits that any image could get have room in int32.
            least = 2.0 ** math.ceil(math.log2(bounds.max() / 2**30))
            scale = max(DIGIT_SCALE if self.graph.reads_digits else LOGIT_SCALE, least)
            return _Target(Range(scale, 0), None, Activation(shape, scale, 0, 32))
        if activation is None or activation.saturates:
            found = fitted(exact)
            return _Target(found, None, Activation(shape, found.scale, found.zero_point))
        before = replace(node, activation=None)
        inner = self.batched(lambda values: floating.evaluate(before, values).numpy(), node.inputs, self.floats)
        input, output = fitted(torch.from_numpy(inner), activation.function), fitted(exact)
        return _Target(input, table_of(input, activation, output), Activation(shape, output.scale, output.zero_point))

    def convolution(self, node: floating.Convolution, exact: Tensor) -> tuple[Convolution, Activation]:
        """A convolution in integers, its bias corrected."""
        given = self.range_of(node.input)
        weight, bias = node.weight.permute(0, 2, 3, 1).numpy(), node.bias.numpy()
        largest = np.abs(weight).max((1, 2, 3))
        # Of channels without weights, or with a bias that their fine accumulators could not hold, larger.
        scales = np.maximum(np.maximum(largest / 127, np.abs(bias) / given.scale / 2**28), largest.max() * 1e-6 + 1e-30)
        if node.residual is not None:  # of a branch of zeros, too, what is added has weights that int32 holds
            scales = np.maximum(scales, self.range_of(node.residual).scale / given.scale / LARGEST_RESIDUAL)
        kernels = np.clip(np.rint(weight / scales[:, None, None, None]), -127, 127).astype(np.int8)
        units = scales * given.scale  # of the accumulators
        sums = kernels.astype(np.int64).sum((1, 2, 3))
        integer_bias = np.rint(bias / units).astype(np.int64) - given.zero_point * sums
        padding = np.full(self.graph.shapes[node.input][2], given.zero_point, np.int8)
        if node.padding_value is not None:
            padding = given.integers(node.padding_value.numpy())
        target = self.target(
            node, exact, (np.abs(kernels.astype(np.int64)).sum((1, 2, 3)) * 128 + np.abs(integer_bias)) * units
        )
        mirror = mirror_of(kernels) if node.groups == 1 else "none"
        operator = Convolution(
            input=node.input,
            output=node.output,
            weight=kernels if mirror == "none" else kernels[: len(kernels) // 2],
            bias=integer_bias.astype(np.int32),
            stride=node.stride,
            padding=node.padding,
            padding_value=padding,
            dilation=node.dilation,
            groups=node.groups,
            mirror=mirror,
            requantisation=target.requantisation(units, 1),
        )
        corrected = integer_bias + np.rint(self.bias_error(node, operator, units)).astype(np.int64)
        bound = np.abs(kernels.astype(np.int64)).sum((1, 2, 3)) * 128 + np.abs(corrected)
        residual = None
        if node.residual is not None:
            residual = self.residual(node.residual, units, bound)
            bound = (bound << residual.shift) + 255 * np.abs(residual.weight.astype(np.int64))
            units = units / 2.0**residual.shift
        how = target.requantisation(units, int(bound.max()))
        return (
            replace(operator, bias=corrected.astype(np.int32), residual=residual, requantisation=how),
            target.activation,
        )

    def bias_error(self, node: floating.Convolution, operator: Convolution, units: Numbers) -> Numbers:
        """What the accumulators of each output channel lack on average, in their units."""
        lacking: list[Numbers] = []
        for start in range(0, len(self.floats[node.input]), BATCH):
            batch = slice(start, start + BATCH)
            exact = floating.convolve(node, self.floats[node.input][batch]).double().mean((2, 3)).numpy()
            found = accumulated(operator, {node.input: self.integers[node.input][batch]}).mean((1, 2))
            lacking.append(exact / units - found)
        return np.concatenate(lacking).mean(0)

    def residual(self, name: str, units: Numbers, bound: NDArray[np.int64]) -> Residual:
        """An activation that is added to accumulators of some units and bound."""
        added = self.range_of(name)
        shift = 0
        while (added.scale / units * 2**shift).min() < FINE_RESIDUAL and int(bound.max()) << (shift + 1) < 2**29:
            shift += 1
        weight = np.rint(added.scale / units * 2**shift)
        return Residual(name, weight.astype(np.int32), shift, added.zero_point)

    def addition(self, node: floating.Add, exact: Tensor) -> tuple[Add, Activation]:
        """A sum of two activations in integers."""
        first, second = self.range_of(node.first), self.range_of(node.second)
        target = self.target(node, exact)
        ratios = first.scale / target.range.scale, node.sign * second.scale / target.range.scale
        shift = min(30, 21 - math.ceil(math.log2(max(abs(ratio) for ratio in ratios))))
        weights = round(ratios[0] * 2**shift), round(ratios[1] * 2**shift)
        how = Requantisation(np.ones(1, np.int32), np.array([shift], np.int8), target.range.zero_point, target.table)
        return Add(
            node.first, node.second, node.output, weights, (first.zero_point, second.zero_point), how
        ), target.activation


@dataclass(frozen=True)
class _Target:
    """What accumulators become: the range that they are rounded in, then a table's output, if there is one."""

    range: Range
    table: Int8 | None
    activation: Activation

    def requantisation(self, units: Numbers, bound: int) -> Requantisation:
        """From accumulators, of which one stands for `units`, and which `bound` bounds."""
        bits = min(31, EXACT_BITS - bound.bit_length())
        fractions, exponents = np.frexp(units / self.range.scale)
        shift = np.clip(bits - exponents, 1, EXACT_BITS)
        multiplier = np.minimum(np.rint(np.ldexp(fractions, exponents + shift)), 2**31 - 1)
        return Requantisation(multiplier.astype(np.int32), shift.astype(np.int8), self.range.zero_point, self.table)


def _digit_sum() -> DigitSum:
    parts = np.arange(257) / 256
    exp2 = np.rint(2.0 ** (24 - parts[:256])).astype(np.int32)
    return DigitSum(exp2, np.rint(256 * np.log2(1 + parts)).astype(np.int32))
