"""The runs that the repository keeps, and which of them differ in nothing but their seed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shoestring.core.run import Run
from shoestring.metrics.statistics import mean
from shoestring.model.load import recipe_of
from shoestring.report.run_data import RunData, read

ROOT = Path(__file__).parents[2]
HOMES = (ROOT / "src" / "shoestring" / "zoo", ROOT / "results")


def kept_runs(homes: Sequence[Path] = HOMES) -> list[RunData]:
    """The runs right in these folders that were trained to the end: by recipe, seeds in order, tune runs last."""
    runs = [Run(folder) for home in homes for folder in sorted(home.glob("*")) if Run(folder).exists()]
    found = [run_data for run_data in read(runs) if run_data.run.finished()]
    return sorted(found, key=lambda run_data: (run_data.recipe["name"], held_out(run_data), run_data.recipe["seed"]))


def held_out(run_data: RunData) -> int:
    """How many images the run kept from training, to be measured on."""
    return run_data.part("data").get("tune", 0)


def by_recipe(runs: Sequence[RunData]) -> dict[str, list[RunData]]:
    """The seeds of each recipe: final runs (those that trained on all of train) with no other field changed."""
    groups: dict[str, list[RunData]] = {}
    for run_data in runs:
        if not held_out(run_data) and as_named(run_data):
            groups.setdefault(run_data.recipe["name"], []).append(run_data)
    return groups


def as_named(run_data: RunData) -> bool:
    """Whether the run learnt what the recipe of its name says; seed, engine and cadence may differ."""
    return all(
        field in ("data.tune", "seed") or field.startswith(("engine.", "cadence.")) for field in run_data.overrides
    )


def accuracies(seeds: Sequence[RunData]) -> list[float]:
    """Test accuracy of each run that was measured on test."""
    found = [run_data.value("test", "accuracy") for run_data in seeds]
    return [value for value in found if value is not None]


@dataclass(frozen=True)
class Entry:
    """A classifier measured over seeds.

    Attributes:
        runs: Runs that differ in their seed alone, each measured on the split.
        split: What it was measured on.
    """

    runs: list[RunData]
    split: str

    @property
    def label(self) -> str:
        """The recipe's name; where more was changed than the seed, the folder's name without its seed."""
        return self.runs[0].recipe["name"] if as_named(self.runs[0]) else self.folder

    @property
    def folder(self) -> str:
        """The name that the runs' folders have without their seeds."""
        return re.sub(r"-seed\d+$", "", self.runs[0].run.name)

    @property
    def values(self) -> list[float]:
        """Accuracy of each run."""
        return [value for run_data in self.runs if (value := run_data.value(self.split, "accuracy")) is not None]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return sum(self.values) / len(self.values)

    @property
    def std(self) -> float | None:
        """Standard deviation of one seed; None of a single run."""
        return mean(torch.tensor(self.values, dtype=torch.float64), "").std

    @property
    def interval(self) -> list[float] | None:
        """95 %: Student's of the mean over seeds, on a logistic scale; of a single run Wilson's over images."""
        if len(self.runs) > 1:
            bounds = mean(torch.tensor(self.values, dtype=torch.float64), "", scale="logit").interval
            return None if bounds is None else list(bounds)
        metric = self.runs[0].metric(self.split, "accuracy")
        return metric.interval if metric else None

    @property
    def images(self) -> int | None:
        """How many images each run was measured on."""
        metric = self.runs[0].metric(self.split, "accuracy")
        return metric.n if metric else None

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted(run_data.recipe["seed"] for run_data in self.runs)


def entries(runs: Sequence[RunData], data: str | None = None) -> list[Entry]:
    """Final classifiers (trained on all of train, measured on test) of a data set, most accurate first."""
    final = [run_data for run_data in runs if run_data.classifies and not held_out(run_data)]
    chosen = [run_data for run_data in final if data is None or run_data.part("data").get("kind") == data]
    return sorted(over_seeds(chosen, "test"), key=lambda entry: -entry.accuracy)


def over_seeds(runs: Sequence[RunData], split: str) -> list[Entry]:
    """The runs that were measured on a split, those that differ in their seed alone together."""
    groups: dict[str, list[RunData]] = {}
    for run_data in runs:
        if run_data.value(split, "accuracy") is not None:
            groups.setdefault(seedless(run_data), []).append(run_data)
    return [Entry(sorted(group, key=lambda run_data: run_data.recipe["seed"]), split) for group in groups.values()]


def seedless(run_data: RunData) -> str:
    """The fingerprint that the run's recipe would have with seed 0."""
    return recipe_of(run_data.run).replace(seed=0).fingerprint()


def command(run_data: RunData) -> str:
    """The command that trained a run."""
    words = ["shoestring", "train", run_data.recipe["name"]]
    for field, (_, value) in run_data.overrides.items():
        items = value if isinstance(value, list) else [value]
        words += ["--" + field.replace("_", "-"), *(str(item) for item in items)]
    return " ".join(words)


def hardware(machine: dict[str, Any]) -> str:
    """The GPU, or the processor with its cores."""
    return f"{machine['processor']}, {machine['cores']} cores" if machine["device"] == "cpu" else machine["device"]


def where(run_data: RunData, text: str | None = None) -> str:
    """The run's folder as a link from the docs folder, under its name or another text."""
    folder = run_data.run.folder
    path = folder.relative_to(ROOT).as_posix() if folder.is_relative_to(ROOT) else folder.name
    return f"[{text or run_data.run.name}](../{path})"


def plural(count: int, word: str) -> str:
    """A count with its noun: "1 seed", "3 seeds"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
