"""Operators that move axes, take parts of them or put them together."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from shoestring.integers.graph import Concatenate, Slice
from shoestring.integers.graph_writer import Value
from shoestring.integers.traced_call import TracedCall


def _reshaped(call: TracedCall) -> Value:
    """The value with its axes joined as a size says; none may be split."""
    value = call.x
    left = [axis for axis in value.axes if axis]
    axes: list[str] = []
    for length in call.size:
        axis = left.pop(0) if left and (length > 1 or left[0] == "n") else ""
        while left and call.length(value, axis) < length:
            axis += left.pop(0)
        if call.length(value, axis) != length:
            call.refuse("that splits an axis")
        axes.append(axis)
    while left and call.length(value, left[0]) == 1:  # a channel of its own that no axis was left for
        axes[-1] += left.pop(0)
    if left:
        call.refuse("that loses an axis")
    return Value(value.name, tuple(axes))


def _permuted(call: TracedCall) -> Value:
    axes = list(call.x.axes)
    if call.name == "permute":
        return Value(call.x.name, tuple(axes[place] for place in cast(Sequence[int], call.args[1])))
    first, second = call.args[1:]
    axes[first], axes[second] = axes[second], axes[first]
    return Value(call.x.name, tuple(axes))


def _slice(call: TracedCall) -> Value:
    dim = cast(int, call.argument(1, "dim", 0))
    axis = call.x.axes[dim]
    start, stop, step = (call.argument(at, name, None) for at, name in ((2, "start"), (3, "end"), (4, "step")))
    length = call.length(call.x, axis)
    start, stop, _ = slice(start, stop).indices(length)
    if (start, stop) == (0, length) and step in (None, 1):
        return call.x
    if axis != "c" or step not in (None, 1):
        call.refuse("of other axes than channels")
    return _channels(call, start, stop, dim)


def _channels(call: TracedCall, start: int, stop: int, dim: int, place: int = 0) -> Value:
    height, width, _ = call.shape_of(call.x)
    output = call.node.name if not place else f"{call.node.name}_{place}"
    written = call.writer.write(Slice(call.x.name, output, start, stop), (height, width, stop - start))
    return Value(written.name, call.x.axes)


def _chunk(call: TracedCall) -> list[Value]:
    dim = call.argument(2, "dim", 0)
    if call.x.axes[dim] != "c":
        call.refuse("of other axes than channels")
    sizes = [each.shape[dim] for each in call.node.meta["val"]]
    ends = [sum(sizes[: place + 1]) for place in range(len(sizes))]
    return [
        _channels(call, end - size, end, dim, place + 1)
        for place, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


def _cat(call: TracedCall) -> Value:
    parts = cast(list[Value], call.args[0])
    names = tuple(call.image_of(part) for part in parts)
    if parts[0].axes[call.argument(1, "dim", 0)] != "c":
        call.refuse("of other axes than channels")
    height, width, _ = call.shape_of(parts[0])
    channels = sum(call.shape_of(part)[2] for part in parts)
    written = call.writer.write(Concatenate(names, call.node.name), (height, width, channels))
    return Value(written.name, parts[0].axes)


def _stack(call: TracedCall) -> Value:
    parts = tuple(cast(list[Value], call.args[0]))
    if call.argument(1, "dim", 0) != 0 or len({part.axes for part in parts}) > 1:
        call.refuse("along another axis than a new first one")
    return Value("", ("s", *parts[0].axes), parts)


AXIS_OPERATORS: Mapping[str, Callable[[TracedCall], Any]] = {
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "flatten", "squeeze", "unsqueeze"), _reshaped),
    **dict.fromkeys(("permute", "transpose"), _permuted),
    "slice": _slice,
    **dict.fromkeys(("chunk", "split", "split_with_sizes"), _chunk),
    "cat": _cat,
    "stack": _stack,
}
