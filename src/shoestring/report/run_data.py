"""What a run's folder tells, read once and with every part that may be absent made empty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter

from shoestring.core.budget import Layer
from shoestring.core.checked import checked, parsed
from shoestring.core.run import Run
from shoestring.core.run_records import EXPORT
from shoestring.report.format import is_number
from shoestring.report.records import TABLES, Exported, Fitted, Inspected, Started, read_record

Json = dict[str, Any]
SPLITS = ("test", "tune", "train")
"""The splits, the one that counts most first."""


@dataclass(frozen=True)
class Reader:
    """What is known of a run beyond its files.

    Attributes:
        recipe: Its recipe; by default as its file says it, without fields that came after the run.
        departures: In what it goes beyond the rules, a sentence for each; by default none is known.
        rules: A sentence on the rules that it is held against where they are not the usual ones; by default none.
        origin: Who measured what it has of a split, in a few words; by default nothing is said of that.
    """

    recipe: Callable[[Run], Json] = Run.read_recipe
    departures: Callable[[Run], list[str]] = lambda _: []
    rules: Callable[[Run], str] = lambda _: ""
    origin: Callable[[Run, str], str] = lambda _, __: ""


@dataclass(frozen=True)
class RecordedMetric:
    """One measured value with what is known of its uncertainty.

    Attributes:
        split: The split it was measured on.
        name: Its name, such as "accuracy".
        value: A number, or a list, matrix or object for metrics such as "confusion".
        rest: All else that was recorded: n, interval, std, real_baseline, gap_to_real, features.
    """

    split: str
    name: str
    value: Any
    rest: Json

    @property
    def n(self) -> int | None:
        """How many images it was measured on."""
        return self.rest.get("n")

    @property
    def interval(self) -> list[float] | None:
        """The 95 % interval."""
        return self.rest.get("interval")

    @property
    def std(self) -> float | None:
        """Standard deviation over mini-batches."""
        return self.rest.get("std")


@dataclass(frozen=True)
class RunData:
    """All that a report says of one run comes from here.

    Attributes:
        run: The run itself.
        label: Its name, unique within a report.
        recipe: The recipe as plain JSON values.
        layers: The layer table.
        overrides: Dotted field -> [value in the recipe it is named after, value used].
        departures: In what it goes beyond the rules, a sentence for each.
        rules: The rules that it is held against, in a sentence; empty where they are the usual ones.
        environment: Versions, machine and sessions.
        log: The log's records in order.
        metrics: All metrics.
        origins: Who measured them, by split; of a split of which that is not said, nothing.
        classes: Class names, empty when unknown.
        exports: The records of the run's exports by the names of their folders, in order.
        inspection: What the user's own folder of images was like at the start; None for other data.
        pretrained: What weights of another run the training started from; None where it started anew.
        fit: Why the recipe is as it is; None where nobody chose it by `fit`.
    """

    run: Run
    label: str
    recipe: Json
    layers: list[Layer]
    overrides: Json
    departures: list[str]
    rules: str
    environment: Json
    log: list[Json]
    metrics: list[RecordedMetric]
    origins: dict[str, str]
    classes: list[str]
    exports: dict[str, Exported]
    inspection: Inspected | None
    pretrained: Started | None
    fit: Fitted | None

    def part(self, name: str) -> Json:
        """A part of the recipe that is itself an object, empty when absent."""
        return as_object(self.recipe.get(name))

    def metric(self, split: str, name: str) -> RecordedMetric | None:
        """The metric of that name on that split."""
        return next((one for one in self.metrics if (one.split, one.name) == (split, name)), None)

    def value(self, split: str, name: str) -> float | None:
        """The number measured, None where there is none."""
        metric = self.metric(split, name)
        return metric.value if metric is not None and is_number(metric.value) else None

    @property
    def train_loss(self) -> float | None:
        """A classifier's loss over the last mini-batches of the training."""
        found = self.value("train", "loss")
        return found if found is not None else self.value("train", "classifier/loss")

    @property
    def loss_label(self) -> str:
        """The losses' name with their unit; of runs that do not tell it, by what is learnt."""
        unit = self.environment.get("loss_unit", "" if self.part("task").get("kind") == "flow" else "nats")
        return f"loss ({unit})" if unit else "loss"

    @property
    def classifies(self) -> bool:
        """Whether the task is to classify."""
        kind = self.part("task").get("kind")
        if kind in ("classify", "adversarial", "flow"):
            return kind == "classify"
        return "classifier" in {layer.name.split(".")[0] for layer in self.layers}  # a task of the user's own

    @property
    def parameters(self) -> int | None:
        """Parameters of all nets together, None without a layer table."""
        return sum(layer.parameters for layer in self.layers) if self.layers else None

    @property
    def views(self) -> int:
        """Views of an image by which a classifier answers."""
        found = self.part("task").get("views", 1) if self.classifies else 1
        return found if isinstance(found, int) else 1

    @property
    def multiply_adds(self) -> int | None:
        """Multiply-accumulate operations for one image, for all its views; None without a layer table."""
        return self.views * sum(layer.multiply_adds for layer in self.layers) or None

    @property
    def steps(self) -> int:
        """Optimisation steps taken so far."""
        reached = [record.get("step", 0) for record in self.log]
        return max([0, *reached, *(session.get("to_step", 0) for session in self.sessions)])

    @property
    def sessions(self) -> list[Json]:
        """The stretches of time in which the run was trained."""
        return self.environment.get("sessions") or []

    @property
    def seconds(self) -> float | None:
        """Wall time of all sessions together."""
        return sum(session.get("seconds", 0) for session in self.sessions) if self.sessions else None


def as_object(value: Any) -> Json:
    """A JSON object, empty when the value is none."""
    return cast(Json, value) if isinstance(value, dict) else {}


def read(runs: Sequence[Run], reader: Reader | None = None) -> list[RunData]:
    """The data of each run, under labels that differ even where folders have the same name.

    Args:
        runs: The runs.
        reader: Gives what is known of each beyond its files.

    Raises:
        RunError: A folder is no run, or a file in it is damaged.
    """
    reader, labels = reader or Reader(), list[str]()
    for run in runs:
        name = _text(run.name)
        label, count = name, 1
        while label in labels:
            count += 1
            label = f"{name} ({count})"
        labels.append(label)
    return [_read(run, label, reader) for run, label in zip(runs, labels, strict=True)]


def _read(run: Run, label: str, reader: Reader) -> RunData:
    return RunData(
        run=run,
        label=label,
        recipe=reader.recipe(run),
        layers=run.layers() if _present(run, "layers.json") else [],
        overrides=run.overrides() if _present(run, "overrides.json") else {},
        departures=reader.departures(run),
        rules=reader.rules(run),
        environment=run.environment(),
        log=run.log(),
        metrics=[
            RecordedMetric(
                split,
                name,
                _table(run, split, name, found["value"]),
                {key: item for key, item in found.items() if key != "value"},
            )
            for split, metrics in sorted(run.metrics().items(), key=lambda item: _rank(item[0]))
            for name, found in ((name, as_object(metric)) for name, metric in metrics.items())
            if "value" in found
        ],
        origins={split: said for split in run.metrics() if (said := reader.origin(run, split))},
        classes=[_text(name) for name in _optional(run, "classes.json", [])],
        exports=_exports(run),
        inspection=read_record(run, "inspection.json", Inspected),
        pretrained=read_record(run, "pretrained.json", Started),
        fit=read_record(run, "fit.json", Fitted),
    )


def _table(run: Run, split: str, name: str, value: Any) -> Any:
    """A metric's value, after one that is a table was looked at."""
    if name in TABLES:
        checked(TABLES[name], value, run.folder / f"metrics.json, {split} {name}")
    return value


def _exports(run: Run) -> dict[str, Exported]:
    """Whole exports: one that is being replaced has no record."""
    found: dict[str, Exported] = {}
    for file in sorted(run.folder.glob(f"exports/*/{EXPORT}")):
        try:
            value = parsed(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found[file.parent.name] = checked(TypeAdapter(Exported), value, file)
    return found


def _text(name: Any) -> str:
    """A name as text that any font can try: what of a folder's name was no text is a question mark."""
    return str(name).encode(errors="replace").decode()


def _rank(split: str) -> tuple[int, str]:
    return (SPLITS.index(split) if split in SPLITS else len(SPLITS), split)


def _present(run: Run, name: str) -> bool:
    return (run.folder / name).is_file()


def _optional(run: Run, name: str, otherwise: Any) -> Any:
    return run.read_json(name) if _present(run, name) else otherwise
