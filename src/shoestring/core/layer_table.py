"""The layer table: where the parameters and the arithmetic of a model are."""

from shoestring.core.budget import Layer
from shoestring.core.html import table


class LayerTable(list[Layer]):
    """The rows in order, as a list; a notebook shows them as a table with their sums."""

    def _repr_html_(self) -> str:
        rows = [
            (layer.name, layer.type, "×".join(map(str, layer.output)), layer.parameters, layer.multiply_adds)
            for layer in self
        ]
        sums = ("all", "", "", sum(layer.parameters for layer in self), sum(layer.multiply_adds for layer in self))
        return table("Layers", ("layer", "type", "output", "parameters", "multiply-adds"), [*rows, sums])
