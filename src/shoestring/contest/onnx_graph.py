"""An ONNX file as data: everything in it that could hold weights, counted; nothing of it is run."""

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from shoestring.core.errors import ExportError, RunError

EXTRA = "pip install 'shoestring[onnx]'"
DOMAINS = {"", "ai.onnx"}
BYTES_OF_A_NUMBER = 4


@dataclass(frozen=True)
class OnnxGraph:
    """What a file holds.

    Attributes:
        counted: Numbers by where they are: each initializer, and each constant in an attribute. Text counts a number
            for every four bytes.
        operators: Kinds of operators, with their domain where it is not ONNX's own.
        external: Whether tensors lie in other files.
        inputs: Names of the inputs, in order.
        facts: What is under the metadata key "shoestring".
    """

    counted: dict[str, int]
    operators: tuple[str, ...]
    external: bool
    inputs: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def parameters(self) -> int:
        """All numbers of the file that could be weights."""
        return sum(self.counted.values())


def need(name: str) -> Any:
    """A module of the extra `onnx`.

    Raises:
        ExportError: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ExportError(f"ONNX files need {name}, which is not installed: {EXTRA}") from error


def read_onnx(file: Path) -> OnnxGraph:
    """The graph in a file.

    Raises:
        ExportError: The extra is not installed.
        RunError: The file is no ONNX.
    """
    onnx = need("onnx")
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:  # whatever protobuf says of other bytes
        raise RunError(f"{file} cannot be read as ONNX: {error}") from error
    if not model.graph.node:
        raise RunError(f"{file} cannot be read as ONNX: it has no graph")
    counted: dict[str, int] = {}
    operators: set[str] = set()
    external = False
    for place, tensor in _tensors(model):
        counted[f"{len(counted)} {place}"] = _numbers(tensor)
        external |= bool(getattr(tensor, "external_data", ()))
    for graph in (model.graph, *model.functions):
        for node in _nodes(graph):
            operators.add(node.op_type if node.domain in DOMAINS else f"{node.domain}.{node.op_type}")
    facts: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key == "shoestring":
            with suppress(ValueError):
                facts = dict(json.loads(entry.value))
    own = {one.name for one in model.graph.initializer}
    inputs = tuple(one.name for one in model.graph.input if one.name not in own)
    return OnnxGraph(counted, tuple(sorted(operators)), external, inputs, facts)


def _nodes(graph: Any) -> Iterator[Any]:
    """All nodes of a graph or a function, those of branches and loops too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _nodes(inner)


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Everything that holds numbers: initializers, tensors and lists in attributes, with where they are."""
    graphs = [model.graph, *model.functions]
    while graphs:
        graph = graphs.pop()
        for name in ("initializer", "sparse_initializer"):
            for tensor in getattr(graph, name, ()):  # a function has none
                yield f"{name} {getattr(tensor, 'name', '')}", tensor
        for node in graph.node:
            for attribute in node.attribute:
                graphs += [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]
                where = f"{node.op_type}.{attribute.name}"
                for field in ("t", "sparse_tensor"):
                    if attribute.HasField(field):
                        yield where, getattr(attribute, field)
                for field in ("tensors", "sparse_tensors"):
                    for tensor in getattr(attribute, field):
                        yield where, tensor
                if (
                    node.op_type == "Constant"
                    or len(attribute.floats) + len(attribute.ints) > LIST
                    or attribute.strings
                ):
                    yield where, [*attribute.floats, *attribute.ints, *map(bytes, attribute.strings), attribute.s]


LIST = 16
"""Elements of a list in an attribute up to which it is a shape or a kernel's size, not weights."""


def _numbers(tensor: Any) -> int:
    """How many numbers a tensor or a list holds; of a sparse one its values and their places."""
    if isinstance(tensor, list):
        elements = cast("list[float | bytes]", tensor)
        return sum(math.ceil(len(each) / BYTES_OF_A_NUMBER) if isinstance(each, bytes) else 1 for each in elements)
    if hasattr(tensor, "values") and hasattr(tensor, "indices"):
        return _numbers(tensor.values) + _numbers(tensor.indices)
    if tensor.string_data:
        return sum(math.ceil(len(each) / BYTES_OF_A_NUMBER) for each in tensor.string_data)
    return math.prod(tensor.dims)
