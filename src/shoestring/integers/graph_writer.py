"""What a graph that integers can hold is written with: values, nodes and shapes of activations."""

from dataclasses import dataclass

from shoestring.integers.graph import Node, Shape


@dataclass(frozen=True)
class Value:
    """A tensor of torch's, whose axes are those of an activation in some order.

    Attributes:
        name: Of the activation.
        axes: For each axis which of those of the activation it runs over: some of "nchw", outer ones first; "" for an
            axis of length 1 of no meaning.
        parts: Where it is a stack of values, these; the first axis then runs over them.
    """

    name: str
    axes: tuple[str, ...]
    parts: tuple["Value", ...] = ()


class GraphWriter:
    """Gathers nodes and shapes of activations.

    Args:
        what: Name of the net, for messages.
        shapes: Height, width and channels of each activation that there is, by name.
    """

    def __init__(self, what: str, shapes: dict[str, Shape]) -> None:
        self.what = what
        self.shapes = shapes
        self.nodes: list[Node] = []

    def write(self, node: Node, shape: Shape) -> Value:
        """Adds a node; its output as torch has it."""
        self.nodes.append(node)
        self.shapes[node.output] = shape
        height, width, _ = shape
        return Value(node.output, ("n", "c", "h" if height > 1 else "", "w" if width > 1 else ""))
