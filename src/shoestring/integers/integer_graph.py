"""A net in integers: int8 weights and activations, and arithmetic that every target repeats to the bit.

Activations are int8 (height, width, channels), channels last; real = scale * (q - zero_point). The net's input,
`"image"`, is q = pixel - 128 of a uint8 image. Whatever an operator computes, it first sums integers to an accumulator
`acc`, which int32 holds, and then requantises:

    y = floor((acc * multiplier + 2^(shift - 1)) / 2^shift)          round half up, shift >= 1
    q = min(max(y + zero_point, -128), 127)                          ReLU and ReLU6 are this saturation
    q = table[q + 128]                                               where there is a table, of any other activation

|acc * multiplier| + 2^(shift - 1) < 2^53, so doubles hold every step exactly: `Math.floor((acc * multiplier + half) /
2 ** shift)` in JavaScript is the same number as `(acc * (int64_t)multiplier + half) >> shift` in C. The last operator
writes int32, without saturation: logits, in one scale for all classes, up to one number for each image.

The arithmetic of `acc` is in the docstring of each operator; padding is in integers, too. `simulation` is the
reference, `integer_file` keeps nets.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoestring.integers.mirror import Mirror, whole
from shoestring.integers.operands import OfOne, OfTwo

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Pair = tuple[int, int]

IMAGE = "image"


@dataclass(frozen=True)
class Activation:
    """What a tensor's integers mean: real = scale * (q - zero_point).

    Attributes:
        shape: Height, width and channels, for one image; 1, 1 and features of a vector.
        scale: Positive.
        zero_point: The integer that stands for 0.
        bits: 8, or 32 of the logits.
    """

    shape: tuple[int, int, int]
    scale: float
    zero_point: int
    bits: Literal[8, 32] = 8

    @property
    def size(self) -> int:
        """How many bytes an image takes."""
        height, width, channels = self.shape
        return height * width * channels * self.bits // 8


@dataclass(frozen=True)
class Requantisation:
    """From accumulators to int8, as the module says.

    Attributes:
        multiplier: int32 (channels,), or (1,) for all of them; positive, below 2^31.
        shift: int8, of the same shape, 1..62.
        zero_point: Of the output, or of the table's input.
        table: int8 (256,), by q + 128; none by default.
    """

    multiplier: Int32
    shift: Int8
    zero_point: int
    table: Int8 | None = None


@dataclass(frozen=True)
class Residual:
    """An activation that is added to a convolution's accumulators before they are requantised.

    acc = (sum of products + bias) * 2^shift + weight * (r - zero_point)

    Attributes:
        input: Name of the activation, of the shape of the convolution's output.
        weight: int32 (channels,).
        shift: 0 where the weights are large enough to be precise.
        zero_point: Of the activation.
    """

    input: str
    weight: Int32
    shift: int
    zero_point: int


@dataclass(frozen=True)
class Convolution(OfOne):
    """Convolution, depthwise and grouped ones too; a linear layer is one whose kernel is as large as its input.

    acc[y, x, o] = bias[o] + sum over i, j, c of weight[o, i, j, c] * input[row, column, c], then the residual, where
    row = y * stride + i * dilation - padding, and column alike. Zero points are in the bias already. Outside of the
    input, channel c is padding_value[c].

    Attributes:
        input: Name of the activation that it reads.
        output: Name of the activation that it writes.
        weight: int8 (kernels, kernel height, kernel width, channels / groups), -127..127.
        bias: int32 (outputs,).
        stride: Down and across.
        padding: Above and below; left and right.
        padding_value: int8 (input channels,).
        dilation: Down and across.
        groups: Of the channels; output o reads group o * groups // outputs.
        mirror: "none": kernels are outputs. Else there are twice as many outputs as kernels, and output kernels + o is
            of kernel o mirrored: weight[o, i, kernel width - 1 - j, c]; for "twins" with its channels rolled by half of
            them as well: c + channels / 2, modulo channels.
        requantisation: Of the accumulators.
        residual: What is added to them; none by default.
    """

    weight: Int8
    bias: Int32
    stride: Pair
    padding: Pair
    padding_value: Int8
    dilation: Pair
    groups: int
    mirror: Mirror
    requantisation: Requantisation
    residual: Residual | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of all that it reads."""
        return (self.input,) if self.residual is None else (self.input, self.residual.input)

    def kernels(self) -> Int8:
        """The kernels of all outputs, (outputs, kernel height, kernel width, channels / groups)."""
        return whole(self.weight, self.mirror)


@dataclass(frozen=True)
class Mean(OfOne):
    """The mean of all pixels: acc[c] = bias + sum of input[:, :, c]; the number of pixels is in the multiplier."""

    bias: int
    requantisation: Requantisation


@dataclass(frozen=True)
class MaxPool(OfOne):
    """The largest of each window; what lies outside of the input counts for nothing. No requantisation."""

    kernel: Pair
    stride: Pair
    padding: Pair


@dataclass(frozen=True)
class Add(OfTwo):
    """acc = sum over the inputs of weight * (q - zero_point), of two activations of one shape.

    A vector (1, 1, channels) is added to every pixel of a map as second input.
    """

    weights: Pair
    zero_points: Pair
    requantisation: Requantisation


@dataclass(frozen=True)
class Multiply(OfTwo):
    """acc = (first - its zero point) * (second - its zero point).

    Of one shape, or the second a vector (1, 1, channels) that scales every pixel of a map.
    """

    zero_points: Pair
    requantisation: Requantisation


@dataclass(frozen=True)
class Lookup(OfOne):
    """table[q + 128] of every q: any function of one number."""

    table: Int8


@dataclass(frozen=True)
class Slice(OfOne):
    """The channels start..stop of an activation, of its scale and zero point."""

    start: int
    stop: int


@dataclass(frozen=True)
class Concatenate:
    """Activations of one height and width, channels behind channels; each through its table, if it has one."""

    inputs: tuple[str, ...]
    output: str
    tables: tuple[Int8 | None, ...]


Operator: TypeAlias = Convolution | Mean | MaxPool | Add | Multiply | Lookup | Slice | Concatenate


@dataclass(frozen=True)
class DigitSum:
    """Log-probabilities of the sum of the digits in all channels, each read by the same operators (nets.digit_sum).

    All in units of log2(x) / 256. With `total` that of the first channel's digits, for each further channel:

        t[s, d] = total[s - d] + digit[d]              for every sum s, where 0 <= s - d < len(total)
        m[s]    = max over d of t[s, d]
        S[s]    = sum over d of exp2[(m - t) % 256] >> ((m - t) // 256)               0 where that is 31 or more
        e[s]    = how often S must be halved to be below 2^25;  S = S >> e
        total[s] = m + 256 e + log2[(S - 2^24 + 2^15) >> 16]

    The logits are total[1 .. classes].

    Attributes:
        exp2: int32 (256,): round(2^24 * 2^(-i / 256)).
        log2: int32 (257,): round(256 * log2(1 + i / 256)).
    """

    exp2: Int32
    log2: Int32


@dataclass(frozen=True)
class IntegerNet:
    """A classifier in integers.

    Attributes:
        image: Height, width and channels of the image.
        activations: By name, in the order they are written; the image first, the output of the last operator last.
        operators: In the order they run.
        num_classes: How many logits.
        digit_sum: None where the last operator writes the logits. Else the operators read one channel of the image as
            (height, width, 1), one after the other, and write 10 logits for each, which this combines.
        metadata: What it was made of, for people: names, counts, accuracy.
    """

    image: tuple[int, int, int]
    activations: dict[str, Activation]
    operators: tuple[Operator, ...]
    num_classes: int
    digit_sum: DigitSum | None
    metadata: dict[str, str]

    @property
    def output(self) -> Activation:
        """What the last operator writes; its scale is that of the logits."""
        return self.activations[self.operators[-1].output]

    @property
    def repeats(self) -> int:
        """How often the operators run for an image."""
        return 1 if self.digit_sum is None else self.image[2]
