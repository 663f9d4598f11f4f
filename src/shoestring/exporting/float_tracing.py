"""The program of any generator, by torch.export; what the page has no operator for is refused by name."""

import itertools
import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

import torch
from torch import Tensor, fx, nn

from shoestring.core.errors import ExportError
from shoestring.exporting.exportable import Inputs
from shoestring.exporting.float_program import UNARY, Constant, FloatProgram, Step
from shoestring.exporting.onnx_file import refused

SMALLEST = 64
"""Numbers of a weight that is worth rounding; smaller ones stay float32."""
SAME = (
    "view",
    "_unsafe_view",
    "reshape",
    "unflatten",
    "squeeze",
    "unsqueeze",
    "clone",
    "alias",
    "detach",
    "contiguous",
)
CONVERSIONS = ("_to_copy", "to", "lift_fresh_copy")
BINARY = {"add": "add", "sub": "subtract", "mul": "multiply", "div": "divide", "eq": "equal"}


def float_program(net: nn.Module, example: Inputs, inputs: Sequence[str], what: str) -> FloatProgram:
    """The program of a net; its weights are still as they were trained.

    Args:
        net: In evaluation mode, on the CPU.
        example: What it takes for one image, (1, ...) each.
        inputs: Names of that.
        what: Its name, for messages.

    Raises:
        ExportError: torch.export cannot trace the net, or it does what a page cannot.
    """
    # What has a shorter meaning whole than in pieces stays whole.
    table = torch.export.default_decompositions()
    for kept in ("linear", "silu", "scaled_dot_product_attention"):
        for overload in getattr(torch.ops.aten, kept).overloads():
            table.pop(getattr(getattr(torch.ops.aten, kept), overload), None)
    try:
        with warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.export.export(net, example).run_decompositions(table)
    except Exception as error:  # whatever the exporter raises about a net of the user's own
        raise refused(what, "a page", error) from error
    trace = _Trace(what)
    held = {**program.state_dict, **program.constants}
    names, shapes = iter(inputs), dict[str, tuple[int, ...]]()
    known: dict[fx.Node, Any] = {}
    for node, spec in zip(program.graph.find_nodes(op="placeholder"), program.graph_signature.input_specs, strict=True):
        if spec.target is None:
            name = next(names)
            shapes[name] = tuple(node.meta["val"].shape)
            known[node] = _Value(name, shapes[name])
        else:
            known[node] = held[spec.target]
    with torch.no_grad():
        trace.run(program.graph, known)
    return FloatProgram(shapes, tuple(trace.steps), trace.constants)


@dataclass(frozen=True)
class _Value:
    """A tensor that depends on the inputs."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class _Weight:
    """A layer's weight, whose outputs are along an axis."""

    tensor: Tensor
    axis: int


class _Trace:
    """Translates torch's operators one by one; steps and constants gather."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.steps: list[Step] = []
        self.constants: dict[str, Constant] = {}
        self.named: dict[int, tuple[str, Tensor]] = {}

    def run(self, graph: fx.Graph, known: dict[fx.Node, Any]) -> None:
        """Adds all steps of a graph, given what its placeholders are."""
        for node in graph.nodes:
            if node.op != "call_function":
                continue
            args, kwargs = cast(
                tuple[tuple[Any, ...], dict[str, Any]], fx.map_arg((node.args, node.kwargs), known.__getitem__)
            )
            target = cast(Callable[..., Any], node.target)
            if target is operator.getitem:
                known[node] = args[0][args[1]]
            elif str(target).startswith("aten._assert"):
                known[node] = None
            elif not any(isinstance(each, _Value) for each in _flat(args)):
                known[node] = target(*args, **kwargs)
            else:
                known[node] = self.translated(node, args, kwargs)

    def translated(self, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What one operator gives: a value, or several of them."""
        name, value = str(node.target).split(".")[1], node.meta["val"]

        def argument(place: int, key: str, default: Any) -> Any:
            return args[place] if len(args) > place else kwargs.get(key, default)

        def step(operator: str, *operands: Any, shape: Sequence[int] | None = None, **options: Any) -> _Value:
            return self.step(operator, operands, tuple(value.shape) if shape is None else tuple(shape), options)

        match name:
            case _ if name in CONVERSIONS or name in SAME:
                x = cast(_Value, args[0])
                return x if x.shape == tuple(value.shape) else step("reshape", x)
            case _ if name in UNARY:
                return step(name, args[0])
            case _ if name in BINARY:
                first, second = args[:2]
                alpha = kwargs.get("alpha", 1)
                if alpha != 1:
                    size = tuple(second.shape) if isinstance(second, _Value | Tensor) else ()
                    second = step("multiply", second, alpha, shape=size)
                return step(BINARY[name], first, second)
            case "leaky_relu":
                return step(name, args[0], slope=argument(1, "negative_slope", 0.01))
            case "clamp" | "clamp_min" | "clamp_max" | "hardtanh":
                least = argument(1, "min", None) if name != "clamp_max" else None
                most = argument(1 if name == "clamp_max" else 2, "max", None)
                return step("clamp", args[0], least=least, most=most)
            case "pow" if isinstance(args[1], int | float):
                return step("power", args[0], exponent=args[1])
            case "permute":
                return step("permute", args[0], order=[axis % len(args[1]) for axis in args[1]])
            case "expand":
                return step("expand", args[0])
            case "full_like" | "ones_like" | "zeros_like":
                number = {"ones_like": 1.0, "zeros_like": 0.0}.get(name)
                return torch.full(tuple(value.shape), args[1] if number is None else number)
            case "slice":
                return self.sliced(args[0], argument(1, "dim", 0), *args[2:5])
            case "split_with_sizes":
                axis = argument(2, "dim", 0)
                ends = itertools.accumulate(args[1])
                return [self.sliced(args[0], axis, end - size, end) for end, size in zip(ends, args[1], strict=True)]
            case "select":
                axis, place = args[1] % len(args[0].shape), args[2] % args[0].shape[args[1]]
                return step("reshape", self.sliced(args[0], axis, place, place + 1))
            case "unbind":
                axis = argument(1, "dim", 0) % len(args[0].shape)
                parts = [self.sliced(args[0], axis, place, place + 1) for place in range(args[0].shape[axis])]
                return [step("reshape", part, shape=value[0].shape) for part in parts]
            case "cat":
                return step("concatenate", *args[0], axis=argument(1, "dim", 0) % value.ndim)
            case "flip":
                return self.mirrored(args[0], [axis % value.ndim for axis in args[1]])
            case "mean":
                axes = [axis % len(args[0].shape) for axis in argument(1, "dim", range(len(args[0].shape)))]
                return step("mean", args[0], axes=axes)
            case "linear":
                return step("linear", args[0], *self.weights(args[1:], 0))
            case "convolution":
                return self.convolution(node, *args)
            case "_native_batch_norm_legit_no_training":
                return (self.normalised(*args),)
            case "scaled_dot_product_attention":
                if any(each for each in args[3:]) or any(kwargs.values()):
                    self.refuse(node, "with a mask, dropout or another scale")
                return step("attend", *args[:3])
            case "avg_pool2d":
                stride = argument(2, "stride", None) or args[1]
                if any(_pair(argument(3, "padding", 0))) or argument(4, "ceil_mode", False):
                    self.refuse(node, "with padding")
                return step("average", args[0], kernel=_pair(args[1]), stride=_pair(stride))
            case "upsample_nearest2d":
                factors = {value.shape[axis] / args[0].shape[axis] for axis in (2, 3)}
                if len(factors) > 1 or not (factor := factors.pop()).is_integer():
                    self.refuse(node, "by a factor that is no whole number")
                return step("repeat_pixels", args[0], factor=int(factor))
            case "upsample_bilinear2d":
                target = cast(Callable[..., Tensor], node.target)
                return self.interpolated(args[0], lambda images: target(images, *args[1:], **kwargs))
            case _:
                self.refuse(node)
        raise AssertionError("every case returns")

    def sliced(self, x: _Value, axis: int, start: int | None = 0, stop: int | None = None, step: int = 1) -> _Value:
        """Some places along an axis; the value itself where they are all."""
        axis %= len(x.shape)
        start, stop, step = slice(start, stop, step).indices(x.shape[axis])
        count = len(range(start, stop, step))
        if count == x.shape[axis]:
            return x
        shape = *x.shape[:axis], count, *x.shape[axis + 1 :]
        return self.step("slice", (x,), shape, {"axis": axis, "start": start, "stop": stop, "step": step})

    def mirrored(self, x: _Value, axes: Sequence[int]) -> _Value:
        """The value in the opposite order along axes: their places one by one, for they are few."""
        for axis in axes:
            places = [self.sliced(x, axis, place, place + 1) for place in reversed(range(x.shape[axis]))]
            x = self.step("concatenate", places, x.shape, {"axis": axis})
        return x

    def interpolated(self, x: _Value, interpolate: Callable[[Tensor], Tensor]) -> _Value:
        """Images (n, c, h, w) of other sides, as a product with a matrix along each axis.

        Args:
            x: The images.
            interpolate: What is done to them, each axis for itself; its matrices are what it makes of unit vectors.
        """
        n, channels, height, width = x.shape
        right = interpolate(torch.eye(width)[None, :, None].expand(1, width, height, width))[0, :, 0].mT.contiguous()
        down = interpolate(torch.eye(height)[None, ..., None].expand(1, height, height, width))[
            0, ..., 0
        ].mT.contiguous()
        rows, columns = len(down), len(right)
        x = self.step("linear", (x, right), (n, channels, height, columns), {})
        x = self.step("permute", (x,), (n, channels, columns, height), {"order": [0, 1, 3, 2]})
        x = self.step("linear", (x, down), (n, channels, columns, rows), {})
        return self.step("permute", (x,), (n, channels, rows, columns), {"order": [0, 1, 3, 2]})

    def convolution(
        self,
        node: fx.Node,
        x: _Value,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        transposed: bool,
        output_padding: Sequence[int],
        groups: int,
    ) -> _Value:
        """A convolution, transposed or not; arguments as of torch."""
        if transposed and (groups > 1 or tuple(dilation) != (1, 1)):
            self.refuse(node, "transposed, with groups or dilation")
        options: dict[str, Any] = {"stride": _pair(stride), "padding": _pair(padding)}
        options |= {"output_padding": _pair(output_padding)} if transposed else {}
        options |= {} if transposed else {"dilation": _pair(dilation), "groups": groups}
        operands = x, *self.weights((weight, bias), int(transposed))
        shape = tuple(node.meta["val"].shape)
        return self.step("convolve_transposed" if transposed else "convolve", operands, shape, options)

    def normalised(
        self,
        x: _Value,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        momentum: float,
        eps: float,
    ) -> _Value:
        """A batch norm in evaluation mode: a product and a sum; arguments as of torch."""
        scale = torch.rsqrt(variance + eps) * (1 if weight is None else weight)
        shift = (0 if bias is None else bias) - mean * scale
        size = (-1, *(1,) * (len(x.shape) - 2))
        product = self.step("multiply", (x, scale.reshape(size)), x.shape, {})
        return self.step("add", (product, shift.reshape(size)), x.shape, {})

    def weights(self, tensors: Sequence[Tensor | None], axis: int) -> list[Any]:
        """Weight and bias of a layer as operands: the weight rounded, the bias left out where there is none."""
        weight, *bias = tensors
        assert isinstance(weight, Tensor)
        return [_Weight(weight, axis), *(each for each in bias if each is not None)]

    def constant(self, number: Any) -> str:
        """The name of a constant; the same tensor has one."""
        weight = number if isinstance(number, _Weight) else None
        tensor = torch.as_tensor(number if weight is None else weight.tensor)
        key = id(tensor)
        if key not in self.named:
            name = f"c{len(self.constants)}"
            self.named[key] = name, tensor  # the tensor too, so that its id stays its own
            values = tensor.detach().float()
            axis = weight.axis if weight is not None and values.numel() >= SMALLEST else None
            self.constants[name] = Constant(values, axis)
        return self.named[key][0]

    def step(self, operator: str, operands: Sequence[Any], shape: tuple[int, ...], options: dict[str, Any]) -> _Value:
        """Adds a step; tensors and numbers among its operands become constants."""
        output = f"v{len(self.steps)}"
        inputs = tuple(each.name if isinstance(each, _Value) else self.constant(each) for each in operands)
        self.steps.append(Step(operator, output, inputs, shape, options))
        return _Value(output, shape)

    def refuse(self, node: fx.Node, reason: str = "") -> NoReturn:
        """Says that the page cannot do this."""
        reason = f" ({reason})" if reason else ""
        raise ExportError(
            f"{self.what}: the page has no operator for '{node.target}'{reason}. ONNX holds it: shoestring export "
            f"{self.what} --to onnx"
        )


def _flat(args: Any) -> list[Any]:
    if isinstance(args, list | tuple):
        return [each for part in cast(Sequence[Any], args) for each in _flat(part)]
    return [args]


def _pair(numbers: int | Sequence[int]) -> tuple[int, int]:
    both = (numbers, numbers) if isinstance(numbers, int) else tuple(numbers) * (2 if len(numbers) == 1 else 1)
    return both[0], both[1]
