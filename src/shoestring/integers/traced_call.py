"""One call of an operator of torch's, to be translated into nodes of a graph that integers can hold."""

from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor, fx

from shoestring.core.errors import ShoestringError
from shoestring.integers.graph import Affine, Shape
from shoestring.integers.graph_writer import GraphWriter, Value

HELD = "convolutions, linear layers, batch norm, sums, products, pooling, cat, chunk, flatten and activations"


@dataclass(frozen=True)
class TracedCall:
    """One call of an operator of torch's.

    Attributes:
        writer: Where its nodes go.
        node: As torch has it.
        name: Of the operator, without its variants.
        args: With values and constants in the places of nodes.
        kwargs: Likewise.
    """

    writer: GraphWriter
    node: fx.Node
    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def size(self) -> tuple[int, ...]:
        """The size of what it gives, of one image."""
        value = self.node.meta["val"]
        return tuple(value.shape) if isinstance(value, Tensor) else ()

    @property
    def x(self) -> Value:
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
            f"{self.writer.what}: int8 has no operator for '{self.name}'{reason} in {where}; it knows {HELD}. "
            f"ONNX holds it: shoestring export {self.writer.what} --to onnx"
        )

    def image_of(self, value: Any) -> str:
        """The name of a value that lies as activations do: (n, c), (n, c, 1, 1) or (n, c, h, w)."""
        if not isinstance(value, Value) or value.parts:
            self.refuse("of constants" if not isinstance(value, Value) else "of stacks")
        height, width, _ = self.writer.shapes[value.name]
        full = ("n", "c", "h" if height > 1 else "", "w" if width > 1 else "")
        if value.axes != full and (value.axes, height, width) != (("n", "c"), 1, 1):
            self.refuse("of axes in another order")
        return value.name

    def shape_of(self, value: Value) -> Shape:
        """Height, width and channels of an activation."""
        return self.writer.shapes[value.name]

    def length(self, value: Value, axis: str) -> int:
        """How long an axis is."""
        height, width, channels = self.shape_of(value)
        total = 1
        for letter in axis:
            total *= {"n": 1, "c": channels, "h": height, "w": width}[letter]
        return total

    def affine(self, scale: Tensor | float, shift: Tensor | float) -> Value:
        """The map scale * x + shift, of one number or (channels,) each."""
        channels = self.shape_of(self.x)[2]
        each = [torch.as_tensor(part, dtype=torch.float64).detach().expand(channels) for part in (scale, shift)]
        written = self.writer.write(Affine(self.x.name, self.node.name, *each), self.shape_of(self.x))
        return Value(written.name, self.x.axes)

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
