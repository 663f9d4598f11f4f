"""The reference of everything that runs an integer net: its arithmetic in numpy, exact to the bit."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.integers.integer_graph import (
    IMAGE,
    Activation,
    Add,
    Concatenate,
    Convolution,
    DigitSum,
    Int8,
    Int32,
    IntegerNet,
    Lookup,
    MaxPool,
    Mean,
    Multiply,
    Operator,
    Requantisation,
    Slice,
)

BATCH = 50  # images at a time: the patches of a 3x3 convolution take nine times the memory of what it reads

Values = Mapping[str, Int8]
"""Activations by name, (n, height, width, channels)."""


def integer_logits(net: IntegerNet, images: NDArray[np.uint8], progress: Progress | None = None) -> Int32:
    """What an integer net answers: int32 (n, num_classes); `net.output.scale` times that are logits.

    They are logits up to one number for each image, which softmax does not see.

    Args:
        net: The net.
        images: uint8 (n, c, h, w), of the net's size.
        progress: Reports every batch.

    Raises:
        DataError: The images are of another type or shape.
    """
    height, width, channels = net.image
    if images.dtype != np.uint8 or images.shape[1:] != (channels, height, width):
        expected = f"uint8 images (n, {channels}, {height}, {width})"
        raise DataError(f"the integer net takes {expected}, not {images.dtype} {images.shape}")
    answers: list[Int32] = [np.zeros((0, net.num_classes), np.int32)]
    with (progress or Progress()).task("integer net", len(images), "images") as advance:
        for start in range(0, len(images), BATCH):
            batch = images[start : start + BATCH]
            answers.append(_answers(net, quantised_image(batch)))
            advance(len(batch))
    return np.concatenate(answers)


def quantised_image(images: NDArray[np.uint8]) -> Int8:
    """The activation "image" of uint8 images (n, c, h, w): int8 (n, h, w, c)."""
    return np.ascontiguousarray((images ^ 0x80).view(np.int8).transpose(0, 2, 3, 1))


def _answers(net: IntegerNet, image: Int8) -> Int32:
    if net.digit_sum is None:
        return _run(net, image).reshape(len(image), -1)
    each = [_run(net, image[..., channel : channel + 1]) for channel in range(net.image[2])]
    digits = np.stack(each, 1).reshape(len(image), len(each), -1)
    return sum_of_digits(digits, net.digit_sum)[:, 1 : net.num_classes + 1]


def _run(net: IntegerNet, image: Int8) -> NDArray[Any]:
    last_use = {name: place for place, operator in enumerate(net.operators) for name in operator.inputs}
    values: dict[str, Any] = {IMAGE: image}
    for place, operator in enumerate(net.operators):
        values[operator.output] = computed(operator, values, net.activations[operator.output])
        for name in {name for name in operator.inputs if last_use[name] == place}:
            del values[name]
    return values[net.operators[-1].output]


def computed(operator: Operator, values: Values, output: Activation) -> NDArray[Any]:
    """The activation that an operator writes, (n, h, w, c): int8, or int32 of the logits."""
    match operator:
        case MaxPool():
            return _largest(operator, values[operator.input])
        case Lookup():
            return _looked_up(operator.table, values[operator.input])
        case Slice():
            return values[operator.input][..., operator.start : operator.stop]
        case Concatenate():
            parts = zip(operator.inputs, operator.tables, strict=True)
            return np.concatenate([_looked_up(table, values[name]) for name, table in parts], 3)
        case _:
            return requantised(accumulated(operator, values), operator.requantisation, output.bits)


def requantised(accumulators: NDArray[np.int64], how: Requantisation, bits: int) -> NDArray[Any]:
    """Accumulators (n, h, w, c) in the integers of an output, as the module `integer_graph` says."""
    shift = how.shift.astype(np.int64)
    rounded = (accumulators * how.multiplier.astype(np.int64) + (np.int64(1) << (shift - 1))) >> shift
    if bits == 32:
        return rounded.astype(np.int32)
    return _looked_up(how.table, np.clip(rounded + how.zero_point, -128, 127).astype(np.int8))


def accumulated(operator: Convolution | Mean | Add | Multiply, values: Values) -> NDArray[np.int64]:
    """The accumulators of an operator, (n, h, w, c)."""
    match operator:
        case Convolution():
            sums = convolved(operator, values[operator.input]) + operator.bias
            residual = operator.residual
            if residual is None:
                return sums
            added = (values[residual.input].astype(np.int64) - residual.zero_point) * residual.weight
            return (sums << residual.shift) + added
        case Mean():
            return values[operator.input].sum((1, 2), np.int64, keepdims=True) + operator.bias
        case _:
            zeros = operator.zero_points
            first, second = (
                values[name].astype(np.int64) - zero for name, zero in zip(operator.inputs, zeros, strict=True)
            )
            if isinstance(operator, Multiply):
                return first * second
            return first * operator.weights[0] + second * operator.weights[1]


def convolved(operator: Convolution, x: Int8) -> NDArray[np.int64]:
    """The sums of products of a convolution, (n, h, w, outputs), without bias."""
    kernels, groups = operator.kernels(), operator.groups
    outputs, height, width, depth = kernels.shape
    (down, across), (dilation_down, dilation_across) = operator.stride, operator.dilation
    padded = _padded(x, operator.padding, operator.padding_value)
    reach = (height - 1) * dilation_down + 1, (width - 1) * dilation_across + 1
    # Sums of integers are exact in floats, in any order, while no partial sum leaves the integers that they hold.
    largest = 128 * np.abs(kernels.astype(np.int64)).sum((1, 2, 3)).max()
    exact = np.float32 if largest < 2**24 else np.float64
    rows = slice(None, padded.shape[1] - reach[0] + 1, down), slice(None, padded.shape[2] - reach[1] + 1, across)
    if depth == 1 and outputs == groups:
        sums: Any = 0
        for i, j in itertools.product(range(height), range(width)):
            shifted = padded[:, i * dilation_down :, j * dilation_across :][:, rows[0], rows[1]]
            sums = sums + shifted.astype(np.int32) * kernels[:, i, j, 0].astype(np.int32)
        return sums.astype(np.int64)
    windows = sliding_window_view(padded, reach, (1, 2))[:, ::down, ::across, :, ::dilation_down, ::dilation_across]
    windows = windows.transpose(0, 1, 2, 4, 5, 3)
    found: list[NDArray[np.int64]] = []
    for group in range(groups):
        taken = windows[..., group * depth : (group + 1) * depth]
        patches = np.ascontiguousarray(taken).reshape(*windows.shape[:3], -1).astype(exact)
        mine = kernels[group * outputs // groups : (group + 1) * outputs // groups]
        found.append((patches @ mine.reshape(len(mine), -1).T.astype(exact)).astype(np.int64))
    return np.concatenate(found, 3)


def _padded(x: Int8, padding: tuple[int, int], value: Int8 | int) -> Int8:
    down, across = padding
    if not down and not across:
        return x
    n, height, width, channels = x.shape
    padded = np.empty((n, height + 2 * down, width + 2 * across, channels), np.int8)
    padded[:] = value
    padded[:, down : down + height, across : across + width] = x
    return padded


def _largest(operator: MaxPool, x: Int8) -> Int8:
    padded = _padded(x, operator.padding, -128)
    down, across = operator.stride
    return sliding_window_view(padded, operator.kernel, (1, 2))[:, ::down, ::across].max((4, 5))


def _looked_up(table: Int8 | None, q: Int8) -> Int8:
    return q if table is None else table[q.astype(np.int16) + 128]


def sum_of_digits(digits: NDArray[np.integer[Any]], how: DigitSum) -> Int32:
    """Log-probabilities of sums of digits, int32 (n, sums), from those of each digit, (n, digits, 10)."""
    total = digits[:, 0].astype(np.int64)
    for digit in digits[:, 1:].astype(np.int64).transpose(1, 0, 2):
        sums = [
            [total[:, s - d] + digit[:, d] for d in range(digit.shape[1]) if 0 <= s - d < total.shape[1]]
            for s in range(total.shape[1] + digit.shape[1] - 1)
        ]
        total = np.stack([_log_of_sum(np.stack(terms, 1), how) for terms in sums], 1)
    return total.astype(np.int32)


def _log_of_sum(terms: NDArray[np.int64], how: DigitSum) -> NDArray[np.int64]:
    largest = terms.max(1)
    below = largest[:, None] - terms
    sums: NDArray[np.int64] = (how.exp2.astype(np.int64)[below % 256] >> np.minimum(below // 256, 31)).sum(1)
    halvings = np.zeros_like(sums)
    while (sums >= 1 << 25).any():
        too_large = sums >= 1 << 25
        sums = np.where(too_large, sums >> 1, sums)
        halvings += too_large
    return largest + 256 * halvings + how.log2[(sums - (1 << 24) + (1 << 15)) >> 16]
