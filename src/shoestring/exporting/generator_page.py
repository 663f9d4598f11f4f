"""A generator as one HTML file: its program, what runs it in plain JavaScript, and a page to make pictures with."""

from pathlib import Path
from typing import Any

from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import ExportError
from shoestring.core.run import Run
from shoestring.exporting.exportable import Exportable, sampler
from shoestring.exporting.float_program import FloatProgram
from shoestring.exporting.float_tracing import float_program
from shoestring.exporting.html_page import html_page

SCRIPTS = ("unpack.js", "float_net.js", "sample.js", "generate.js")
MOST_BITS, LEAST_BITS = 12, 8
LARGEST = 1_500_000
"""Bytes of a page."""


def write_generator_page(found: Exportable, run: Run, file: Path) -> FloatProgram:
    """The program in a page, which was written with as many bits a weight as 1.5 MB have room for.

    Raises:
        ExportError: The page has no operator for what the net does, or is too large, or the images are not grey or RGB.
    """
    recipe = found.model.recipe
    if recipe.data.shape[0] not in (1, 3):
        raise ExportError(
            f"the page shows pictures in grey or RGB, and {recipe.name} makes {recipe.data.shape[0]} channels"
        )
    whole, size = float_program(found.net, found.draw(1), found.inputs, recipe.name), 0
    for bits in range(MOST_BITS, LEAST_BITS - 1, -1):
        program = whole.rounded(bits)
        graph, numbers = program.packed()
        page = html_page("generator.html", SCRIPTS, recipe.name, _facts(found, run, bits) | {"graph": graph}, numbers)
        size = len(page)
        if size <= LARGEST:
            write_atomic(file, page)
            return program
    raise ExportError(
        f"the page of {recipe.name} would take {size:,} bytes, with {LEAST_BITS} bits a weight; {LARGEST:,} are "
        f"allowed. ONNX has no limit: shoestring export {recipe.name} --to onnx"
    )


def _facts(found: Exportable, run: Run, bits: int) -> dict[str, Any]:
    """What the page says, and what it samples by."""
    recipe = found.model.recipe
    channels, height, width = recipe.data.shape
    parameters = sum(each.numel() for each in found.trained.parameters())
    how = sampler(found)
    assert how is not None  # of what makes images
    calls = recipe.task.nfe if found.kind == "flow" else 1
    return {
        "classes": list(recipe.data.classes) if "labels" in found.inputs else [],
        "image": [height, width, channels],
        "latent": how["latent"],
        "sampler": how,
        "lead": f"Makes {height} × {width} pictures with {parameters:,} parameters of {bits} bits each.",
        "about": f"{recipe.summary or recipe.name}. A picture is {calls} call{'s' if calls > 1 else ''} of the net.",
    }
