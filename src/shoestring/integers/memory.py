"""Where activations lie while an integer net runs: one arena of bytes, parts of which they take while needed."""

from collections.abc import Callable
from dataclasses import dataclass

from shoestring.integers.integer_graph import IMAGE, Add, Convolution, IntegerNet, Lookup, Multiply, Operator, Slice

ALIGNMENT = 4


@dataclass(frozen=True)
class MemoryPlan:
    """Parts of the arena, in bytes.

    Attributes:
        offsets: Of each activation; of the image too, if it has a place.
        scratch: Of each operator's own working memory, by its place.
        size: Of the arena.
        peaks: Bytes in use while each operator runs.
    """

    offsets: dict[str, int]
    scratch: dict[int, int]
    size: int
    peaks: list[int]


@dataclass
class _Buffer:
    size: int
    first: int
    last: int
    offset: int = -1


def plan_memory(net: IntegerNet, scratch: Callable[[Operator], int]) -> MemoryPlan:
    """Where all activations lie: largest first, where no other is at the time (arXiv 2001.03288, section 5.2).

    An operator that reads and writes number by number writes into the place of an input that nobody else reads later;
    channels of a vector lie where the vector does. Logits are the caller's, and so is the image, unless it has a place
    that costs nothing.

    Args:
        net: The net.
        scratch: Bytes that an operator needs for itself.
    """
    bare, with_image = (_planned(net, scratch, image) for image in (False, True))
    return with_image if with_image.size == bare.size else bare


def _planned(net: IntegerNet, scratch: Callable[[Operator], int], image: bool) -> MemoryPlan:
    last = {name: place for place, operator in enumerate(net.operators) for name in operator.inputs}
    buffers: dict[str, _Buffer] = {}
    shifts: dict[str, int] = {}  # of views, in their buffers
    working: dict[int, _Buffer] = {}
    if image:
        size = net.image[0] * net.image[1] * net.image[2]
        buffers[IMAGE] = _Buffer(size, 0, last[IMAGE] if net.repeats == 1 else len(net.operators))
    for place, operator in enumerate(net.operators):
        working[place] = _Buffer(scratch(operator), place, place)
        if place == len(net.operators) - 1:
            break
        until, output = last.get(operator.output, place), operator.output
        whole = _written_over(net, operator, buffers, place)
        if is_view(net, operator):
            buffers[output] = buffers[operator.inputs[0]]
            assert isinstance(operator, Slice)
            shifts[output] = shifts.get(operator.input, 0) + operator.start
            buffers[output].last = max(buffers[output].last, until)
        elif whole is not None:
            buffers[output], shifts[output] = buffers[whole], shifts.get(whole, 0)
            buffers[output].last = until
        else:
            buffers[output] = _Buffer(net.activations[output].size, place, until)
    unique = list({id(buffer): buffer for buffer in (*buffers.values(), *working.values()) if buffer.size}.values())
    size = _place(unique)
    peaks = [
        max((each.offset + each.size for each in unique if each.first <= place <= each.last), default=0)
        for place in range(len(net.operators))
    ]
    offsets = {name: buffer.offset + shifts.get(name, 0) for name, buffer in buffers.items()}
    return MemoryPlan(offsets, {place: max(0, each.offset) for place, each in working.items()}, size, peaks)


def is_view(net: IntegerNet, operator: Operator) -> bool:
    """Whether an operator need not do anything, since its output lies within its input."""
    return (
        isinstance(operator, Slice) and operator.input != IMAGE and net.activations[operator.input].shape[:2] == (1, 1)
    )


def _written_over(net: IntegerNet, operator: Operator, buffers: dict[str, _Buffer], place: int) -> str | None:
    """The input in whose place an operator can write."""
    match operator:
        case Convolution():
            residual = operator.residual
            candidates = () if residual is None or residual.input == operator.input else (residual.input,)
        case Add() | Multiply() | Lookup():
            candidates = operator.inputs
        case _:
            candidates = ()
    size = net.activations[operator.output].size
    for name in candidates:
        buffer = buffers.get(name)
        if buffer is not None and buffer.last == place and buffer.size == size:
            return name
    return None


def _place(buffers: list[_Buffer]) -> int:
    """Gives each buffer its offset; the size of all together."""
    for buffer in sorted(buffers, key=lambda each: (-each.size, each.first)):
        offset = 0
        beside = (
            each for each in buffers if each.offset >= 0 and each.first <= buffer.last and buffer.first <= each.last
        )
        for other in sorted(beside, key=lambda each: each.offset):
            if offset + buffer.size <= other.offset:
                break
            offset = max(offset, -(-(other.offset + other.size) // ALIGNMENT) * ALIGNMENT)
        buffer.offset = offset
    return max((each.offset + each.size for each in buffers), default=0)
