"""A generator as a short list of operators on tensors, with rounded weights: what a page runs in JavaScript.

Everything is for one image at a time, so that every shape is known beforehand. Activations are float32, in torch's
order of axes. What depends on weights alone is computed before. Then the weights of convolutions and linear layers are
rounded to integers of 8 to 12 bits with a scale for each output: q = round(w / scale), scale = max |w| / (2^(bits - 1)
- 1). `FloatProgram.answer` is what the page computes, up to the order of sums; `web/float_net.js` does the same.
"""

import itertools
import math
import operator
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from shoestring.core.errors import ExportError
from shoestring.exporting.exportable import Inputs
from shoestring.exporting.onnx_file import refused
from shoestring.integers.mirror import Mirror, mirror_of

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
