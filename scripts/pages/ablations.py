"""What each idea of a recipe is worth: tune accuracy with it, and with it removed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pages.runs import ROOT, Entry, over_seeds, where
from pages.tables import Table, markdown
from shoestring.report.facts import Facts, read
from shoestring.report.wording import ABSENT, integer, interval, percent, plain, points
from shoestring.run import Run

HOME = ROOT / "results" / "ablations"
TITLE = "## What each idea is worth"
EXPLAINED = (
    "Each row changes the recipe in one place and is measured on the tune split, never on test. The difference is in "
    "percentage points to the recipe as it is, trained under the same conditions; seeds alone make some of it."
)
COLUMNS = ("what was changed", "field", "tune accuracy", "95 % interval", "seeds", "tune images", "difference")


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
    not known.
    """
    variants = over_seeds(runs, "tune")
    shared = common([entry.runs[0].overrides for entry in variants])
    changes = {id(entry): own_changes(entry.runs[0].overrides, shared) for entry in variants}
    whole = next((entry for entry in variants if not changes[id(entry)]), None)
    ordered = sorted(variants, key=lambda entry: (entry is not whole, entry.accuracy))
    rows = [_row(entry, changes[id(entry)], whole) for entry in ordered]
    return (COLUMNS, rows), "; ".join(_change(field, values) for field, values in sorted(shared.items()))


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


def _row(entry: Entry, changes: dict[str, Any], whole: Entry | None) -> list[str]:
    return [
        where(entry.runs[0], entry.folder.replace("-", " ") if changes else "nothing"),
        "; ".join(_change(field, values) for field, values in sorted(changes.items())),
        percent(entry.accuracy, 2),
        interval(entry.interval, in_percent=True),
        str(len(entry.runs)),
        integer(entry.images),
        "" if entry is whole else ABSENT if whole is None else points(entry.accuracy - whole.accuracy, 2),
    ]


def _change(field: str, values: Sequence[Any]) -> str:
    before, after = values
    return f"`{field}` {plain(after)} instead of {plain(before)}"
