"""What each idea of a recipe is worth: measured on the tune split with it, and with it removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages.runs import ROOT, over_seeds, where
from pages.tables import Table, markdown
from shoestring.core.run import Run
from shoestring.report.format import ABSENT, integer, interval, number, percent, plain, points
from shoestring.report.run_data import RunData, read

HOME = ROOT / "results" / "ablations"
TITLE = "## What each idea is worth"
EXPLAINED = (
    "Each row changes the recipe in one place and is measured on the tune split, never on test. The last column is the "
    "difference to the unchanged recipe, trained under the same conditions: percentage points of accuracy, or, for a "
    "generator, the Fréchet distance of its samples in features of the shipped CIFAR-100 ResNet (CIFAR-ResNet FD), of "
    "which lower is better. Part of each difference is due to the seed."
)
ACCURACY = ("tune accuracy", "95 % interval")
DISTANCE = ("CIFAR-ResNet FD to tune",)


@dataclass(frozen=True)
class Variant:
    """A recipe changed in one place, and what that gave.

    Attributes:
        runs: Its runs, which differ in their seed alone.
        name: What was changed, in words.
        value: Its mean accuracy, or CIFAR-ResNet FD.
        cells: The same as cells of the table.
        images: How many images each run was measured on.
    """

    runs: list[RunData]
    name: str
    value: float
    cells: list[str]
    images: int | None


def ablations(home: Path = HOME) -> str:
    """The section of the page, a table for each folder of runs; empty when there is none."""
    parts: list[str] = []
    for folder in sorted(home.glob("*")):
        runs = [Run(variant) for variant in sorted(folder.glob("*")) if Run(variant).exists()]
        table, conditions = ablation(read(runs))
        if table[1]:
            said = [f"In all rows: {conditions}."] if conditions else []
            parts += [f"### `{folder.name}`", *said, markdown(table)]
    return "\n\n".join([TITLE, EXPLAINED, *parts]) if parts else ""


def ablation(runs: Sequence[RunData]) -> tuple[Table, str]:
    """The table of a recipe's variants, the recipe as it is first, then by what they cost; and what all have in common.

    The recipe as it is: the variant that changes nothing but what every variant changes. Without it differences are
    not known. Classifiers are compared by accuracy, generators by the last CIFAR-ResNet FD of their logs.
    """
    classify = any(run_data.classifies for run_data in runs)
    variants = classifiers(runs) if classify else generators(runs)
    shared = common([variant.runs[0].overrides for variant in variants])
    changes = {id(variant): own_changes(variant.runs[0].overrides, shared) for variant in variants}
    whole = next((variant for variant in variants if not changes[id(variant)]), None)

    def row(variant: Variant) -> list[str]:
        changed = changes[id(variant)]
        more = variant.value - whole.value if whole else 0.0
        difference = points(more, 2) if classify else f"{more:+z.2f}".replace("-", "−")
        return [
            where(variant.runs[0], variant.name if changed else "nothing"),
            "; ".join(_change(field, values) for field, values in sorted(changed.items())),
            *variant.cells,
            str(len(variant.runs)),
            integer(variant.images),
            "" if variant is whole else ABSENT if whole is None else difference,
        ]

    worst_first = sorted(variants, key=lambda variant: variant.value, reverse=not classify)
    ordered = sorted(worst_first, key=lambda variant: variant is not whole)
    columns = ("what was changed", "field", *(ACCURACY if classify else DISTANCE), "seeds", "tune images", "difference")
    return (columns, list(map(row, ordered))), "; ".join(_change(*change) for change in sorted(shared.items()))


def classifiers(runs: Sequence[RunData]) -> list[Variant]:
    """The variants among runs that were measured on tune, seeds together."""
    return [
        Variant(
            runs=entry.runs,
            name=entry.folder.replace("-", " "),
            value=entry.accuracy,
            cells=[percent(entry.accuracy, 2), interval(entry.interval, in_percent=True)],
            images=entry.images,
        )
        for entry in over_seeds(runs, "tune")
    ]


def generators(runs: Sequence[RunData]) -> list[Variant]:
    """The variants among runs that logged their distance to tune at their end, each run by itself."""
    found: list[Variant] = []
    for run_data in runs:
        logged = [record for record in run_data.log if record.get("kind") == "distance" and record.get("to") == "tune"]
        if logged:
            value = logged[-1]["mean"]["cifar_resnet_fd"]
            found.append(
                Variant([run_data], run_data.run.name.replace("-", " "), value, [number(value)], logged[-1]["n"])
            )
    return found


def common(overrides: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The fields that all variants change alike; seeds never count."""
    if not overrides:
        return {}
    first, *others = overrides
    return {
        field: values
        for field, values in first.items()
        if field != "seed" and all(other.get(field) == values for other in others)
    }


def own_changes(overrides: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """The fields that a variant changes beyond those that all share; seeds never count."""
    return {field: values for field, values in overrides.items() if field not in shared and field != "seed"}


def _change(field: str, values: Sequence[Any]) -> str:
    before, after = values
    return f"`{field}` {plain(after)} instead of {plain(before)}"
