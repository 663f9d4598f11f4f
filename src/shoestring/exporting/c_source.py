"""An integer net as one C99 file: static memory, no heap, no floats, nothing but <stdint.h>.

Its arithmetic is that of `integer_graph`, so its logits are those of `simulation` to the bit. On Cortex-M4 and M7
convolutions multiply two pairs of numbers at once (SMLAD); elsewhere they are plain C.
"""

import re
from dataclasses import dataclass, field
from functools import partial
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoestring.core.errors import ShoestringError
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
    Slice,
)
from shoestring.integers.layout import is_depthwise, multiply_adds, packed_weight, scratch_of
from shoestring.integers.memory import MemoryPlan, is_view, plan_memory
from shoestring.integers.simulation import integer_logits
from shoestring.nets.digit_sum import DIGITS

TYPES = {"int8": "int8_t", "int32": "int32_t", "uint8": "uint8_t"}


@dataclass
class _Constants:
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
            self.lines.append(_array(f"static const {aligned}{TYPES[array.dtype.name]} {name}", array))
        return self.names[key]


def _array(declaration: str, array: NDArray[Any]) -> str:
    numbers = [str(int(number)) for number in array.ravel()]
    rows = [",".join(numbers[start : start + 24]) for start in range(0, len(numbers), 24)]
    return f"{declaration}[{len(numbers)}] = {{\n" + ",\n".join(rows) + "};\n"


@dataclass(frozen=True)
class CSource:
    """A net in C, and what it takes.

    Attributes:
        files: Text by file name: NAME.c and NAME.h; NAME_test.c, a program that gives how many of its logits of the
            images in it are wrong; NAME.md, what each operator takes.
        constant_bytes: Of all arrays: weights, biases, multipliers, tables.
        arena_bytes: Of the static memory that activations lie in.
    """

    files: dict[str, str]
    constant_bytes: int
    arena_bytes: int


def c_source(net: IntegerNet, name: str, images: NDArray[np.uint8]) -> CSource:
    """The C source of a net.

    Args:
        net: The net.
        name: What its functions and files are named after; must be a name in C, too.
        images: Images of the test vectors, uint8 (n, c, h, w); a few, since they lie in the test's source.

    Raises:
        ShoestringError: The name is none in C.
    """
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII):
        raise ShoestringError(f"'{name}' cannot name functions in C; take letters, digits and _, a letter first")
    plan, constants = plan_memory(net, partial(scratch_of, net)), _Constants()
    writer = _Writer(net, plan, constants)
    calls = [line for place, operator in enumerate(net.operators) for line in writer.call(place, operator)]
    source = _source(net, name, plan, constants, calls, writer.kernels)
    return CSource(
        {
            f"{name}.c": source,
            f"{name}.h": _header(net, name, plan, constants),
            f"{name}_test.c": _test(net, name, images),
            f"{name}.md": _table(net, name, plan, constants),
        },
        constants.size,
        plan.size,
    )


@dataclass
class _Writer:
    """Writes the call of each operator; arrays and kernels that it needs gather."""

    net: IntegerNet
    plan: MemoryPlan
    constants: _Constants
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


def _kernels(wanted: set[str]) -> str:
    """The functions of kernels.c that a net needs."""
    text = files("shoestring.exporting").joinpath("kernels.c").read_text(encoding="utf-8")
    parts = re.split(r"/\* kernel: ([\w ]+) \*/\n", text)
    return "".join(body for names, body in zip(parts[1::2], parts[2::2], strict=True) if wanted & set(names.split()))


def _source(
    net: IntegerNet, name: str, plan: MemoryPlan, constants: _Constants, calls: list[str], kernels: set[str]
) -> str:
    upper, size = name.upper(), -(-max(plan.size, 4) // 4) * 4
    digits = net.digit_sum
    lines = [
        f"/* {name}: {net.metadata.get('model', name)} in int8, written by shoestring. C99. */",
        f'#include "{name}.h"',
        "",
        f"/* All activations, each where it is needed; {plan.size} bytes are used. */",
        f"static union {{ int32_t aligned; int16_t pairs[{size // 2}]; int8_t bytes[{size}]; }} arena;",
        "",
    ]
    if digits is not None:
        kernels = kernels | {"digit_sum"}
        lines.append(f"#define DIGITS {DIGITS}")
        lines += [_array(f"static const int32_t {key}_table", getattr(digits, key)) for key in ("exp2", "log2")]
        constants.size += digits.exp2.nbytes + digits.log2.nbytes
    lines += [_kernels(kernels), *constants.lines]
    reads = "pixels" in " ".join(calls)
    body = [f"    {call}" for call in calls]
    if digits is None:
        lines += [
            f"void {name}_logits(const uint8_t *image, int32_t *logits)",
            "{",
            *(["    const int8_t *pixels = (const int8_t *)image;"] if reads else []),
            "    int32_t *answers = logits;",
            *body,
            "}",
        ]
    else:
        channels = net.image[2]
        lines += [
            f"void {name}_logits(const uint8_t *image, int32_t *logits)",
            "{",
            f"    int32_t total[{9 * channels + 1}], answers[DIGITS];",
            "    int channel, count = 0, i;",
            f"    for (channel = 0; channel < {channels}; channel++) {{",
            "        const int8_t *pixels = (const int8_t *)image + channel;",
            *(f"    {line}" for line in body),
            "        if (channel)",
            "            count = digit_added(total, count, answers);",
            "        else",
            "            for (; count < DIGITS; count++)",
            "                total[count] = answers[count];",
            "    }",
            f"    for (i = 0; i < {upper}_CLASSES; i++)",
            "        logits[i] = total[i + 1];",
            "}",
        ]
    lines += [
        "",
        f"int {name}_class(const uint8_t *image)",
        "{",
        f"    int32_t logits[{upper}_CLASSES];",
        "    int best = 0, i;",
        f"    {name}_logits(image, logits);",
        f"    for (i = 1; i < {upper}_CLASSES; i++)",
        "        if (logits[i] > logits[best])",
        "            best = i;",
        "    return best;",
        "}",
    ]
    if IMAGE in plan.offsets:
        lines += [
            "",
            f"uint8_t *{name}_image_buffer(void)",
            "{",
            f"    return (uint8_t *)arena.bytes + {plan.offsets[IMAGE]};",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _header(net: IntegerNet, name: str, plan: MemoryPlan, constants: _Constants) -> str:
    upper, (height, width, channels) = name.upper(), net.image
    buffer = f"""
/* Memory for an image that costs none, since the net uses it itself later: {name}_logits overwrites it. */
uint8_t *{name}_image_buffer(void);
"""
    return f"""/* {name}: {net.metadata.get("model", name)} in int8, written by shoestring. */
#ifndef {upper}_H
#define {upper}_H
#include <stdint.h>

#define {upper}_HEIGHT {height}
#define {upper}_WIDTH {width}
#define {upper}_CHANNELS {channels}
#define {upper}_CLASSES {net.num_classes}
#define {upper}_CONSTANT_BYTES {constants.size}
#define {upper}_ARENA_BYTES {plan.size}
/* Integers times this are logits, up to one number for each image, which softmax does not see. */
#define {upper}_LOGIT_SCALE {net.output.scale!r}

#ifdef __cplusplus
extern "C" {{
#endif

/* Logits, {upper}_CLASSES of them, of an image: rows of pixels, of each its {channels} channels, 0..255.
   Memory is static: one call at a time. */
void {name}_logits(const uint8_t *image, int32_t *logits);

/* The class of the largest logit, 0..{net.num_classes - 1}. */
int {name}_class(const uint8_t *image);
{buffer if IMAGE in plan.offsets else ""}
#ifdef __cplusplus
}}
#endif
#endif
"""


def _test(net: IntegerNet, name: str, images: NDArray[np.uint8]) -> str:
    upper = name.upper()
    pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return "\n".join(
        (
            f"/* Images and their logits by the exact simulation. Gives how many logits {name}.c gets wrong: 0. */",
            f'#include "{name}.h"',
            "",
            _array("static const uint8_t images", pixels),
            _array("static const int32_t expected", integer_logits(net, images)),
            "int main(void)",
            "{",
            f"    int32_t logits[{upper}_CLASSES];",
            "    int image, i, wrong = 0;",
            f"    for (image = 0; image < {len(images)}; image++) {{",
            f"        {name}_logits(images + image * {pixels[0].size}, logits);",
            f"        for (i = 0; i < {upper}_CLASSES; i++)",
            f"            wrong += logits[i] != expected[image * {upper}_CLASSES + i];",
            "    }",
            "    return wrong > 255 ? 255 : wrong;",
            "}",
            "",
        )
    )


def _table(net: IntegerNet, name: str, plan: MemoryPlan, constants: _Constants) -> str:
    rows: list[str] = []
    for place, operator in enumerate(net.operators):
        activation: Activation = net.activations[operator.output]
        shape = "x".join(map(str, activation.shape))
        weights = packed_weight(operator).size if isinstance(operator, Convolution) else 0
        numbers = shape, weights, multiply_adds(net, operator), activation.size, plan.scratch[place], plan.peaks[place]
        rows.append(f"| {place} | {type(operator).__name__.lower()} | " + " | ".join(map(str, numbers)) + " |")
    total = sum(multiply_adds(net, operator) for operator in net.operators)
    image = "lies in the arena until it is read" if IMAGE in plan.offsets else "is the caller's"
    return f"""# {name}

{constants.size} bytes of constants, {plan.size} bytes of arena, {total} multiply-adds an image.
The image of {np.prod(net.image)} bytes {image}.

| operator | kind | output | weights | multiply-adds | bytes of output | of patches | of arena in use |
| --- | --- | --- | --- | --- | --- | --- | --- |
{chr(10).join(rows)}
"""
