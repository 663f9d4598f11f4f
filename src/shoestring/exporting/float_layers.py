"""Layers on images, as the steps of a program that do the same."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from shoestring.exporting.float_writer import ProgramWriter, Value
from shoestring.integers.graph import pair


def convolution(
    writer: ProgramWriter,
    node: fx.Node,
    x: Value,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    """A convolution, transposed or not; arguments as of torch."""
    if transposed and (groups > 1 or tuple(dilation) != (1, 1)):
        writer.refuse(node, "transposed, with groups or dilation")
    options: dict[str, Any] = {"stride": pair(stride), "padding": pair(padding)}
    options |= {"output_padding": pair(output_padding)} if transposed else {}
    options |= {} if transposed else {"dilation": pair(dilation), "groups": groups}
    operands = x, *writer.weights((weight, bias), int(transposed))
    shape = tuple(node.meta["val"].shape)
    return writer.step("convolve_transposed" if transposed else "convolve", operands, shape, options)


def batch_norm(
    writer: ProgramWriter,
    x: Value,
    weight: Tensor | None,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    eps: float,
) -> Value:
    """A batch norm in evaluation mode: a product and a sum; arguments as of torch."""
    scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    size = (-1, *(1,) * (len(x.shape) - 2))
    product = writer.step("multiply", (x, scale.reshape(size)), x.shape, {})
    return writer.step("add", (product, shift.reshape(size)), x.shape, {})


def interpolated(writer: ProgramWriter, x: Value, interpolate: Callable[[Tensor], Tensor]) -> Value:
    """Images (n, c, h, w) of other sides, as a product with a matrix along each axis.

    Args:
        writer: Takes the steps.
        x: The images.
        interpolate: What is done to them, each axis for itself; its matrices are what it makes of unit vectors.
    """
    n, channels, height, width = x.shape
    right = interpolate(torch.eye(width)[None, :, None].expand(1, width, height, width))[0, :, 0].mT.contiguous()
    down = interpolate(torch.eye(height)[None, ..., None].expand(1, height, height, width))[0, ..., 0].mT.contiguous()
    rows, columns = len(down), len(right)
    x = writer.step("linear", (x, right), (n, channels, height, columns), {})
    x = writer.step("permute", (x,), (n, channels, columns, height), {"order": [0, 1, 3, 2]})
    x = writer.step("linear", (x, down), (n, channels, columns, rows), {})
    return writer.step("permute", (x,), (n, channels, rows, columns), {"order": [0, 1, 3, 2]})
