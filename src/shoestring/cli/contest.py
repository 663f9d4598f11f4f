"""The verbs of a contest: hand in; torch is imported when one runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName


@dataclass(frozen=True, kw_only=True)
class Pack(Options):
    """Write a finished run as one file, to hand in or pass on: weights, recipe, classes, log, metrics, hashes.

    `predict`, `evaluate`, `sample`, `report` and `export` take the .safetensors file like a run.
    """

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped."""
    out: Path | None = None
    """The file to write. By default NAME.safetensors. One that ends in .onnx holds the net itself instead of its code,
    which is how a net of your own is handed in."""

    def do(self, display: Display) -> None:
        """Writes the file."""
        from shoestring import api

        file = api.pack(self.target, self.out, display)
        size = file.stat().st_size
        display.result({"file": str(file.resolve()), "bytes": size})
        display.line(f"packed  {file.resolve()}, {size:,} bytes")
