"""How the weights of an integer net lie in memory, and what each operator takes beside them."""

import numpy as np

from shoestring.integers.integer_graph import Convolution, Int8, IntegerNet, Operator


def is_depthwise(operator: Convolution) -> bool:
    """Whether each channel has one kernel of its own."""
    return operator.groups == len(operator.padding_value) == len(operator.bias)


def packed_weight(operator: Convolution) -> Int8:
    """The weights as they lie in memory.

    Of depthwise convolutions (kernel height, kernel width, channels); else (kernels, length), the numbers of a kernel
    filled up with zeros to a multiple of four.
    """
    if is_depthwise(operator):
        return np.ascontiguousarray(operator.weight[..., 0].transpose(1, 2, 0))
    flat = operator.weight.reshape(len(operator.weight), -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))


def scratch_of(net: IntegerNet, operator: Operator) -> int:
    """Bytes that an operator needs beside its activations: patches of int16, for two pixels at a time."""
    if not isinstance(operator, Convolution) or is_depthwise(operator):
        return 0
    height, width, _ = net.activations[operator.output].shape
    patches = 1 if height * width == 1 and operator.mirror == "none" else 2
    return 2 * patches * packed_weight(operator).shape[1]


def multiply_adds(net: IntegerNet, operator: Operator) -> int:
    """Products that an operator sums for an image."""
    if not isinstance(operator, Convolution):
        return 0
    height, width, outputs = net.activations[operator.output].shape
    _, *kernel = operator.weight.shape
    return net.repeats * height * width * outputs * int(np.prod(kernel))
