"""Operators on each number: functions, sums, differences, products and quotients; and the softmax that is left out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch

from shoestring.integers.graph import Activate, Add, Multiply, Pointwise
from shoestring.integers.graph_writer import Value
from shoestring.integers.traced_call import TracedCall

POINTWISE = (
    *("relu", "relu6", "silu", "sigmoid", "hardswish", "hardsigmoid", "tanh", "gelu", "elu", "leaky_relu", "mish"),
    *("softplus", "selu", "celu", "hardtanh", "clamp", "clamp_min", "abs", "square"),
)


def _pointwise(call: TracedCall) -> Value:
    """A function of each number."""
    if call.x.parts:
        call.refuse("of stacks")
    rest, named = call.args[1:], call.kwargs
    function = getattr(torch.ops.aten, call.name)  # not the variant in place
    lowest = call.argument(1, "min", named.get("min_val"))  # -1 of hardtanh, where it is not said
    saturates = call.name in ("relu", "relu6") or (call.name in ("hardtanh", "clamp", "clamp_min") and lowest == 0)
    pointwise = Pointwise(call.name, lambda x: function(x, *rest, **named), saturates)
    written = call.writer.write(Activate(call.x.name, call.node.name, pointwise), call.shape_of(call.x))
    return Value(written.name, call.x.axes)


def _pow(call: TracedCall) -> Value:
    if isinstance(call.args[1], Value):
        call.refuse("by what the image decides")
    return _pointwise(call)


def _log_softmax(call: TracedCall) -> Value:
    if call.x.axes[call.args[1]] != "c" or any(user.op != "output" for user in call.node.users):
        call.refuse("before the end of the net")
    return call.x


def _mul(call: TracedCall) -> Value:
    first, second = call.args[:2]
    if not isinstance(first, Value):
        return _mul(replace(call, args=(second, first)))
    if not isinstance(second, Value):
        return call.affine(call.constant(second), 0.0)
    first, second = _larger_first(call, first, second)
    written = call.writer.write(Multiply(first.name, second.name, call.node.name), call.shape_of(first))
    return Value(written.name, first.axes)


def _div(call: TracedCall) -> Value:
    if not isinstance(call.args[0], Value) or isinstance(call.args[1], Value):
        call.refuse("by what the image decides")
    return call.affine(1 / call.constant(call.args[1]), 0.0)


def _add(call: TracedCall, sign: int = 1) -> Value:
    first, second = call.args[:2]
    alpha = sign * cast(float, call.kwargs.get("alpha", 1))
    if not isinstance(first, Value):
        turned = replace(call, args=(second, first))
        return turned.affine(alpha, turned.constant(first))
    if not isinstance(second, Value):
        return call.affine(1.0, alpha * call.constant(second))
    if alpha not in (1, -1):
        call.refuse("with a factor")
    if alpha == 1:
        first, second = _larger_first(call, first, second)
    elif first.axes != second.axes:
        call.refuse("of different shapes")
    made = Add(first.name, second.name, call.node.name, int(alpha))
    return Value(call.writer.write(made, call.shape_of(first)).name, first.axes)


def _sub(call: TracedCall) -> Value:
    return _add(call, -1)


def _larger_first(call: TracedCall, first: Value, second: Value) -> tuple[Value, Value]:
    """Both operands, of one shape, or a vector second."""
    if first.axes == second.axes and call.shape_of(first) == call.shape_of(second):
        return first, second
    if call.shape_of(first)[:2] == (1, 1):
        first, second = second, first
    call.image_of(first)
    call.image_of(second)
    if call.shape_of(second) != (1, 1, call.shape_of(first)[2]) or len(second.axes) != 4:
        call.refuse("of shapes that do not fit")
    return first, second


NUMBER_OPERATORS: Mapping[str, Callable[[TracedCall], Any]] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    "pow": _pow,
    "log_softmax": _log_softmax,
    "mul": _mul,
    "div": _div,
    "add": _add,
    "sub": _sub,
}
