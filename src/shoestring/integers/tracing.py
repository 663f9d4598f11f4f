"""The graph of any torch module, by torch.export; what integers cannot hold is refused by name."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, fx, nn

from shoestring.core.errors import ShoestringError
from shoestring.data.dataset import Normalisation
from shoestring.integers.graph import (
    Activate,
    Add,
    Affine,
    Concatenate,
    Convolution,
    Graph,
    MaxPool,
    Mean,
    Multiply,
    Node,
    Pointwise,
    Shape,
    Slice,
    fused,
)
from shoestring.nets.digit_sum import DIGITS, DigitAdder

IMAGE = "image"
POINTWISE = (
    *("relu", "relu6", "silu", "sigmoid", "hardswish", "hardsigmoid", "tanh", "gelu", "elu", "leaky_relu", "mish"),
    *("softplus", "selu", "celu", "hardtanh", "clamp", "clamp_min", "abs", "square"),
)
UNCHANGED = (
    "contiguous",
    "clone",
    "detach",
    "detach_",
    "alias",
    "to",
    "_to_copy",
    "dropout",
    "feature_dropout",
    "lift_fresh_copy",
)
Pair = tuple[int, int]
HELD = "convolutions, linear layers, batch norm, sums, products, pooling, cat, chunk, flatten and activations"


@dataclass(frozen=True)
class _Value:
    """A tensor of torch's, whose axes are those of an activation in some order.

    Attributes:
        name: Of the activation.
        axes: For each axis which of those of the activation it runs over: some of "nchw", outer ones first; "" for an
            axis of length 1 of no meaning.
        parts: Where it is a stack of values, these; the first axis then runs over them.
    """

    name: str
    axes: tuple[str, ...]
    parts: tuple["_Value", ...] = ()


def graph_of(net: nn.Module, shape: tuple[int, int, int], normalisation: Normalisation, what: str) -> Graph:
    """The graph of a classifier, of uint8 images: their normalisation is its first convolution's.

    A log_softmax at the end is left out: it takes the same number from all logits of an image.

    Args:
        net: In evaluation mode, on the CPU; images (n, *shape) -> logits (n, classes).
        shape: Channels, height and width of an image.
        normalisation: How the net sees pixels.
        what: Its name, for messages.

    Raises:
        ShoestringError: It does what integers cannot hold here.
    """
    channels, height, width = shape
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (normalisation.mean, normalisation.std))
    if isinstance(net, DigitAdder):
        net, reads, channels, mean, std = net.reader, True, 1, mean[:1], std[:1]
        if len(set(normalisation.mean)) > 1 or len(set(normalisation.std)) > 1:
            raise ShoestringError(f"{what} reads channels by one net, but sees them by different normalisations")
    else:
        reads = False
    trace = _Trace(what, {IMAGE: (height, width, channels)})
    normalised = trace.write(Affine(IMAGE, "normalised", 1 / (255 * std), -mean / std), (height, width, channels))
    program = _exported(net, (channels, height, width), what)
    held = {**program.state_dict, **program.constants}
    inputs = [normalised if each.target is None else held[each.target] for each in program.graph_signature.input_specs]
    output = trace.run(program.graph_module, *inputs)
    rows, columns, classes = trace.shapes[output.name]
    if (rows, columns) != (1, 1) or (reads and classes != DIGITS):
        raise ShoestringError(
            f"{what} gives {rows}x{columns}x{classes} numbers an image; int8 holds nets that give logits (n, classes)"
        )
    return fused(Graph(trace.shapes, trace.nodes, reads))


def _exported(net: nn.Module, shape: tuple[int, int, int], what: str) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(net, (torch.zeros(1, *shape),))
    except Exception as error:  # torch.export has no common class for what it cannot do
        reason = str(error).strip().splitlines()[0]
        raise ShoestringError(f"{what} has no graph that torch.export can take: {reason}") from error


class _Trace:
    """Translates torch's operators one by one; nodes and shapes of activations gather."""

    def __init__(self, what: str, shapes: dict[str, Shape]) -> None:
        self.what = what
        self.shapes = shapes
        self.nodes: list[Node] = []

    def write(self, node: Node, shape: Shape) -> _Value:
        """Adds a node; its output as torch has it."""
        self.nodes.append(node)
        self.shapes[node.output] = shape
        height, width, _ = shape
        return _Value(node.output, ("n", "c", "h" if height > 1 else "", "w" if width > 1 else ""))

    def run(self, module: fx.GraphModule, *inputs: Any) -> _Value:
        """The output of a module's graph."""
        given, known = iter(inputs), dict[fx.Node, Any]()
        for node in module.graph.nodes:
            if node.op == "placeholder":
                known[node] = next(given)
            elif node.op == "get_attr":
                known[node] = operator.attrgetter(cast(str, node.target))(module)
            elif node.op == "call_function":
                known[node] = self.call(node, known)
            elif node.op == "output":
                result = fx.map_arg(node.args[0], known.__getitem__)
                result = cast(Sequence[Any], result)[0] if isinstance(result, tuple | list) else result
                if not isinstance(result, _Value):
                    raise ShoestringError(f"{self.what} gives what does not depend on its images")
                return result
        raise AssertionError("a graph without output")

    def call(self, node: fx.Node, known: dict[fx.Node, Any]) -> Any:
        """What one operator gives: a value, several of them, or a constant where it reads no value."""
        args, kwargs = cast(
            tuple[tuple[Any, ...], dict[str, Any]], fx.map_arg((node.args, node.kwargs), known.__getitem__)
        )
        values = list[_Value]()
        _gather(args, values)
        target = cast(Callable[..., Any], node.target)
        if not values:
            with torch.no_grad():
                return target(*args, **kwargs)
        if target is operator.getitem:
            return args[0][args[1]]
        name = str(getattr(target, "__name__", target)).split(".")[0]
        if name.startswith("wrap_with_"):  # a block under another autocast or gradient mode
            inner = next(place for place, each in enumerate(args) if isinstance(each, fx.GraphModule))
            return (self.run(args[inner], *args[inner + 1 :]),)
        if name.startswith("_assert"):
            return None
        name = name.removesuffix("_") if not name.startswith("_") else name
        return _Call(self, node, name, args, kwargs).translated()


def _gather(args: Any, values: list[_Value]) -> None:
    if isinstance(args, _Value):
        values.append(args)
    elif isinstance(args, list | tuple):
        for each in cast(Sequence[Any], args):
            _gather(each, values)


@dataclass(frozen=True)
class _Call:
    """One call of an operator of torch's.

    Attributes:
        trace: Where its nodes go.
        node: As torch has it.
        name: Of the operator, without its variants.
        args: With values and constants in the places of nodes.
        kwargs: Likewise.
    """

    trace: _Trace
    node: fx.Node
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def translated(self) -> Any:
        """What it gives: a value or several."""
        name, size = self.name, self.size
        if name in UNCHANGED:
            return self.args[0]
        if name in ("view", "reshape", "_unsafe_view", "flatten", "squeeze", "unsqueeze"):
            return self.reshaped(self.args[0], size)
        if name in ("permute", "transpose"):
            return self.permuted()
        if name in POINTWISE or (name == "pow" and not isinstance(self.args[1], _Value)):
            return self.pointwise()
        method = getattr(self, f"_{name}", None)
        if method is None:
            self.refuse()
        return method()

    @property
    def size(self) -> tuple[int, ...]:
        """The size of what it gives, of one image."""
        value = self.node.meta["val"]
        return tuple(value.shape) if isinstance(value, Tensor) else ()

    @property
    def x(self) -> _Value:
        """Its first argument."""
        return self.args[0]

    def argument(self, place: int, name: str, default: Any) -> Any:
        """An argument by its place or name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def refuse(self, reason: str = "") -> NoReturn:
        """Says that integers cannot hold this."""
        reason = f" ({reason})" if reason else ""
        where = list((self.node.meta.get("nn_module_stack") or {"": ("the net",)}).values())[-1][0] or "the net"
        raise ShoestringError(
            f"{self.trace.what}: int8 has no operator for '{self.name}'{reason} in {where}; it knows {HELD}. "
            f"ONNX holds it: shoestring export {self.trace.what} --to onnx"
        )

    def image_of(self, value: Any, name: str = "") -> str:
        """The name of a value that lies as activations do: (n, c), (n, c, 1, 1) or (n, c, h, w)."""
        if not isinstance(value, _Value) or value.parts:
            self.refuse("of constants" if not isinstance(value, _Value) else "of stacks")
        height, width, _ = self.trace.shapes[value.name]
        full = ("n", "c", "h" if height > 1 else "", "w" if width > 1 else "")
        if value.axes != full and (value.axes, height, width) != (("n", "c"), 1, 1):
            self.refuse("of axes in another order")
        return value.name

    def shape_of(self, value: _Value) -> Shape:
        """Height, width and channels of an activation."""
        return self.trace.shapes[value.name]

    # Axes

    def length(self, value: _Value, axis: str) -> int:
        """How long an axis is."""
        height, width, channels = self.shape_of(value)
        total = 1
        for letter in axis:
            total *= {"n": 1, "c": channels, "h": height, "w": width}[letter]
        return total

    def reshaped(self, value: _Value, size: tuple[int, ...]) -> _Value:
        """The value with its axes joined as a size says; none may be split."""
        left = [axis for axis in value.axes if axis]
        axes: list[str] = []
        for length in size:
            axis = left.pop(0) if left and (length > 1 or left[0] == "n") else ""
            while left and self.length(value, axis) < length:
                axis += left.pop(0)
            if self.length(value, axis) != length:
                self.refuse("that splits an axis")
            axes.append(axis)
        while left and self.length(value, left[0]) == 1:  # a channel of its own that no axis was left for
            axes[-1] += left.pop(0)
        if left:
            self.refuse("that loses an axis")
        return _Value(value.name, tuple(axes))

    def permuted(self) -> _Value:
        axes = list(self.x.axes)
        if self.name == "permute":
            return _Value(self.x.name, tuple(axes[place] for place in cast(Sequence[int], self.args[1])))
        first, second = self.args[1:]
        axes[first], axes[second] = axes[second], axes[first]
        return _Value(self.x.name, tuple(axes))

    def _slice(self) -> _Value:
        dim = cast(int, self.argument(1, "dim", 0))
        axis = self.x.axes[dim]
        start, stop, step = (self.argument(at, name, None) for at, name in ((2, "start"), (3, "end"), (4, "step")))
        length = self.length(self.x, axis)
        start, stop, _ = slice(start, stop).indices(length)
        if (start, stop) == (0, length) and step in (None, 1):
            return self.x
        if axis != "c" or step not in (None, 1):
            self.refuse("of other axes than channels")
        return self._sliced(start, stop, dim)

    def _sliced(self, start: int, stop: int, dim: int, place: int = 0) -> _Value:
        height, width, _ = self.shape_of(self.x)
        output = self.node.name if not place else f"{self.node.name}_{place}"
        written = self.trace.write(Slice(self.x.name, output, start, stop), (height, width, stop - start))
        return _Value(written.name, self.x.axes)

    def _chunk(self) -> list[_Value]:
        dim = self.argument(2, "dim", 0)
        if self.x.axes[dim] != "c":
            self.refuse("of other axes than channels")
        sizes = [each.shape[dim] for each in self.node.meta["val"]]
        ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
        return [
            self._sliced(end - size, end, dim, place + 1)
            for place, (size, end) in enumerate(zip(sizes, ends, strict=True))
        ]

    _split = _split_with_sizes = _chunk

    def _cat(self) -> _Value:
        parts = cast(list[_Value], self.args[0])
        names = tuple(self.image_of(part) for part in parts)
        if parts[0].axes[self.argument(1, "dim", 0)] != "c":
            self.refuse("of other axes than channels")
        height, width, _ = self.shape_of(parts[0])
        channels = sum(self.shape_of(part)[2] for part in parts)
        written = self.trace.write(Concatenate(names, self.node.name), (height, width, channels))
        return _Value(written.name, parts[0].axes)

    def _stack(self) -> _Value:
        parts = tuple(cast(list[_Value], self.args[0]))
        if self.argument(1, "dim", 0) != 0 or len({part.axes for part in parts}) > 1:
            self.refuse("along another axis than a new first one")
        return _Value("", ("s", *parts[0].axes), parts)

    # Weights

    def _conv2d(self) -> _Value:
        x, weight, bias = self.image_of(self.x), cast(Tensor, self.args[1]).double(), self.argument(2, "bias", None)
        bias = weight.new_zeros(len(weight)) if bias is None else cast(Tensor, bias).double()
        padding = self.argument(4, "padding", 0)
        stride, dilation = _pair(self.argument(3, "stride", 1)), _pair(self.argument(5, "dilation", 1))
        if isinstance(padding, str):
            reach = [dilated * (size - 1) for dilated, size in zip(dilation, weight.shape[2:], strict=True)]
            if padding == "same" and any(each % 2 for each in reach):
                self.refuse("with padding on one side only")
            padding = [each // 2 if padding == "same" else 0 for each in reach]
        groups = cast(int, self.argument(6, "groups", 1))
        made = Convolution(x, self.node.name, weight.detach(), bias.detach(), stride, _pair(padding), dilation, groups)
        return self.trace.write(made, (*self.size[2:], self.size[1]))  # pyright: ignore[reportArgumentType]

    def _linear(self) -> _Value:
        weight, bias = cast(Tensor, self.args[1]).double().detach(), self.argument(2, "bias", None)
        bias = weight.new_zeros(len(weight)) if bias is None else cast(Tensor, bias).double().detach()
        height, width, channels = self.shape_of(self.x)
        *outer, features = [axis for axis in self.x.axes if axis]
        if features == "c":  # of each pixel
            weight = weight[:, :, None, None]
        elif outer == ["n"]:
            sizes = [{"c": channels, "h": height, "w": width}[letter] for letter in features]
            whole = "".join(letter for letter in "chw" if letter in features)
            order = [1 + features.index(letter) for letter in whole]
            weight = weight.reshape(-1, *sizes).permute(0, *order).reshape(-1, channels, height, width)
            height, width = 1, 1
        else:
            self.refuse("of axes in another order")
        made = Convolution(self.x.name, self.node.name, weight, bias)
        written = self.trace.write(made, (height, width, len(weight)))
        return _Value(written.name, (*self.x.axes[:-1], "c"))

    def _batch_norm(self) -> _Value:
        scale, shift, mean, variance = (
            None if each is None else cast(Tensor, each).double() for each in self.args[1:5]
        )
        if mean is None or variance is None or self.args[5]:
            self.refuse("by statistics of the batch")
        eps = cast(float, self.args[7])
        scale = torch.rsqrt(variance + eps) * (1 if scale is None else scale)
        return self.affine(scale, (0 if shift is None else shift) - mean * scale)

    def affine(self, scale: Tensor | float, shift: Tensor | float) -> _Value:
        """The map scale * x + shift, of one number or (channels,) each."""
        channels = self.shape_of(self.x)[2]
        each = [torch.as_tensor(part, dtype=torch.float64).detach().expand(channels) for part in (scale, shift)]
        written = self.trace.write(Affine(self.x.name, self.node.name, *each), self.shape_of(self.x))
        return _Value(written.name, self.x.axes)

    def constant(self, value: Any) -> Tensor:
        """A constant operand, as one number or (channels,)."""
        number = torch.as_tensor(value, dtype=torch.float64).detach()
        if number.numel() == 1:
            return number.reshape(())
        size = (1,) * (len(self.x.axes) - number.dim()) + tuple(number.shape)
        varies = [axis for axis, length in zip(self.x.axes, size, strict=False) if length > 1]
        if len(size) > len(self.x.axes) or varies != ["c"]:
            self.refuse("by what varies from pixel to pixel")
        return number.flatten()

    # Functions and pools

    def pointwise(self) -> _Value:
        """A function of each number."""
        if self.x.parts:
            self.refuse("of stacks")
        rest, named = self.args[1:], self.kwargs
        function = getattr(torch.ops.aten, self.name)  # not the variant in place
        lowest = self.argument(1, "min", named.get("min_val"))  # -1 of hardtanh, where it is not said
        saturates = self.name in ("relu", "relu6") or (self.name in ("hardtanh", "clamp", "clamp_min") and lowest == 0)
        pointwise = Pointwise(self.name, lambda x: function(x, *rest, **named), saturates)
        written = self.trace.write(Activate(self.x.name, self.node.name, pointwise), self.shape_of(self.x))
        return _Value(written.name, self.x.axes)

    def _mean(self) -> _Value:
        value = self.x
        every = range(len(value.axes))
        dims = [dim % len(every) for dim in cast(Sequence[int], self.argument(1, "dim", every))]
        if value.parts and dims == [0] and not self.argument(2, "keepdim", False):
            total = value.parts[0]
            for place, part in enumerate(value.parts[1:]):
                add = Add(total.name, part.name, f"{self.node.name}_{place}")
                total = _Value(self.trace.write(add, self.shape_of(part)).name, part.axes)
            fraction = torch.full((self.shape_of(total)[2],), 1 / len(value.parts), dtype=torch.float64)
            written = self.trace.write(
                Affine(total.name, self.node.name, fraction, torch.zeros_like(fraction)), self.shape_of(total)
            )
            return _Value(written.name, total.axes)
        height, width, channels = self.shape_of(value)
        gone = {letter for dim in dims for letter in value.axes[dim]}
        if gone != ({"h"} if height > 1 else set()) | ({"w"} if width > 1 else set()):
            self.refuse("over other axes than height and width")
        kept = ["" if dim in dims else axis for dim, axis in enumerate(value.axes)]
        if not self.argument(2, "keepdim", False):
            kept = [axis for dim, axis in enumerate(value.axes) if dim not in dims]
        return _Value(self.trace.write(Mean(value.name, self.node.name), (1, 1, channels)).name, tuple(kept))

    def _adaptive_avg_pool2d(self) -> _Value:
        height, width, _ = self.shape_of(self.x)
        rows, columns = self.size[2:]
        if (rows, columns) == (1, 1):
            return self.trace.write(Mean(self.image_of(self.x), self.node.name), (1, 1, self.shape_of(self.x)[2]))
        if height % rows or width % columns:
            self.refuse(f"of {height}x{width} to {rows}x{columns}, whose windows overlap")
        kernel = height // rows, width // columns
        return self.average(kernel, kernel, (0, 0))

    def _avg_pool2d(self) -> _Value:
        kernel = _pair(self.args[1])
        stride, padding = _pair(self.argument(2, "stride", None) or kernel), _pair(self.argument(3, "padding", 0))
        counts_outside = padding == (0, 0) or self.argument(5, "count_include_pad", True)
        if self.argument(4, "ceil_mode", False) or not counts_outside or self.argument(6, "divisor_override", None):
            self.refuse("with windows of different sizes")
        return self.average(kernel, stride, padding)

    def average(self, kernel: Pair, stride: Pair, padding: Pair) -> _Value:
        """Means of windows: a depthwise convolution of equal weights."""
        channels = self.shape_of(self.x)[2]
        weight = torch.full((channels, 1, *kernel), 1 / (kernel[0] * kernel[1]), dtype=torch.float64)
        bias = torch.zeros(channels, dtype=torch.float64)
        made = Convolution(self.image_of(self.x), self.node.name, weight, bias, stride, padding, groups=channels)
        return self.trace.write(made, (*self.size[2:], channels))  # pyright: ignore[reportArgumentType]

    def _max_pool2d(self) -> _Value:
        kernel = _pair(self.args[1])
        stride, padding = _pair(self.argument(2, "stride", None) or kernel), _pair(self.argument(3, "padding", 0))
        if self.argument(5, "ceil_mode", False) or _pair(self.argument(4, "dilation", 1)) != (1, 1):
            self.refuse("with windows of different sizes, or dilated ones")
        made = MaxPool(self.image_of(self.x), self.node.name, kernel, stride, padding)
        return self.trace.write(made, (*self.size[2:], self.shape_of(self.x)[2]))  # pyright: ignore[reportArgumentType]

    def _log_softmax(self) -> _Value:
        if self.x.axes[self.args[1]] != "c" or any(user.op != "output" for user in self.node.users):
            self.refuse("before the end of the net")
        return self.x

    # Two operands

    def _mul(self) -> _Value:
        first, second = self.args[:2]
        if not isinstance(first, _Value):
            return _Call(self.trace, self.node, self.name, (second, first), self.kwargs)._mul()
        if not isinstance(second, _Value):
            return self.affine(self.constant(second), 0.0)
        first, second = self._larger_first(first, second)
        written = self.trace.write(Multiply(first.name, second.name, self.node.name), self.shape_of(first))
        return _Value(written.name, first.axes)

    def _div(self) -> _Value:
        if not isinstance(self.args[0], _Value) or isinstance(self.args[1], _Value):
            self.refuse("by what the image decides")
        return self.affine(1 / self.constant(self.args[1]), 0.0)

    def _add(self, sign: int = 1) -> _Value:
        first, second = self.args[:2]
        alpha = sign * cast(float, self.kwargs.get("alpha", 1))
        if not isinstance(first, _Value):
            turned = _Call(self.trace, self.node, self.name, (second, first), {})
            return turned.affine(alpha, turned.constant(first))
        if not isinstance(second, _Value):
            return self.affine(1.0, alpha * self.constant(second))
        if alpha not in (1, -1):
            self.refuse("with a factor")
        if alpha == 1:
            first, second = self._larger_first(first, second)
        elif first.axes != second.axes:
            self.refuse("of different shapes")
        made = Add(first.name, second.name, self.node.name, int(alpha))
        return _Value(self.trace.write(made, self.shape_of(first)).name, first.axes)

    def _sub(self) -> _Value:
        return self._add(-1)

    def _larger_first(self, first: _Value, second: _Value) -> tuple[_Value, _Value]:
        """Both operands, of one shape, or a vector second."""
        if first.axes == second.axes and self.shape_of(first) == self.shape_of(second):
            return first, second
        if self.shape_of(first)[:2] == (1, 1):
            first, second = second, first
        self.image_of(first)
        self.image_of(second)
        if self.shape_of(second) != (1, 1, self.shape_of(first)[2]) or len(second.axes) != 4:
            self.refuse("of shapes that do not fit")
        return first, second


def _pair(numbers: int | Sequence[int]) -> Pair:
    both = (numbers, numbers) if isinstance(numbers, int) else tuple(numbers) * (2 if len(numbers) == 1 else 1)
    return both[0], both[1]
