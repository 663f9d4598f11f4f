"""Something handed in: a packed run, a run's folder or an ONNX file, read without running a line of it."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import safetensors

from shoestring.contest.onnx_graph import OnnxGraph, read_onnx
from shoestring.core.errors import RunError
from shoestring.core.outside import shipped_specs
from shoestring.core.packed import KEY, SUFFIX, Record, read_record, record_of
from shoestring.core.run import Run
from shoestring.core.upgrade import upgraded_recipe
from shoestring.recipes.recipe import OPEN, Recipe
from shoestring.recipes.upgrade import upgraded


@dataclass(frozen=True)
class TensorFacts:
    """A tensor of a file, by its header alone."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def count(self) -> int:
        """Its numbers."""
        total = 1
        for size in self.shape:
            total *= size
        return total


@dataclass(frozen=True)
class Submission:
    """What was handed in.

    Attributes:
        path: The file or folder.
        record: What it claims of itself; None where it claims nothing.
        tensors: Those of its weights, by name; empty of ONNX.
        graph: The net of an ONNX file.
        run: The run's folder, with its checkpoints, where that was handed in.
        strange: What its file holds besides, such as further metadata.
    """

    path: Path
    record: Record | None
    tensors: dict[str, TensorFacts]
    graph: OnnxGraph | None = None
    run: Run | None = None
    strange: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return self.path.name if self.run else self.path.stem

    @property
    def weights_file(self) -> Path:
        """The file that its weights are in."""
        return self.run.weights_file if self.run else self.path

    def sha256(self) -> str:
        """A hash of the file with its weights."""
        return hashlib.sha256(self.weights_file.read_bytes()).hexdigest()

    def file(self, name: str) -> Any:
        """A JSON file of the record, empty where there is none."""
        return self.record.files.get(name, {}) if self.record else {}

    @property
    def recipe_values(self) -> dict[str, Any]:
        """The recipe as plain JSON values, under today's names; empty where none is claimed."""
        values = self.file("recipe.json")
        return upgraded_recipe(cast("dict[str, Any]", values))[0] if isinstance(values, dict) else {}

    @property
    def own_parts(self) -> list[str]:
        """Parts of its recipe that are not of this package, as "net foreign.py:Net"."""
        found: list[str] = []
        for part, (_, shipped) in OPEN.items():
            value = self.recipe_values.get(part)
            kind = cast("dict[str, Any]", value).get("kind") if isinstance(value, dict) else value
            if kind is not None and kind not in shipped_specs(shipped):
                found.append(f"{part} {kind}")
        return found

    def recipe(self) -> Recipe | None:
        """The recipe; None where none is claimed or it has parts that only foreign code could read.

        Raises:
            RecipeError: It is not valid.
        """
        if not self.recipe_values or self.own_parts:
            return None
        return Recipe.from_json(upgraded(self.recipe_values), f"the recipe of {self.path}")


def open_submission(path: Path) -> Submission:
    """What lies at a path.

    Raises:
        RunError: It is neither a safetensors nor an ONNX file nor a run, or is damaged.
        ExportError: It is ONNX, and the extra that reads it is not installed.
    """
    if path.is_dir():
        run = Run(path)
        tensors, _ = _header(run.weights_file) if run.has_weights() else ({}, {})
        return Submission(path, record_of(run), tensors, run=run)
    if not path.is_file():
        raise RunError(f"{path} is neither a file nor a folder")  # a pipe would be read for ever
    if path.suffix == ".onnx":
        graph = read_onnx(path)
        values = graph.facts.get("run")
        return Submission(path, None if values is None else Record.from_json(values, str(path)), {}, graph)
    if path.suffix != SUFFIX:
        raise RunError(f"{path} is neither .safetensors nor .onnx nor the folder of a run; nothing else is opened")
    tensors, metadata = _header(path)
    strange = tuple(f"metadata {name!r}" for name in metadata if name != KEY)
    return Submission(path, read_record(path), tensors, strange=strange)


def _header(file: Path) -> tuple[dict[str, TensorFacts], dict[str, str]]:
    """Tensors and metadata of a safetensors file. The library refuses one with gaps or with bytes left over."""
    try:
        with safetensors.safe_open(file, "np"):  # pyright: ignore[reportUnknownMemberType]
            pass
        with file.open("rb") as content:
            header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(f"{file} is no sound safetensors file: {error}") from error
    metadata = header.pop("__metadata__", {})
    return {name: TensorFacts(tuple(one["shape"]), one["dtype"]) for name, one in sorted(header.items())}, metadata
