"""A classifier as one HTML file: the integer net, its arithmetic in plain JavaScript, and a page to try it on."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import ExportError
from shoestring.core.run import Run
from shoestring.data.image_reader import fitted
from shoestring.exporting.exportable import Exportable
from shoestring.exporting.html_page import html_page
from shoestring.integers import integer_file
from shoestring.integers.integer_graph import IntegerNet

SCRIPTS = ("unpack.js", "integer_net.js", "resize.js", "classify.js")


def write_classifier_page(net: IntegerNet, found: Exportable, run: Run, file: Path) -> Path:
    """The file, after the page was written to it; it loads nothing else.

    Raises:
        ExportError: The images are not square, or have neither one nor three channels.
    """
    height, width, channels = net.image
    if height != width or channels not in (1, 3):
        raise ExportError(
            f"the page shows square pictures in grey or RGB, and {found.model.recipe.name} takes {channels} channels "
            f"of {height}x{width}; export --to onnx or --to c"
        )
    facts = _facts(found, run) | {"image": net.image}
    return write_atomic(file, html_page("classifier.html", SCRIPTS, found.model.recipe.name, facts, _bytes_of(net)))


def _facts(found: Exportable, run: Run) -> dict[str, Any]:
    """What the page says, and how it behaves."""
    recipe = found.model.recipe
    parameters = sum(each.numel() for each in found.model.nets["classifier"].parameters())
    digits = recipe.data.kind in ("addnist", "mnist")
    accuracy = run.metrics_by_one_call().get("test", {}).get("accuracy", {})
    said = (
        f" In 32 bits it is right on {100 * accuracy['value']:.1f} % of {accuracy['n']:,} test images."
        if accuracy
        else ""
    )
    return {
        "classes": list(recipe.data.classes),
        "digits": digits,
        "tallFirst": resizes_tall_pictures_down_first(),
        "lead": f"Names one of {len(recipe.data.classes)} classes with {parameters:,} parameters in 8-bit integers.",
        "about": f"{recipe.summary or recipe.name}.{said} It always names one of its classes, whatever it is shown.",
    }


def resizes_tall_pictures_down_first() -> bool:
    """Whether the Pillow here, which fitted the images that are measured, does so: newer releases do.

    Then a tall picture becomes the same as its wide transpose; else both are resized across first.
    """
    tall = np.random.default_rng(0).integers(0, 256, (47, 31, 3), np.uint8)
    one, other = (fitted(Image.fromarray(picture), 32) for picture in (tall, tall.transpose(1, 0, 2)))
    return np.array_equal(one, other.transpose(0, 2, 1))


def _bytes_of(net: IntegerNet) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return integer_file.write(net, Path(folder) / "net.safetensors").read_bytes()
