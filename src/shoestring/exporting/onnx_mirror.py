"""Mirrored kernels in ONNX: the file holds one of each pair, and the graph makes the other before anything runs.

Runtimes compute what depends on constants alone once, when they load a file.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoestring.integers.mirror import Mirror, mirror_of


def mirrored(onnx: Any, held: Any, mirror: Mirror, output: str) -> tuple[list[Any], list[Any]]:
    """The nodes that make all kernels of a layer from half of them, and the constants that they read besides.

    Args:
        onnx: The module.
        held: The half that the file holds, a tensor (kernels, channels, height, width).
        mirror: How the rest follows; not "none".
        output: Name of what they make, (2 kernels, channels, height, width).
    """
    channels, width = held.dims[1], held.dims[3]
    orders: list[tuple[str, int, NDArray[np.int64]]] = [("columns", 3, np.arange(int(width))[::-1])]
    if mirror == "twins":
        orders.append(("channels", 1, np.roll(np.arange(int(channels)), int(channels) // 2)))
    nodes: list[Any] = []
    constants: list[Any] = []
    turned = held.name
    for what, axis, order in orders:
        constants.append(onnx.numpy_helper.from_array(np.ascontiguousarray(order), f"{output}.{what}"))
        nodes.append(onnx.helper.make_node("Gather", [turned, constants[-1].name], [f"{output}.by_{what}"], axis=axis))
        turned = nodes[-1].output[0]
    nodes.append(onnx.helper.make_node("Concat", [held.name, turned], [output], axis=0))
    return nodes, constants


def hold_once(onnx: Any, graph: Any) -> None:
    """Leaves in a graph one of each pair of mirrored kernels, wherever a convolution has nothing but such pairs."""
    read = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    made: list[Any] = []
    for tensor in list(graph.initializer):
        if tensor.name not in read:
            continue
        kernels = onnx.numpy_helper.to_array(tensor)
        mirror = mirror_of(kernels.transpose(0, 2, 3, 1))
        if mirror != "none":
            whole = tensor.name
            tensor.CopyFrom(onnx.numpy_helper.from_array(kernels[: len(kernels) // 2], f"{whole}.half"))
            nodes, constants = mirrored(onnx, tensor, mirror, whole)
            made += nodes
            graph.initializer.extend(constants)
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*made, *others])
