"""An integer net as one C99 file: static memory, no heap, no floats, nothing but <stdint.h>.

Its arithmetic is that of `integer_graph`, so its logits are those of `simulation` to the bit. On Cortex-M4 and M7
convolutions multiply two pairs of numbers at once (SMLAD); elsewhere they are plain C.
"""

import re
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from shoestring.core.errors import ShoestringError
from shoestring.exporting.c_calls import CallWriter, Constants, array_text
from shoestring.integers.integer_graph import IMAGE, Activation, Convolution, IntegerNet
from shoestring.integers.layout import multiply_adds, packed_weight, scratch_of
from shoestring.integers.memory import MemoryPlan, plan_memory
from shoestring.integers.simulation import integer_logits
from shoestring.nets.digit_sum import DIGITS


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
    plan, constants = plan_memory(net, partial(scratch_of, net)), Constants()
    writer = CallWriter(net, plan, constants)
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


def _kernels(wanted: set[str]) -> str:
    """The functions of kernels.c that a net needs."""
    text = files("shoestring.exporting").joinpath("kernels.c").read_text(encoding="utf-8")
    parts = re.split(r"/\* kernel: ([\w ]+) \*/\n", text)
    return "".join(body for names, body in zip(parts[1::2], parts[2::2], strict=True) if wanted & set(names.split()))


def _source(
    net: IntegerNet, name: str, plan: MemoryPlan, constants: Constants, calls: list[str], kernels: set[str]
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
        lines += [array_text(f"static const int32_t {key}_table", getattr(digits, key)) for key in ("exp2", "log2")]
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


def _header(net: IntegerNet, name: str, plan: MemoryPlan, constants: Constants) -> str:
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
            array_text("static const uint8_t images", pixels),
            array_text("static const int32_t expected", integer_logits(net, images)),
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


def _table(net: IntegerNet, name: str, plan: MemoryPlan, constants: Constants) -> str:
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
