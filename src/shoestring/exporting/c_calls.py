"""The operators of an integer net as calls in C of the functions in kernels.c, and the arrays that these read."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from shoestring.integers.integer_graph import (
    IMAGE,
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
    Slice,
)
from shoestring.integers.layout import is_depthwise, packed_weight
from shoestring.integers.memory import MemoryPlan, is_view

TYPES = {"int8": "int8_t", "int32": "int32_t", "uint8": "uint8_t"}


@dataclass
class Constants:
    """The arrays of a net; equal ones are written once."""

    names: dict[tuple[str, bytes], str] = field(default_factory=dict[tuple[str, bytes], str])
    lines: list[str] = field(default_factory=list[str])
    size: int = 0

    def add(self, name: str, array: NDArray[Any]) -> str:
        """The name under which an array is to be read."""
        key = array.dtype.name, array.tobytes()
        if key not in self.names:
            self.names[key] = name
            self.size += array.nbytes
            aligned = "WORDS " if name.startswith("weight") else ""
            self.lines.append(array_text(f"static const {aligned}{TYPES[array.dtype.name]} {name}", array))
        return self.names[key]


def array_text(declaration: str, array: NDArray[Any]) -> str:
    """The definition of an array in C."""
    numbers = [str(int(number)) for number in array.ravel()]
    rows = [",".join(numbers[start : start + 24]) for start in range(0, len(numbers), 24)]
    return f"{declaration}[{len(numbers)}] = {{\n" + ",\n".join(rows) + "};\n"


@dataclass
class CallWriter:
    """Writes the call of each operator; arrays and kernels that it needs gather."""

    net: IntegerNet
    plan: MemoryPlan
    constants: Constants
    kernels: set[str] = field(default_factory=lambda: {"always"})

    def call(self, place: int, operator: Operator) -> list[str]:
        """The statements of one operator."""
        if is_view(self.net, operator):
            return []
        last = place == len(self.net.operators) - 1
        output = "0" if last else self.at(operator.output)
        logits = "answers" if last else "0"
        match operator:
            case Convolution():
                return self.convolution(place, operator, output, logits)
            case Mean():
                how, (height, width, channels) = operator.requantisation, self.shape(operator.input)
                self.kernels.add("mean")
                numbers = height * width, channels, operator.bias, how.multiplier[0], how.shift[0], how.zero_point
                return [_call("mean", self.at(operator.input), output, *numbers, self.table(place, how.table), logits)]
            case MaxPool():
                self.kernels.add("max_pool")
                rows, columns, _ = self.shape(operator.output)
                windows = *operator.kernel, *operator.stride, *operator.padding
                return [
                    _call(
                        "max_pool",
                        self.at(operator.input),
                        output,
                        *self.shape(operator.input),
                        rows,
                        columns,
                        *windows,
                    )
                ]
            case Add():
                how, weights, zeros = operator.requantisation, operator.weights, operator.zero_points
                numbers = weights[0], zeros[0], weights[1], zeros[1], how.shift[0], how.zero_point
                return [self.pixelwise("add", operator, output, *numbers, self.table(place, how.table))]
            case Multiply():
                how = operator.requantisation
                numbers = *operator.zero_points, how.multiplier[0], how.shift[0], how.zero_point
                return [self.pixelwise("multiply", operator, output, *numbers, self.table(place, how.table))]
            case Lookup():
                return [self.copy(operator.input, output, 0, None, self.table(place, operator.table), 0)]
            case Slice():
                return [self.copy(operator.input, output, operator.start, operator.stop, "0", 0)]
            case Concatenate():
                calls: list[str] = []
                start, total = 0, self.shape(operator.output)[2]
                for part, (name, table) in enumerate(zip(operator.inputs, operator.tables, strict=True)):
                    which = "0" if table is None else self.constants.add(f"table_{place}_{part}", table)
                    calls.append(self.copy(name, f"{output} + {start}", 0, None, which, total))
                    start += self.shape(name)[2]
                return calls

    def convolution(self, place: int, operator: Convolution, output: str, logits: str) -> list[str]:
        """The call of a convolution, whose numbers lie in a constant."""
        depthwise, of_image = is_depthwise(operator), operator.input == IMAGE
        height, width, channels = self.shape(operator.input)
        rows, columns, outputs = self.shape(operator.output)
        how, residual = operator.requantisation, operator.residual
        arrays = {
            "weight": packed_weight(operator),
            "bias": operator.bias,
            "multiplier": how.multiplier,
            "shift": how.shift,
            "padding_value": operator.padding_value,
            **({} if how.table is None else {"table": how.table}),
            **({} if residual is None else {"residual_weight": residual.weight}),
        }
        named = {key: self.constants.add(f"{key}_{place}", array) for key, array in arrays.items()}
        values: dict[str, object] = {
            **{"height": height, "width": width, "channels": channels},
            "pixel": self.net.image[2] if of_image else channels,
            **{"out_height": rows, "out_width": columns, "outputs": outputs},
            **{"kernel_height": operator.weight.shape[1], "kernel_width": operator.weight.shape[2]},
            **_axes("stride", operator.stride),
            **_axes("padding", operator.padding),
            **_axes("dilation", operator.dilation),
            "groups": operator.groups,
            "mirror": ("none", "image", "twins").index(operator.mirror),
            "flip": "0x80" if of_image else 0,
            **named,
            "zero_point": how.zero_point,
        }
        if residual is not None:
            values |= {"residual_shift": residual.shift, "residual_zero_point": residual.zero_point}
        fields = ", ".join(f".{key} = {value}" for key, value in values.items())
        self.constants.lines.append(f"static const convolution_t layer_{place} = {{{fields}}};\n")
        added = "0" if residual is None else self.at(residual.input)
        self.kernels |= {"depthwise"} if depthwise else {"convolution"}
        if depthwise:
            return [_call("depthwise", f"&layer_{place}", self.at(operator.input), output, added, logits)]
        scratch = f"arena.pairs + {self.plan.scratch[place] // 2}"
        return [_call("convolution", f"&layer_{place}", self.at(operator.input), output, added, scratch, logits)]

    def pixelwise(self, kernel: str, operator: Add | Multiply, output: str, *arguments: object) -> str:
        """The call of an operator of two inputs."""
        self.kernels.add(kernel)
        height, width, channels = self.shape(operator.first)
        is_map = int(self.shape(operator.second) == (height, width, channels))
        inputs = self.at(operator.first), self.at(operator.second)
        return _call(kernel, *inputs, output, height * width, channels, is_map, *arguments)

    def copy(self, name: str, output: str, start: int, stop: int | None, table: str, total: int) -> str:
        """The copy of channels start..stop of an activation into one of `total` channels, as many by default."""
        self.kernels.add("copied")
        height, width, channels = self.shape(name)
        count = (channels if stop is None else stop) - start
        input = self.at(name) + (f" + {start}" if start else "")
        return _call("copied", input, output, height * width, count, channels, total or count, table)

    def table(self, place: int, table: Int8 | None) -> str:
        """The name of a table, or a null pointer."""
        return "0" if table is None else self.constants.add(f"table_{place}", table)

    def shape(self, name: str) -> tuple[int, int, int]:
        """Height, width and channels of an activation."""
        return self.net.activations[name].shape

    def at(self, name: str) -> str:
        """Where an activation lies."""
        return "pixels" if name == IMAGE else f"arena.bytes + {self.plan.offsets[name]}"


def _axes(name: str, pair: tuple[int, int]) -> dict[str, object]:
    return {f"{name}_y": pair[0], f"{name}_x": pair[1]}


def _call(kernel: str, *arguments: object) -> str:
    return f"{kernel}({', '.join(map(str, arguments))});"
