"""An integer net as ONNX in QDQ form: a runtime takes int8 for what QuantizeLinear and DequantizeLinear stand around.

Weights, biases, zero points, tables and the places where numbers become int8 are those of the integer net. What differs
from its simulation is left to the runtime: QuantizeLinear rounds halves to even where the simulation rounds them up,
sums of a convolution may be taken in float32, and a residual is added in float32. So a number is now and then off by
one of its 256 steps.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoestring.exporting.onnx_file import OPSET, need
from shoestring.exporting.onnx_mirror import mirrored
from shoestring.integers.integer_graph import (
    IMAGE,
    Activation,
    Add,
    Concatenate,
    Convolution,
    Int8,
    IntegerNet,
    Lookup,
    MaxPool,
    Mean,
    Multiply,
    Operator,
    Requantisation,
    Slice,
)

LEAST = -1e30
"""Log-probability of what cannot be."""


def write_qdq(net: IntegerNet, file: Path, facts: dict[str, Any]) -> None:
    """Writes an integer net as ONNX, uint8 images (n, c, h, w) to logits (n, classes), for any batch size.

    Args:
        net: The net.
        file: Where to.
        facts: What its user must know, as JSON under the metadata key "shoestring".

    Raises:
        ExportError: The extra is missing.
    """
    (onnx,) = need("onnx")
    graph = _Graph(onnx, net)
    for operator in net.operators:
        graph.write(operator)
    graph.finish()
    height, width, channels = net.image
    tensor = onnx.helper.make_tensor_value_info
    images = tensor("images", onnx.TensorProto.UINT8, ["batch", channels, height, width])
    logits = tensor("logits", onnx.TensorProto.FLOAT, ["batch", net.num_classes])
    made = onnx.helper.make_graph(graph.nodes, "integer net", [images], [logits], graph.constants)
    model = onnx.helper.make_model(
        made, opset_imports=[onnx.helper.make_opsetid("", OPSET)], producer_name="shoestring", ir_version=8
    )
    entry = model.metadata_props.add()
    entry.key, entry.value = "shoestring", json.dumps(facts, separators=(",", ":"))
    onnx.checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString())


class _Graph:
    """Writes operator by operator; each activation is there as int8 under its name, and as float32 when it is read."""

    def __init__(self, onnx: Any, net: IntegerNet) -> None:
        self.onnx = onnx
        self.net = net
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.floats: dict[str, str] = {}
        self.count = 0
        self.image = "images"
        if net.digit_sum is not None:  # the reader sees one channel at a time
            height, width, _ = net.image
            self.image = self.node("Reshape", "images", self.array(np.array([-1, 1, height, width])))

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Adds a node; the name of its output."""
        self.count += 1
        name = output or f"t{self.count}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def array(self, numbers: NDArray[Any]) -> str:
        """The name of a constant."""
        self.count += 1
        name = f"c{self.count}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(numbers, order="C"), name))
        return name

    def scale(self, number: float) -> str:
        """The name of one float32."""
        return self.array(np.array(number, np.float32))

    def read(self, name: str) -> str:
        """An activation in float32, (n, c, h, w)."""
        if name not in self.floats:
            known = self.net.activations[name]
            if name == IMAGE:
                self.floats[name] = self.pixels(np.array(known.zero_point + 128, np.uint8))
            else:
                zero = self.array(np.array(known.zero_point, np.int8))
                self.floats[name] = self.node("DequantizeLinear", name, self.scale(known.scale), zero)
        return self.floats[name]

    def pixels(self, zeros: NDArray[np.uint8]) -> str:
        """The image in float32 less a zero point, or one for each channel."""
        scales = np.full(zeros.shape, self.net.activations[IMAGE].scale, np.float32)
        return self.node("DequantizeLinear", self.image, self.array(scales), self.array(zeros), axis=1)

    def quantised(self, x: str, scale: float, how: Requantisation, output: str) -> None:
        """Numbers as int8 of a scale, then through the table, if there is one."""
        zero = self.array(np.array(how.zero_point, np.int8))
        if how.table is None:
            self.node("QuantizeLinear", x, self.scale(scale), zero, output=output)
        else:
            self.looked_up(self.node("QuantizeLinear", x, self.scale(scale), zero), how.table, output)

    def looked_up(self, q: str, table: Int8, output: str) -> None:
        """table[q + 128], with the table turned so that int8 counts from its middle as ONNX counts from the end."""
        turned = np.roll(table, 128)  # places 0..127, then -128..-1
        self.node("Gather", self.array(turned), self.node("Cast", q, to=self.onnx.TensorProto.INT32), output=output)

    def write(self, operator: Operator) -> None:
        """Adds the nodes of one operator."""
        activation = self.net.activations[operator.output]
        match operator:
            case Convolution():
                self.convolution(operator, activation)
            case Mean():
                height, width, _ = self.net.activations[operator.input].shape
                x = self.node("GlobalAveragePool", self.read(operator.input))
                unit = self.net.activations[operator.input].scale / (height * width)
                self.finished(x, unit, operator.requantisation, activation, operator.output)
            case MaxPool():
                x = self.node(
                    "MaxPool",
                    self.read(operator.input),
                    kernel_shape=operator.kernel,
                    strides=operator.stride,
                    pads=(*operator.padding, *operator.padding),
                )
                self.same(x, activation, operator.output)
            case Add():
                first, second = map(self.read, operator.inputs)
                kind = "Add" if operator.weights[1] > 0 else "Sub"
                unit = self.net.activations[operator.first].scale / operator.weights[0]
                self.finished(
                    self.node(kind, first, second), unit, operator.requantisation, activation, operator.output
                )
            case Multiply():
                first, second = (self.net.activations[name].scale for name in operator.inputs)
                x = self.node("Mul", *map(self.read, operator.inputs))
                self.finished(x, first * second, operator.requantisation, activation, operator.output)
            case Lookup():
                self.looked_up(operator.input, operator.table, operator.output)
            case Slice():
                ends = (self.array(np.array([place])) for place in (operator.start, operator.stop, 1))
                self.same(self.node("Slice", self.read(operator.input), *ends), activation, operator.output)
            case Concatenate():
                parts: list[str] = []
                for name, table in zip(operator.inputs, operator.tables, strict=True):
                    parts.append(name)
                    if table is not None:
                        parts[-1] = f"{operator.output}.{len(parts)}"
                        self.looked_up(name, table, parts[-1])
                self.node("Concat", *parts, axis=1, output=operator.output)

    def same(self, x: str, activation: Activation, output: str) -> None:
        """Numbers that are those of an activation already."""
        zero = self.array(np.array(activation.zero_point, np.int8))
        self.node("QuantizeLinear", x, self.scale(activation.scale), zero, output=output)

    def finished(self, x: str, unit: float, how: Requantisation, activation: Activation, output: str) -> None:
        """Numbers, one accumulator of which stands for `unit`, as an activation or as logits."""
        if activation.bits == 32:
            self.node("Identity", x, output=output)
            return
        steps = float(how.multiplier[0]) / 2.0 ** float(how.shift[0])  # of the output for each accumulator
        self.quantised(x, unit / steps, how, output)

    def convolution(self, operator: Convolution, activation: Activation) -> None:
        """A convolution. Outside of its input is zero when each channel is read less its padding value."""
        kernels = operator.kernels().transpose(0, 3, 1, 2)
        given, how, residual = self.net.activations[operator.input], operator.requantisation, operator.residual
        steps = how.multiplier.astype(np.float64) / 2.0 ** how.shift.astype(np.float64)  # of the output
        steps = np.broadcast_to(steps, operator.bias.shape)
        # What a step of the output, or of its table's input, stands for; any unit does before a table.
        unit = activation.scale if how.table is None or activation.bits == 32 else 1.0
        if residual is not None:
            unit = self.net.activations[residual.input].scale / float(np.median(residual.weight * steps))
            steps = steps * 2.0**residual.shift
        group = np.arange(len(kernels)) * operator.groups // len(kernels)
        depth = kernels.shape[1]
        zeros = operator.padding_value.astype(np.int64)[group[:, None] * depth + np.arange(depth)]
        bias = operator.bias + (kernels.astype(np.int64).sum((2, 3)) * zeros).sum(1)
        scales = steps * unit / given.scale
        x = self.offset(operator.input, operator.padding_value)
        weight = self.node("DequantizeLinear", self.kernels(operator), self.array(scales.astype(np.float32)), axis=0)
        bias_scales = (scales.astype(np.float32) * np.float32(given.scale)).astype(np.float32)
        added = self.node("DequantizeLinear", self.array(bias.astype(np.int32)), self.array(bias_scales), axis=0)
        x = self.node(
            "Conv",
            *(x, weight, added),
            strides=operator.stride,
            pads=(*operator.padding, *operator.padding),
            dilations=operator.dilation,
            group=operator.groups,
            kernel_shape=kernels.shape[2:],
        )
        if residual is not None:
            x = self.node("Add", x, self.read(residual.input))
        if activation.bits == 32:
            self.node("Identity", x, output=operator.output)
        else:
            self.quantised(x, unit, how, operator.output)

    def kernels(self, operator: Convolution) -> str:
        """The kernels of all outputs of a convolution, of which mirrored ones are held once."""
        held = self.array(operator.weight.transpose(0, 3, 1, 2))
        if operator.mirror == "none":
            return held
        nodes, constants = mirrored(self.onnx, self.constants[-1], operator.mirror, f"{held}.whole")
        self.nodes += nodes
        self.constants += constants
        return f"{held}.whole"

    def offset(self, name: str, zeros: Int8) -> str:
        """An activation less a number for each channel; where they are all its zero point, as it is read elsewhere."""
        if (zeros == self.net.activations[name].zero_point).all():
            return self.read(name)
        shifted = zeros.astype(np.int16) + 128
        if name == IMAGE:
            return self.pixels(shifted.astype(np.uint8))
        scales = np.full(len(zeros), self.net.activations[name].scale, np.float32)
        return self.node("DequantizeLinear", name, self.array(scales), self.array(zeros), axis=1)

    def finish(self) -> None:
        """Logits, (n, classes), from what the last operator gives."""
        last = self.net.operators[-1].output
        if self.net.digit_sum is None:
            self.node("Flatten", last, output="logits")
            return
        channels = self.net.image[2]
        digits = self.node("Reshape", last, self.array(np.array([-1, channels, 10])))
        total = self.one_of(digits, 0)
        count = 10
        for channel in range(1, channels):
            sums = np.arange(count + 9)[:, None] - np.arange(10)
            places = np.where((sums >= 0) & (sums < count), sums, count)  # the last stands for what cannot be
            padded = self.node("Pad", total, self.array(np.array([0, 0, 0, 1])), self.scale(LEAST))
            terms = self.node(
                "Add",
                self.node("Gather", padded, self.array(places), axis=1),
                self.node("Unsqueeze", self.one_of(digits, channel), self.array(np.array([1]))),
            )
            total = self.node("ReduceLogSumExp", terms, self.array(np.array([2])), keepdims=0)
            count += 9
        ends = (self.array(np.array([place])) for place in (1, self.net.num_classes + 1, 1))
        self.node("Slice", total, *ends, output="logits")

    def one_of(self, digits: str, channel: int) -> str:
        """The logits of one channel's digit, (n, 10)."""
        return self.node("Gather", digits, self.array(np.array(channel)), axis=1)
