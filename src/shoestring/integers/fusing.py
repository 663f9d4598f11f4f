"""A graph's operators fused as integers need them: what follows a convolution is done before its sum is rounded."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from shoestring.integers.graph import Activate, Add, Affine, Convolution, Graph, Mean, Multiply, Node


def fused(graph: Graph) -> Graph:
    """The graph with affine maps, activations and residual additions inside the operators that can take them over.

    Its last node is a convolution or a mean without activation, so that logits need not pass through eight bits.
    """
    nodes = list(graph.nodes)
    for step in (_without_affine, _with_activations, _with_residuals):
        nodes = step(nodes, graph)
    if not isinstance(nodes[-1], Convolution | Mean) or nodes[-1].activation is not None:
        channels = graph.shapes[nodes[-1].output][2]
        one, zero = torch.ones(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
        nodes.append(_depthwise(Affine(nodes[-1].output, "logits", one, zero)))
        graph = replace(graph, shapes={**graph.shapes, "logits": (1, 1, channels)})
    written = {node.output for node in nodes}
    shapes = {name: shape for place, (name, shape) in enumerate(graph.shapes.items()) if place == 0 or name in written}
    return replace(graph, shapes=shapes, nodes=nodes)


def _readers(nodes: Sequence[Node], name: str) -> list[Node]:
    return [node for node in nodes if name in node.inputs]


def _writer(nodes: Sequence[Node], name: str) -> Node | None:
    return next((node for node in nodes if node.output == name), None)


def _without_affine(nodes: list[Node], graph: Graph) -> list[Node]:
    image = next(iter(graph.shapes))
    # The last first, so that one that follows another is in it before that one looks for a place.
    while affine := next((node for node in reversed(nodes) if isinstance(node, Affine)), None):
        place = nodes.index(affine)
        writer, readers = _writer(nodes, affine.input), _readers(nodes, affine.output)
        if isinstance(writer, Convolution | Affine) and _readers(nodes, affine.input) == [affine]:
            # Where the writer now stands, it writes what the affine map wrote.
            nodes[nodes.index(writer)] = _before(writer, affine)
            del nodes[place]
        elif readers and all(_takes(reader, affine, affine.input == image) for reader in readers):
            nodes = [_after(node, affine) if node in readers else node for node in nodes]
            del nodes[place]
        else:
            nodes[place] = _depthwise(affine)
    return nodes


def _before(writer: Convolution | Affine, affine: Affine) -> Node:
    """A node that an affine map follows, and the map, in one."""
    if isinstance(writer, Affine):
        shift = affine.scale * writer.shift + affine.shift
        return replace(writer, output=affine.output, scale=affine.scale * writer.scale, shift=shift)
    weight = writer.weight * affine.scale[:, None, None, None]
    return replace(writer, output=affine.output, weight=weight, bias=affine.scale * writer.bias + affine.shift)


def _takes(reader: Node, affine: Affine, of_image: bool) -> bool:
    """Whether a node can take over the affine map that it reads.

    Padding then has the value that the map makes 0 of. It is rounded as the input is, which only an image, whose values
    are fine, can bear.
    """
    if not isinstance(reader, Convolution) or reader.input != affine.output or reader.residual == affine.output:
        return False
    return reader.padding == (0, 0) or (of_image and reader.padding_value is None and bool((affine.scale != 0).all()))


def _after(reader: Node, affine: Affine) -> Node:
    assert isinstance(reader, Convolution)
    outputs, depth = reader.weight.shape[:2]
    first = torch.arange(outputs) * reader.groups // outputs * depth
    channels = first[:, None] + torch.arange(depth)  # that each kernel reads
    bias = reader.bias + (reader.weight.sum((2, 3)) * affine.shift[channels]).sum(1)
    weight = reader.weight * affine.scale[channels][:, :, None, None]
    padding_value = None if reader.padding == (0, 0) else -affine.shift / affine.scale
    return replace(reader, input=affine.input, weight=weight, bias=bias, padding_value=padding_value)


def _depthwise(affine: Affine) -> Convolution:
    weight = affine.scale[:, None, None, None]
    return Convolution(affine.input, affine.output, weight, affine.shift, groups=len(affine.scale))


def _with_activations(nodes: list[Node], graph: Graph) -> list[Node]:
    for activate in [node for node in nodes if isinstance(node, Activate)]:
        writer = _writer(nodes, activate.input)
        if not isinstance(writer, Convolution | Mean | Add | Multiply) or writer.activation is not None:
            continue
        if _readers(nodes, activate.input) == [activate]:
            nodes[nodes.index(writer)] = replace(writer, output=activate.output, activation=activate.activation)
            nodes.remove(activate)
    return nodes


def _with_residuals(nodes: list[Node], graph: Graph) -> list[Node]:
    """Additions in the convolution before them: what it gives is added to before it is rounded to eight bits."""
    for add in [node for node in nodes if isinstance(node, Add) and node.sign == 1]:
        if graph.shapes[add.first] != graph.shapes[add.second]:
            continue
        convolutions = [node for node in nodes if node.output in add.inputs and _can_add(node, add, nodes)]
        if not convolutions:
            continue
        last = convolutions[-1]
        assert isinstance(last, Convolution)
        other = add.first if last.output == add.second else add.second
        nodes[nodes.index(add)] = replace(last, output=add.output, residual=other, activation=add.activation)
        nodes.remove(last)
    return nodes


def _can_add(node: Node, add: Add, nodes: Sequence[Node]) -> bool:
    alone = isinstance(node, Convolution) and node.activation is None and node.residual is None
    return alone and add.first != add.second and _readers(nodes, node.output) == [add]
