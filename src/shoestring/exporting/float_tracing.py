"""The program of any generator, by torch.export; what the page has no operator for is refused by name."""

import itertools
import operator
import warnings
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from shoestring.exporting.exportable import Inputs
from shoestring.exporting.float_layers import batch_norm, convolution, interpolated
from shoestring.exporting.float_program import UNARY, FloatProgram
from shoestring.exporting.float_writer import ProgramWriter, Value
from shoestring.exporting.onnx_file import refused
from shoestring.integers.graph import pair

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
    writer = ProgramWriter(what)
    held = {**program.state_dict, **program.constants}
    names, shapes = iter(inputs), dict[str, tuple[int, ...]]()
    known: dict[fx.Node, Any] = {}
    for node, spec in zip(program.graph.find_nodes(op="placeholder"), program.graph_signature.input_specs, strict=True):
        if spec.target is None:
            name = next(names)
            shapes[name] = tuple(node.meta["val"].shape)
            known[node] = Value(name, shapes[name])
        else:
            known[node] = held[spec.target]
    with torch.no_grad():
        _run(writer, program.graph, known)
    return FloatProgram(shapes, tuple(writer.steps), writer.constants)


def _run(writer: ProgramWriter, graph: fx.Graph, known: dict[fx.Node, Any]) -> None:
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
        elif not any(isinstance(known[each], Value) for each in node.all_input_nodes):
            known[node] = target(*args, **kwargs)
        else:
            known[node] = _translated(writer, node, args, kwargs)


def _translated(writer: ProgramWriter, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What one operator gives: a value, or several of them."""
    name, value = str(node.target).split(".")[1], node.meta["val"]

    def argument(place: int, key: str, default: Any) -> Any:
        return args[place] if len(args) > place else kwargs.get(key, default)

    def step(operator: str, *operands: Any, shape: Sequence[int] | None = None, **options: Any) -> Value:
        return writer.step(operator, operands, tuple(value.shape) if shape is None else tuple(shape), options)

    match name:
        case _ if name in CONVERSIONS or name in SAME:
            x = cast(Value, args[0])
            return x if x.shape == tuple(value.shape) else step("reshape", x)
        case _ if name in UNARY:
            return step(name, args[0])
        case _ if name in BINARY:
            first, second = args[:2]
            alpha = kwargs.get("alpha", 1)
            if alpha != 1:
                size = tuple(second.shape) if isinstance(second, Value | Tensor) else ()
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
            return writer.sliced(args[0], argument(1, "dim", 0), *args[2:5])
        case "split_with_sizes":
            axis = argument(2, "dim", 0)
            ends = itertools.accumulate(args[1])
            return [writer.sliced(args[0], axis, end - size, end) for end, size in zip(ends, args[1], strict=True)]
        case "select":
            axis, place = args[1] % len(args[0].shape), args[2] % args[0].shape[args[1]]
            return step("reshape", writer.sliced(args[0], axis, place, place + 1))
        case "unbind":
            axis = argument(1, "dim", 0) % len(args[0].shape)
            parts = [writer.sliced(args[0], axis, place, place + 1) for place in range(args[0].shape[axis])]
            return [step("reshape", part, shape=value[0].shape) for part in parts]
        case "cat":
            return step("concatenate", *args[0], axis=argument(1, "dim", 0) % value.ndim)
        case "flip":
            return writer.mirrored(args[0], [axis % value.ndim for axis in args[1]])
        case "mean":
            axes = [axis % len(args[0].shape) for axis in argument(1, "dim", range(len(args[0].shape)))]
            return step("mean", args[0], axes=axes)
        case "linear":
            return step("linear", args[0], *writer.weights(args[1:], 0))
        case "convolution":
            return convolution(writer, node, *args)
        case "_native_batch_norm_legit_no_training":
            return (batch_norm(writer, *args),)
        case "scaled_dot_product_attention":
            if any(each for each in args[3:]) or any(kwargs.values()):
                writer.refuse(node, "with a mask, dropout or another scale")
            return step("attend", *args[:3])
        case "avg_pool2d":
            stride = argument(2, "stride", None) or args[1]
            if any(pair(argument(3, "padding", 0))) or argument(4, "ceil_mode", False):
                writer.refuse(node, "with padding")
            return step("average", args[0], kernel=pair(args[1]), stride=pair(stride))
        case "upsample_nearest2d":
            factors = {value.shape[axis] / args[0].shape[axis] for axis in (2, 3)}
            if len(factors) > 1 or not (factor := factors.pop()).is_integer():
                writer.refuse(node, "by a factor that is no whole number")
            return step("repeat_pixels", args[0], factor=int(factor))
        case "upsample_bilinear2d":
            target = cast(Callable[..., Tensor], node.target)
            return interpolated(writer, args[0], lambda images: target(images, *args[1:], **kwargs))
        case _:
            writer.refuse(node)
    raise AssertionError("every case returns")
