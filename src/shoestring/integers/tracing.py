"""The graph of any torch module, by torch.export; what integers cannot hold is refused by name."""

import operator
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import fx, nn

from shoestring.core.errors import ShoestringError
from shoestring.data.dataset import Normalisation
from shoestring.integers.axis_operators import AXIS_OPERATORS
from shoestring.integers.fusing import fused
from shoestring.integers.graph import Affine, Graph
from shoestring.integers.graph_writer import GraphWriter, Value
from shoestring.integers.layer_operators import LAYER_OPERATORS
from shoestring.integers.number_operators import NUMBER_OPERATORS
from shoestring.integers.traced_call import TracedCall
from shoestring.nets.digit_sum import DIGITS, DigitAdder

IMAGE = "image"
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
OPERATORS = {**AXIS_OPERATORS, **LAYER_OPERATORS, **NUMBER_OPERATORS}


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
    writer = GraphWriter(what, {IMAGE: (height, width, channels)})
    normalised = writer.write(Affine(IMAGE, "normalised", 1 / (255 * std), -mean / std), (height, width, channels))
    program = _exported(net, (channels, height, width), what)
    held = {**program.state_dict, **program.constants}
    inputs = [normalised if each.target is None else held[each.target] for each in program.graph_signature.input_specs]
    output = _run(writer, program.graph_module, *inputs)
    rows, columns, classes = writer.shapes[output.name]
    if (rows, columns) != (1, 1) or (reads and classes != DIGITS):
        raise ShoestringError(
            f"{what} gives {rows}x{columns}x{classes} numbers an image; int8 holds nets that give logits (n, classes)"
        )
    return fused(Graph(writer.shapes, writer.nodes, reads))


def _exported(net: nn.Module, shape: tuple[int, int, int], what: str) -> torch.export.ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(net, (torch.zeros(1, *shape),))
    except Exception as error:  # torch.export has no common class for what it cannot do
        reason = str(error).strip().splitlines()[0]
        raise ShoestringError(f"{what} has no graph that torch.export can take: {reason}") from error


def _run(writer: GraphWriter, module: fx.GraphModule, *inputs: Any) -> Value:
    """The output of a module's graph."""
    given, known = iter(inputs), dict[fx.Node, Any]()
    for node in module.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(given)
        elif node.op == "get_attr":
            known[node] = operator.attrgetter(cast(str, node.target))(module)
        elif node.op == "call_function":
            known[node] = _translated(writer, node, known)
        elif node.op == "output":
            result = fx.map_arg(node.args[0], known.__getitem__)
            result = cast(Sequence[Any], result)[0] if isinstance(result, tuple | list) else result
            if not isinstance(result, Value):
                raise ShoestringError(f"{writer.what} gives what does not depend on its images")
            return result
    raise AssertionError("a graph without output")


def _translated(writer: GraphWriter, node: fx.Node, known: dict[fx.Node, Any]) -> Any:
    """What one operator gives: a value, several of them, or a constant where it reads no value."""
    args, kwargs = cast(tuple[tuple[Any, ...], dict[str, Any]], fx.map_arg((node.args, node.kwargs), known.__getitem__))
    target = cast(Callable[..., Any], node.target)
    if target is operator.getitem:
        return args[0][args[1]]
    if not any(isinstance(known[each], Value) for each in node.all_input_nodes):
        with torch.no_grad():
            return target(*args, **kwargs)
    name = str(getattr(target, "__name__", target)).split(".")[0]
    if name.startswith("wrap_with_"):  # a block under another autocast or gradient mode
        inner = next(place for place, each in enumerate(args) if isinstance(each, fx.GraphModule))
        return (_run(writer, args[inner], *args[inner + 1 :]),)
    if name.startswith("_assert"):
        return None
    name = name.removesuffix("_") if not name.startswith("_") else name
    call = TracedCall(writer, node, name, args, kwargs)
    if name in UNCHANGED:
        return call.x
    if name not in OPERATORS:
        call.refuse()
    return OPERATORS[name](call)
