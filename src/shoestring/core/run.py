"""A run: one folder that holds all there is to know of one training. The only module that knows file names."""

import hashlib
import io
import itertools
import json
import os
import tempfile
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter
from torch import Tensor

from shoestring.core import checkpoint_chain
from shoestring.core.atomic_files import forget_unfinished_writes, make_folder, sync_folder, write_atomic
from shoestring.core.budget import Layer
from shoestring.core.checked import checked, parsed
from shoestring.core.checkpoint_chain import next_link
from shoestring.core.errors import RunError
from shoestring.core.html import table
from shoestring.core.layer_table import LayerTable
from shoestring.core.lock import locked
from shoestring.core.progress import Progress
from shoestring.core.run_records import AUTOTUNED, CHAIN, ENVIRONMENT, LAYERS, LOG, METRICS, OVERRIDES
from shoestring.core.tensor_files import load_checkpoint, read_tensors, tensor_bytes
from shoestring.core.upgrade import (
    FIELDS,
    renamed,
    upgraded_engine,
    upgraded_metrics,
    upgraded_overrides,
    upgraded_recipe,
    upgraded_record,
)

KEPT_CHECKPOINTS = 2  # the last, and the one before in case the last is damaged
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
T = TypeVar("T")
DERIVED = ("report.html", "metrics.json", "measures.json", "one_call.json", "samples")
"""What is made with the final weights: all of it goes aside when a run is to answer otherwise."""


@dataclass(frozen=True)
class Run:
    """A run's folder.

    Every write is atomic, so that a reader or a resumed training never sees half a file, and on the disk before the
    next one begins, so that a power failure costs no more than a killed process does.
    """

    folder: Path

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

    @contextmanager
    def locked(self, progress: Progress) -> Generator[None]:
        """Inside, this process alone writes into the folder. Folders made for that and left empty are removed.

        Raises:
            BusyError: Another process is at it.
            RunError: The folder is a file.
        """
        made = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        try:
            make_folder(self.folder)
        except (FileExistsError, NotADirectoryError):
            raise RunError(f"{self.folder} is a file; name a folder with --run") from None
        try:
            with locked(self.folder / ".lock", progress):
                forget_unfinished_writes(self.folder)
                yield
        finally:
            with suppress(OSError):  # the first that is not empty ends it
                for folder in made:
                    folder.rmdir()

    def started(self) -> bool:
        """Whether any step was taken that the folder knows of; before, it holds no more than a recipe."""
        return self.finished() or self.last_checkpoint() is not None or bool(self.log())

    def write_recipe(self, recipe: Mapping[str, Any], layers: Sequence[Layer], overrides: Mapping[str, Any]) -> None:
        """Records the recipe, its layer table, and the fields in which it differs from the recipe it is named after."""
        self.write_json("layers.json", [asdict(layer) for layer in layers])
        self.write_json("overrides.json", dict(overrides))
        self.write_json("recipe.json", dict(recipe))

    def read_recipe(self) -> dict[str, Any]:
        """The recipe as plain JSON values, under today's names."""
        if not self.exists():
            raise RunError(f"{self.folder} is not a run: it has no recipe.json; give the folder that `train` wrote")
        return upgraded_recipe(self.read_json("recipe.json"))[0]

    def overrides(self) -> dict[str, list[Any]]:
        """The fields in which the recipe differs from the one it is named after, {dotted field: [there, here]}."""
        file = self.folder / "overrides.json"
        return upgraded_overrides(checked(OVERRIDES, self.read_json(file.name), file))

    def layers(self) -> LayerTable:
        """The layer table."""
        return LayerTable(checked(LAYERS, self.read_json("layers.json"), self.folder / "layers.json"))

    def require_writable(self, remedy: str) -> None:
        """Does nothing if files can be written into the folder.

        Raises:
            RunError: They cannot, as in a read-only installation; says why, and the remedy.
        """
        try:
            with tempfile.TemporaryFile(dir=self.folder):
                return
        except OSError as error:
            raise RunError(f"nothing can be written into {self.folder} ({error.strerror}); {remedy}") from error

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

    def rewind(self, step: int, keep: int | None = None) -> None:
        """Forgets all that was logged and saved after a step, before it is trained again; its link is in the chain.

        Args:
            step: Of the checkpoint that training goes on from.
            keep: As of `write_checkpoint`, which may have been killed before it forgot older ones.
        """
        for path in self._checkpoints():
            if _step_of(path) > step:
                path.unlink()  # a damaged one, which would outlive the next ones as one of the last two
        self._forget_older(keep)
        kept = [json.dumps(record) + "\n" for record in self.log() if record["step"] <= step]
        self._write("log.jsonl", "".join(kept).encode())
        chain = [link for link in self.chain() if link["step"] <= step]
        reached = self.checkpoints().get(step)
        if reached and (not chain or chain[-1]["step"] < step):  # killed after the checkpoint, before its link
            sha256 = hashlib.sha256(reached.read_bytes()).hexdigest()
            chain.append(next_link(chain, step, sha256, self.log()))
        if chain:
            self.write_json(checkpoint_chain.FILE, chain)

    def autotuned(self) -> dict[str, Any]:
        """The engine that was the fastest, "chosen", on a "device"; empty where none was looked for."""
        for name in ("autotune.json", "trial.json"):  # the second is that of version 0.1
            if found := self.read_held(name, AUTOTUNED, {}):
                return upgraded_engine(found)
        return {}

    def fitted(self) -> dict[str, Any]:
        """What was asked for, "asked", and why the recipe is as it is, "reasons"; empty where nobody chose it."""
        return self.read_json("fit.json") if (self.folder / "fit.json").is_file() else {}

    # Checkpoints: to go on from

    def write_checkpoint(self, step: int, state: Mapping[str, Any], keep: int | None = None) -> Path:
        """Saves the state reached after `step` steps; its checksum is part of its name, and a link of the chain.

        Args:
            step: Steps taken.
            state: All that changes.
            keep: Checkpoints of multiples of so many steps stay; by default only the last two do.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        path = self._write(f"checkpoints/step-{step:08d}-{sha256[:16]}.pt", content)
        before = [link for link in self.chain() if link["step"] < step]
        self.write_json(checkpoint_chain.FILE, [*before, next_link(before, step, sha256, self.log())])
        self._forget_older(keep)
        return path

    def _forget_older(self, keep: int | None) -> None:
        older = [old for old in self._checkpoints()[:-KEPT_CHECKPOINTS] if not keep or _step_of(old) % keep]
        for old in older:
            old.unlink()
        if older:
            sync_folder(older[0].parent)

    def chain(self) -> list[dict[str, Any]]:
        """The chain of checkpoints; empty of runs of before there was one."""
        return self.read_held(checkpoint_chain.FILE, CHAIN, [])

    def checkpoints(self) -> dict[int, Path]:
        """The checkpoints that are kept, by the steps taken, in order."""
        return {_step_of(path): path for path in self._checkpoints()}

    def read_checkpoint(self, progress: Progress, device: torch.device) -> dict[str, Any] | None:
        """The newest undamaged checkpoint, or None; says so for each damaged one, and leaves it where it is."""
        for path in reversed(self._checkpoints()):
            content = path.read_bytes()
            if path.stem.endswith(hashlib.sha256(content).hexdigest()[:16]):
                return load_checkpoint(path, content, device)
            progress.say(f"{path} is damaged (its content does not match its checksum); using the one before")
        return None

    def last_checkpoint(self) -> Path | None:
        """Path of the newest checkpoint."""
        return next(reversed(self._checkpoints()), None)

    def forget_checkpoints(self) -> None:
        """Removes the checkpoints of a finished training, which nothing goes on from; they are most of its size.

        Raises:
            RunError: It has no final weights yet.
        """
        self.read_weights()
        for path in self._checkpoints():
            path.unlink()

    def _checkpoints(self) -> list[Path]:
        return sorted((self.folder / "checkpoints").glob("step-*.pt"))

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
        if self.finished() and not self.has_weights() and self.last_checkpoint() is None:
            raise RunError(
                f"the weights of {self.folder} are not kept, only its log and metrics; train it again in another "
                f"folder: shoestring train {self.recipe_file} --run {Path('runs') / self.name}-again"
            )

    def write_weights(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
        """Saves the final weights in float32, with metadata in the file's header."""
        self._write("weights.safetensors", tensor_bytes(tensors, metadata))

    def write_ema_weights(self, decay: float, tensors: Mapping[str, Tensor]) -> None:
        """Saves the EMA weights of a decay, to choose from afterwards."""
        self._write(f"ema/{decay}.safetensors", tensor_bytes(tensors, {}))

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

    # Files

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder."""
        try:
            return parsed((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder / name} cannot be read ({error}); is {self.folder} a complete run?"
            ) from error

    def read_as(self, name: str, kind: TypeAdapter[T], otherwise: T) -> T:
        """What a JSON file of the folder holds, as a type has it.

        Args:
            name: Of the file.
            kind: The type.
            otherwise: What there is without that file.

        Raises:
            RunError: It holds something else.
        """
        file = self.folder / name
        return checked(kind, self.read_json(name), file) if file.is_file() else otherwise

    def read_held(self, name: str, kind: TypeAdapter[Any], otherwise: Any) -> Any:
        """What a JSON file of the folder holds, as it is, after it was held against a type; arguments as of `read_as`.

        Raises:
            RunError: It holds something else.
        """
        file = self.folder / name
        if not file.is_file():
            return otherwise
        found = self.read_json(name)
        checked(kind, found, file)
        return found

    def write_json(self, name: str, content: Any) -> None:
        """Replaces a JSON file of the folder."""
        self._write(name, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Replaces any other file of the folder, such as "samples/samples.png"."""
        return self._write(name, content)

    def _write(self, name: str, content: bytes) -> Path:
        return write_atomic(self.folder / name, content)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.split("-")[1])


def _complete_lines(file: Path) -> Iterator[Any]:
    for line in file.read_bytes().splitlines():
        try:
            yield parsed(line)
        except ValueError:
            return  # a line torn by a crash; all before it are whole
