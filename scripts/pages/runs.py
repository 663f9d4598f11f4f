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
from shoestring.report.run_data import Facts, read

ROOT = Path(__file__).parents[2]
HOMES = (ROOT / "src" / "shoestring" / "zoo", ROOT / "results")


def kept_runs(homes: Sequence[Path] = HOMES) -> list[Facts]:
    """The runs right in these folders that were trained to the end: by recipe, seeds in order, tune runs last."""
    runs = [Run(folder) for home in homes for folder in sorted(home.glob("*")) if Run(folder).exists()]
    found = [facts for facts in read(runs) if facts.run.finished()]
    return sorted(found, key=lambda facts: (facts.recipe["name"], held_out(facts), facts.recipe["seed"]))


def held_out(facts: Facts) -> int:
    """How many images the run kept from training, to be measured on."""
    return facts.part("data").get("tune", 0)


def by_recipe(runs: Sequence[Facts]) -> dict[str, list[Facts]]:
    """The seeds of each recipe: final runs (those that trained on all of train) with no other field changed."""
    groups: dict[str, list[Facts]] = {}
    for facts in runs:
        if not held_out(facts) and as_named(facts):
            groups.setdefault(facts.recipe["name"], []).append(facts)
    return groups


def as_named(facts: Facts) -> bool:
    """Whether the run learnt what the recipe of its name says; seed, engine and cadence may differ."""
    return all(field in ("data.tune", "seed") or field.startswith(("engine.", "cadence.")) for field in facts.overrides)


def accuracies(seeds: Sequence[Facts]) -> list[float]:
    """Test accuracy of each run that was measured on test."""
    found = [facts.value("test", "accuracy") for facts in seeds]
    return [value for value in found if value is not None]


@dataclass(frozen=True)
class Entry:
    """A classifier measured over seeds.

    Attributes:
        runs: Runs that differ in their seed alone, each measured on the split.
        split: What it was measured on.
    """

    runs: list[Facts]
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
        return [value for facts in self.runs if (value := facts.value(self.split, "accuracy")) is not None]

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return sum(self.values) / len(self.values)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of one seed; None of a single run."""
        return mean(torch.tensor(self.values, dtype=torch.float64), "").deviation

    @property
    def interval(self) -> list[float] | None:
        """95 %: Student's of the mean over seeds, on a logistic scale; of a single run Wilson's over images."""
        if len(self.runs) > 1:
            bounds = mean(torch.tensor(self.values, dtype=torch.float64), "", scale="logit").interval
            return None if bounds is None else list(bounds)
        measure = self.runs[0].measure(self.split, "accuracy")
        return measure.interval if measure else None

    @property
    def images(self) -> int | None:
        """How many images each run was measured on."""
        measure = self.runs[0].measure(self.split, "accuracy")
        return measure.n if measure else None

    @property
    def seeds(self) -> list[int]:
        """The seeds, in order."""
        return sorted(facts.recipe["seed"] for facts in self.runs)


def entries(runs: Sequence[Facts], data: str | None = None) -> list[Entry]:
    """Final classifiers (trained on all of train, measured on test) of a data set, most accurate first."""
    final = [facts for facts in runs if facts.classifies and not held_out(facts)]
    chosen = [facts for facts in final if data is None or facts.part("data").get("kind") == data]
    return sorted(over_seeds(chosen, "test"), key=lambda entry: -entry.accuracy)


def over_seeds(runs: Sequence[Facts], split: str) -> list[Entry]:
    """The runs that were measured on a split, those that differ in their seed alone together."""
    groups: dict[str, list[Facts]] = {}
    for facts in runs:
        if facts.value(split, "accuracy") is not None:
            groups.setdefault(seedless(facts), []).append(facts)
    return [Entry(sorted(group, key=lambda facts: facts.recipe["seed"]), split) for group in groups.values()]


def seedless(facts: Facts) -> str:
    """The fingerprint that the run's recipe would have with seed 0."""
    return recipe_of(facts.run).replace(seed=0).fingerprint()


def command(facts: Facts) -> str:
    """The command that trained a run."""
    words = ["shoestring", "train", facts.recipe["name"]]
    for field, (_, value) in facts.overrides.items():
        items = value if isinstance(value, list) else [value]
        words += ["--" + field.replace("_", "-"), *(str(item) for item in items)]
    return " ".join(words)


def hardware(machine: dict[str, Any]) -> str:
    """The GPU, or the processor with its cores."""
    return f"{machine['processor']}, {machine['cores']} cores" if machine["device"] == "cpu" else machine["device"]


def where(facts: Facts, text: str | None = None) -> str:
    """The run's folder as a link from the docs folder, under its name or another text."""
    folder = facts.run.folder
    path = folder.relative_to(ROOT).as_posix() if folder.is_relative_to(ROOT) else folder.name
    return f"[{text or facts.run.name}](../{path})"


def plural(count: int, word: str) -> str:
    """A count with its noun: "1 seed", "3 seeds"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
