"""What each idea of a recipe is worth: measured on the tune split with it, and with it removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages.runs import ROOT, over_seeds, where
from pages.tables import Table, markdown
from shoestring.core.run import Run
from shoestring.report.format import ABSENT, integer, interval, number, percent, plain, points
from shoestring.report.run_data import Facts, read

HOME = ROOT / "results" / "ablations"
TITLE = "## What each idea is worth"
EXPLAINED = (
    "Each row changes the recipe in one place and is measured on the tune split, never on test. The difference is that "
    "to the recipe as it is, trained under the same conditions: percentage points of accuracy, or of a generator the "
    "fast distance of its samples, where less is better; seeds alone make some of it."
)
ACCURACY = ("tune accuracy", "95 % interval")
DISTANCE = ("fast distance to tune",)


@dataclass(frozen=True)
class Variant:
    """A recipe changed in one place, and what that gave.

    Attributes:
        runs: Its runs, which differ in their seed alone.
        name: What was changed, in words.
        value: Its mean accuracy, or fast distance.
        told: The same as cells of the table.
        images: How many images each run was measured on.
    """

    runs: list[Facts]
    name: str
    value: float
    told: list[str]
    images: int | None


def ablations(home: Path = HOME) -> str:
    """The section of the page, a table for each folder of runs; empty when there is none."""
    parts: list[str] = []
    for folder in sorted(home.glob("*")):
        runs = [Run(variant) for variant in sorted(folder.glob("*")) if Run(variant).exists()]
        table, conditions = ablation(read(runs))
        if table[1]:
            told = [f"In all rows: {conditions}."] if conditions else []
            parts += [f"### `{folder.name}`", *told, markdown(table)]
    return "\n\n".join([TITLE, EXPLAINED, *parts]) if parts else ""


def ablation(runs: Sequence[Facts]) -> tuple[Table, str]:
    """The table of a recipe's variants, the recipe as it is first, then by what they cost; and what all have in common.

    The recipe as it is: the variant that changes nothing but what every variant changes. Without it differences are
    not known. Classifiers are told by their accuracy, generators by the last fast distance of their logs.
    """
    classify = any(facts.classifies for facts in runs)
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
            *variant.told,
            str(len(variant.runs)),
            integer(variant.images),
            "" if variant is whole else ABSENT if whole is None else difference,
        ]

    worst_first = sorted(variants, key=lambda variant: variant.value, reverse=not classify)
    ordered = sorted(worst_first, key=lambda variant: variant is not whole)
    columns = ("what was changed", "field", *(ACCURACY if classify else DISTANCE), "seeds", "tune images", "difference")
    return (columns, list(map(row, ordered))), "; ".join(_change(*change) for change in sorted(shared.items()))


def classifiers(runs: Sequence[Facts]) -> list[Variant]:
    """The variants among runs that were measured on tune, seeds together."""
    return [
        Variant(
            runs=entry.runs,
            name=entry.folder.replace("-", " "),
            value=entry.accuracy,
            told=[percent(entry.accuracy, 2), interval(entry.interval, in_percent=True)],
            images=entry.images,
        )
        for entry in over_seeds(runs, "tune")
    ]


def generators(runs: Sequence[Facts]) -> list[Variant]:
    """The variants among runs that told their distance to tune at their end, each run by itself."""
    found: list[Variant] = []
    for facts in runs:
        told = [record for record in facts.log if record.get("kind") == "distance" and record.get("to") == "tune"]
        if told:
            value = told[-1]["mean"]["fast_distance"]
            found.append(Variant([facts], facts.run.name.replace("-", " "), value, [number(value)], told[-1]["n"]))
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
