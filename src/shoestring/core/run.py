"""A run: one folder that holds all there is to know of one training."""

import hashlib
import itertools
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from shoestring.core import checkpoint_chain
from shoestring.core.atomic_files import make_folder, sync_folder
from shoestring.core.budget import Layer
from shoestring.core.checked import checked, parsed
from shoestring.core.checkpoints import Checkpoints
from shoestring.core.errors import RunError
from shoestring.core.html import table
from shoestring.core.layer_table import LayerTable
from shoestring.core.record_folder import RecordFolder
from shoestring.core.run_records import AUTOTUNED, ENVIRONMENT, LAYERS, LOG, METRICS, OVERRIDES
from shoestring.core.tensor_files import read_tensors, tensor_bytes
from shoestring.core.upgrade import (
    FIELDS,
    renamed,
    upgraded_engine,
    upgraded_metrics,
    upgraded_overrides,
    upgraded_recipe,
    upgraded_record,
)

RECORDS = (
    "recipe.json",
    "overrides.json",
    "layers.json",
    "classes.json",
    "rules.json",
    "inspection.json",
    "splits.json",
    "source.json",
    "autotune.json",
    "fit.json",
    "pretrained.json",
    "environment.json",
    checkpoint_chain.FILE,
    "metrics.json",
    "one_call.json",
)
"""The JSON files that tell of a run, those that it begins with first."""
DERIVED = ("report.html", "metrics.json", "measures.json", "one_call.json", "samples")
"""What is made with the final weights: all of it goes aside when a run is to answer otherwise."""


@dataclass(frozen=True)
class Run(RecordFolder):
    """A run's folder."""

    # What was asked for

    @property
    def recipe_file(self) -> Path:
        """The recipe, as JSON."""
        return self.folder / "recipe.json"

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.resolve().name

    def exists(self) -> bool:
        """Whether the folder holds a run, finished or not."""
        return self.recipe_file.is_file()

    def started(self) -> bool:
        """Whether any step was taken that the folder knows of; before, it holds no more than a recipe."""
        return self.finished() or self.checkpoints.last() is not None or bool(self.log())

    def write_recipe(self, recipe: Mapping[str, Any], layers: Sequence[Layer], overrides: Mapping[str, Any]) -> None:
        """Records the recipe, its layer table, and the fields in which it differs from the recipe it is named after."""
        self.write_json("layers.json", [asdict(layer) for layer in layers])
        self.write_json("overrides.json", dict(overrides))
        self.write_json("recipe.json", dict(recipe))

    def read_recipe(self) -> dict[str, Any]:
        """The recipe as plain JSON values, under today's names."""
        if not self.exists():
            raise RunError(f"{self.folder} is not a run: it has no recipe.json; give the folder that `train` wrote")
        values = self.read_json("recipe.json")
        if not isinstance(values, dict):
            raise RunError(f"{self.recipe_file} holds no recipe; is {self.folder} a complete run?")
        return upgraded_recipe(cast(dict[str, Any], values))[0]

    def overrides(self) -> dict[str, list[Any]]:
        """The fields in which the recipe differs from the one it is named after, {dotted field: [there, here]}."""
        file = self.folder / "overrides.json"
        return upgraded_overrides(checked(OVERRIDES, self.read_json(file.name), file))

    def layers(self) -> LayerTable:
        """The layer table."""
        return LayerTable(checked(LAYERS, self.read_json("layers.json"), self.folder / "layers.json"))

    # What happened

    def append_log(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Adds records to the log; each has at least "step" and "kind"."""
        make_folder(self.folder)
        log = self.folder / "log.jsonl"
        new = not log.exists()
        with log.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(record, allow_nan=False) + "\n" for record in records))
            file.flush()
            os.fsync(file.fileno())  # a checkpoint on the disk has its log there too
        if new:
            sync_folder(self.folder)

    def log(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The log's records in order, of one kind if given; a torn last line is left out."""
        file = self.folder / "log.jsonl"
        records = list(_complete_lines(file)) if file.is_file() else []
        checked(LOG, records, file)
        return [upgraded_record(record) for record in records if kind is None or record["kind"] == kind]

    def forget_starts(self) -> None:
        """Forgets what was recorded of starts, before another recipe is trained where none took a step."""
        for name in ("environment", "autotune", "trial", "splits", "inspection", "pretrained", "rules", "chain"):
            (self.folder / f"{name}.json").unlink(missing_ok=True)

    def autotuned(self) -> dict[str, Any]:
        """The engine that was the fastest, "chosen", on a "device"; empty where none was looked for."""
        for name in ("autotune.json", "trial.json"):  # the second is that of version 0.1
            if found := self.read_held(name, AUTOTUNED, {}):
                return upgraded_engine(found)
        return {}

    def fitted(self) -> dict[str, Any]:
        """What was asked for, "asked", and why the recipe is as it is, "reasons"; empty where nobody chose it."""
        return self.read_json("fit.json") if (self.folder / "fit.json").is_file() else {}

    # Checkpoints

    @property
    def checkpoints(self) -> Checkpoints:
        """What a training goes on from."""
        return Checkpoints(self, self.log)

    def rewind(self, step: int, keep: int | None = None) -> None:
        """Forgets all that was logged and saved after a step, before it is trained again; its link is in the chain.

        Args:
            step: Of the checkpoint that training goes on from.
            keep: As of `Checkpoints.write`, which may have been killed before it forgot older ones.
        """
        self.checkpoints.forget_after(step, keep)
        kept = [json.dumps(record) + "\n" for record in self.log() if record["step"] <= step]
        self.write_bytes("log.jsonl", "".join(kept).encode())
        self.checkpoints.end_chain(step)

    def forget_checkpoints(self) -> None:
        """Removes the checkpoints of a finished training, which nothing goes on from; they are most of its size.

        Raises:
            RunError: It has no final weights yet.
        """
        self.read_weights()
        self.checkpoints.remove()

    # Results

    @property
    def weights_file(self) -> Path:
        """The final weights; the only safetensors file at the top of the folder."""
        return self.folder / "weights.safetensors"

    def has_weights(self) -> bool:
        """Whether the final weights are here, so that the model can be loaded."""
        return self.weights_file.is_file()

    def finished(self) -> bool:
        """Whether the training took all its steps and final weights were written, be they here or taken away since.

        Metrics and the final pictures are made with these weights alone, and so tell of them.
        """
        return self.has_weights() or self.has_pictures() or bool(self.metrics())

    def require_weights_kept(self) -> None:
        """Does nothing if the weights are here, or can still be had by going on from a checkpoint or from the start.

        Raises:
            RunError: The run is finished and its weights were taken away; names the command that trains it again.
        """
        if self.finished() and not self.has_weights() and self.checkpoints.last() is None:
            raise RunError(
                f"the weights of {self.folder} are not kept, only its log and metrics; train it again in another "
                f"folder: shoestring train {self.recipe_file} --run {Path('runs') / self.name}-again"
            )

    def write_weights(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Saves the final weights in float32, with metadata in the file's header."""
        self.write_bytes("weights.safetensors", tensor_bytes(tensors, metadata))

    def write_ema_weights(self, decay: float, tensors: Mapping[str, Tensor]) -> None:
        """Saves the EMA weights of a decay, to choose from afterwards."""
        self.write_bytes(f"ema/{decay}.safetensors", tensor_bytes(tensors, {}))

    def ema_decays(self) -> list[float]:
        """The decays of the EMA weights that were saved."""
        return sorted(float(file.stem) for file in self._ema_files())

    def _ema_files(self) -> list[Path]:
        """The files of EMA weights; versions before 0.2 kept them in "averages"."""
        return [file for folder in ("ema", "averages") for file in (self.folder / folder).glob("*.safetensors")]

    def read_weights(self, ema_decay: float | None = None) -> dict[str, Tensor]:
        """The final weights by name, or the EMA weights of a decay.

        Raises:
            RunError: There are no final weights yet or any more, or no such EMA weights, or the file is damaged.
        """
        if not self.has_weights():
            self.require_weights_kept()
            raise RunError(f"{self.folder} has no final weights yet; run the same `train` command again to finish it")
        if ema_decay is None:
            return read_tensors(self.weights_file)
        self.require_ema(ema_decay, self.ema_decays())
        return read_tensors(next(file for file in self._ema_files() if float(file.stem) == ema_decay))

    def require_ema(self, decay: float, kept: Collection[float]) -> None:
        """Does nothing if the EMA weights of a decay are among those kept.

        Raises:
            RunError: They are not; says which are.
        """
        if decay not in kept:
            known = ", ".join(map(str, kept)) or "none"
            raise RunError(f"{self.folder} kept no EMA weights of decay {decay}; it has: {known}")

    def metrics(self) -> dict[str, Any]:
        """All metrics so far: split -> name -> metric."""
        if (self.folder / "metrics.json").is_file():
            return self.read_held("metrics.json", METRICS, {})
        return upgraded_metrics(self.read_held("measures.json", METRICS, {}))

    def write_metrics(self, split: str, metrics: Mapping[str, Any], *, afresh: bool = False) -> None:
        """Adds metrics of a split to those already there; the same names are replaced, or, afresh, all of them."""
        known = self.metrics()
        before: dict[str, Any] = {} if afresh else known.get(split, {})
        self.write_json("metrics.json", known | {split: before | dict(metrics)})
        (self.folder / "measures.json").unlink(missing_ok=True)  # the same under older names

    def one_call_metrics(self) -> dict[str, Any]:
        """Metrics by one net call an image, of a model that answers by several: split -> name -> metric."""
        return self.read_held("one_call.json", METRICS, {})

    def metrics_by_one_call(self) -> dict[str, Any]:
        """Metrics by one net call an image, as what is exported answers: the run's own, where it answers by one."""
        return self.metrics() if (self.environment().get("nfe") or 1) == 1 else self.one_call_metrics()

    def write_one_call_metrics(self, split: str, metrics: Mapping[str, Any]) -> None:
        """Replaces those metrics of a split."""
        self.write_json("one_call.json", self.one_call_metrics() | {split: dict(metrics)})

    def environment(self) -> dict[str, Any]:
        """What the run was trained with and for how long; empty before its first start."""
        return renamed(self.read_held("environment.json", ENVIRONMENT, {}), FIELDS)

    def archive(self, fingerprint: str) -> Path | None:
        """Archives all that was made with the final weights, under the fingerprint of the recipe it was made by.

        Called again after an interruption, it moves the rest to the same folder; nothing there is replaced.

        Returns:
            The folder, archive/FINGERPRINT or one with a number; None if there was nothing to move.
        """
        there = [name for name in DERIVED if (self.folder / name).exists()]
        names = (f"{fingerprint}-{number}" if number else fingerprint for number in itertools.count())
        homes = (self.folder / "archive" / name for name in names)
        home = next(home for home in homes if not any((home / name).exists() for name in there))
        for name in there:
            home.mkdir(parents=True, exist_ok=True)
            (self.folder / name).rename(home / name)
        return home if there else None

    def weights_digest(self) -> str:
        """The sha256 of the final weights; empty where there are none."""
        return hashlib.sha256(self.weights_file.read_bytes()).hexdigest() if self.has_weights() else ""

    def answers_digest(self) -> str:
        """A hash of what decides the answers of a finished run, its recipe and final weights."""
        contents = (file.read_bytes() for file in (self.recipe_file, self.weights_file))
        return hashlib.sha256(b"".join(contents)).hexdigest()

    def write_captions(self, captions: Sequence[Mapping[str, str]]) -> None:
        """Records what the final pictures show, in the order to show them: "file", "title" and "caption" of each."""
        self.write_json("samples/pictures.json", list(captions))

    def has_pictures(self) -> bool:
        """Whether the final pictures were drawn."""
        return (self.pictures / "pictures.json").is_file()

    @property
    def pictures(self) -> Path:
        """Folder of sample grids and other pictures."""
        return self.folder / "samples"

    @property
    def report_file(self) -> Path:
        """The HTML report."""
        return self.folder / "report.html"

    def _repr_html_(self) -> str:
        """What was measured, in notebooks."""
        if not self.exists():
            return table(f"{self.folder}: no run yet", (), ())
        recipe = self.read_recipe()
        metrics: dict[str, dict[str, dict[str, Any]]] = self.metrics()
        state = "finished" if self.finished() else "not finished"
        rows: list[tuple[Any, ...]] = [
            (split, name, metric["value"], " – ".join(f"{end:.4g}" for end in metric["interval"]), metric.get("n"))
            for split, found in metrics.items()
            for name, metric in found.items()
            if metric.get("interval") and isinstance(metric.get("value"), int | float)
        ]
        return table(
            f"{recipe['name']}, {state}, in {self.folder}", ("split", "metric", "value", "interval", "n"), rows
        )


def _complete_lines(file: Path) -> Iterator[Any]:
    for line in file.read_bytes().splitlines():
        try:
            yield parsed(line)
        except ValueError:
            return  # a line torn by a crash; all before it are whole
