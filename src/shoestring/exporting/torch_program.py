"""A model as a torch.export program: one .pt2 file that torch alone loads."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring.exporting.exportable import Exportable, Inputs
from shoestring.exporting.onnx_file import refused


def write_torch(found: Exportable, file: Path) -> None:
    """Writes the net as a .pt2 file, for any batch size.

    Raises:
        ExportError: torch.export cannot trace the net.
    """
    example, batch = found.draw(2), torch.export.Dim("batch")
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.export.export(found.net, example, dynamic_shapes=tuple({0: batch} for _ in example))
            torch.export.save(program, file)
    except Exception as error:  # whatever the exporter raises about a net of the user's own
        raise refused(found.model.recipe.name, "a torch.export program", error) from error


def run_torch(file: Path) -> Callable[[Inputs], Tensor]:
    """What a .pt2 file answers."""
    with warnings.catch_warnings(action="ignore"):
        net: Any = torch.export.load(file).module()
    return lambda batch: net(*batch)
