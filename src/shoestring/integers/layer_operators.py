"""Layers on images: convolutions, linear layers, batch norm, means and pools."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from shoestring.integers.graph import Add, Affine, Convolution, MaxPool, Mean, Pair, pair
from shoestring.integers.graph_writer import Value
from shoestring.integers.traced_call import TracedCall


def _conv2d(call: TracedCall) -> Value:
    x, weight, bias = call.image_of(call.x), cast(Tensor, call.args[1]).double(), call.argument(2, "bias", None)
    bias = weight.new_zeros(len(weight)) if bias is None else cast(Tensor, bias).double()
    padding = call.argument(4, "padding", 0)
    stride, dilation = pair(call.argument(3, "stride", 1)), pair(call.argument(5, "dilation", 1))
    if isinstance(padding, str):
        reach = [dilated * (size - 1) for dilated, size in zip(dilation, weight.shape[2:], strict=True)]
        if padding == "same" and any(each % 2 for each in reach):
            call.refuse("with padding on one side only")
        padding = [each // 2 if padding == "same" else 0 for each in reach]
    groups = cast(int, call.argument(6, "groups", 1))
    made = Convolution(x, call.node.name, weight.detach(), bias.detach(), stride, pair(padding), dilation, groups)
    return call.writer.write(made, (*call.size[2:], call.size[1]))  # pyright: ignore[reportArgumentType]


def _linear(call: TracedCall) -> Value:
    weight, bias = cast(Tensor, call.args[1]).double().detach(), call.argument(2, "bias", None)
    bias = weight.new_zeros(len(weight)) if bias is None else cast(Tensor, bias).double().detach()
    height, width, channels = call.shape_of(call.x)
    *outer, features = [axis for axis in call.x.axes if axis]
    if features == "c":  # of each pixel
        weight = weight[:, :, None, None]
    elif outer == ["n"]:
        sizes = [{"c": channels, "h": height, "w": width}[letter] for letter in features]
        whole = "".join(letter for letter in "chw" if letter in features)
        order = [1 + features.index(letter) for letter in whole]
        weight = weight.reshape(-1, *sizes).permute(0, *order).reshape(-1, channels, height, width)
        height, width = 1, 1
    else:
        call.refuse("of axes in another order")
    made = Convolution(call.x.name, call.node.name, weight, bias)
    written = call.writer.write(made, (height, width, len(weight)))
    return Value(written.name, (*call.x.axes[:-1], "c"))


def _batch_norm(call: TracedCall) -> Value:
    scale, shift, mean, variance = (None if each is None else cast(Tensor, each).double() for each in call.args[1:5])
    if mean is None or variance is None or call.args[5]:
        call.refuse("by statistics of the batch")
    eps = cast(float, call.args[7])
    scale = torch.rsqrt(variance + eps) * (1 if scale is None else scale)
    return call.affine(scale, (0 if shift is None else shift) - mean * scale)


def _mean(call: TracedCall) -> Value:
    value = call.x
    every = range(len(value.axes))
    dims = [dim % len(every) for dim in cast(Sequence[int], call.argument(1, "dim", every))]
    if value.parts and dims == [0] and not call.argument(2, "keepdim", False):
        total = value.parts[0]
        for place, part in enumerate(value.parts[1:]):
            add = Add(total.name, part.name, f"{call.node.name}_{place}")
            total = Value(call.writer.write(add, call.shape_of(part)).name, part.axes)
        fraction = torch.full((call.shape_of(total)[2],), 1 / len(value.parts), dtype=torch.float64)
        written = call.writer.write(
            Affine(total.name, call.node.name, fraction, torch.zeros_like(fraction)), call.shape_of(total)
        )
        return Value(written.name, total.axes)
    height, width, channels = call.shape_of(value)
    gone = {letter for dim in dims for letter in value.axes[dim]}
    if gone != ({"h"} if height > 1 else set()) | ({"w"} if width > 1 else set()):
        call.refuse("over other axes than height and width")
    kept = ["" if dim in dims else axis for dim, axis in enumerate(value.axes)]
    if not call.argument(2, "keepdim", False):
        kept = [axis for dim, axis in enumerate(value.axes) if dim not in dims]
    return Value(call.writer.write(Mean(value.name, call.node.name), (1, 1, channels)).name, tuple(kept))


def _adaptive_avg_pool2d(call: TracedCall) -> Value:
    height, width, _ = call.shape_of(call.x)
    rows, columns = call.size[2:]
    if (rows, columns) == (1, 1):
        return call.writer.write(Mean(call.image_of(call.x), call.node.name), (1, 1, call.shape_of(call.x)[2]))
    if height % rows or width % columns:
        call.refuse(f"of {height}x{width} to {rows}x{columns}, whose windows overlap")
    kernel = height // rows, width // columns
    return _average(call, kernel, kernel, (0, 0))


def _avg_pool2d(call: TracedCall) -> Value:
    kernel = pair(call.args[1])
    stride, padding = pair(call.argument(2, "stride", None) or kernel), pair(call.argument(3, "padding", 0))
    counts_outside = padding == (0, 0) or call.argument(5, "count_include_pad", True)
    if call.argument(4, "ceil_mode", False) or not counts_outside or call.argument(6, "divisor_override", None):
        call.refuse("with windows of different sizes")
    return _average(call, kernel, stride, padding)


def _average(call: TracedCall, kernel: Pair, stride: Pair, padding: Pair) -> Value:
    """Means of windows: a depthwise convolution of equal weights."""
    channels = call.shape_of(call.x)[2]
    weight = torch.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]), dtype=torch.float64)
    bias = torch.zeros(channels, dtype=torch.float64)
    made = Convolution(call.image_of(call.x), call.node.name, weight, bias, stride, padding, groups=channels)
    return call.writer.write(made, (*call.size[2:], channels))  # pyright: ignore[reportArgumentType]


def _max_pool2d(call: TracedCall) -> Value:
    kernel = pair(call.args[1])
    stride, padding = pair(call.argument(2, "stride", None) or kernel), pair(call.argument(3, "padding", 0))
    if call.argument(5, "ceil_mode", False) or pair(call.argument(4, "dilation", 1)) != (1, 1):
        call.refuse("with windows of different sizes, or dilated ones")
    made = MaxPool(call.image_of(call.x), call.node.name, kernel, stride, padding)
    return call.writer.write(made, (*call.size[2:], call.shape_of(call.x)[2]))  # pyright: ignore[reportArgumentType]


LAYER_OPERATORS: Mapping[str, Callable[[TracedCall], Any]] = {
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "mean": _mean,
    "adaptive_avg_pool2d": _adaptive_avg_pool2d,
    "avg_pool2d": _avg_pool2d,
    "max_pool2d": _max_pool2d,
}
