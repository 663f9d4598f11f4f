"""The data of a figure of accuracy against parameters: our classifiers, the papers, and those who told their sizes."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pages.contest import papers, read_rivals
from pages.runs import Entry, entries
from shoestring.model.load import recipe_of
from shoestring.report.run_data import Facts

TITLES = {"addnist": "AddNIST", "cifar100": "CIFAR-100"}
BUDGET = 100_000
STEPS = 10_000


@dataclass(frozen=True)
class Point:
    """One system.

    Attributes:
        label: What stands beside it.
        parameters: How many.
        accuracy: As a fraction.
        kind: "ours"; "aside" for ours under other conditions; "paper"; "rival"; "limited", whose size is a limit.
        interval: 95 % of the accuracy, where known.
        seeds: How many runs it is the mean of; 0 of others' results.
        family: The kind of net of ours: has one colour, and its points of kind "ours" are joined.
    """

    label: str
    parameters: int
    accuracy: float
    kind: str
    interval: tuple[float, float] | None = None
    seeds: int = 0
    family: str = ""


@dataclass(frozen=True)
class Chart:
    """All that a figure shows.

    Attributes:
        title: The data set.
        points: Systems of known size or with a limit to it.
        levels: Label and accuracy of systems whose size nobody told.
    """

    title: str
    points: list[Point]
    levels: list[tuple[str, float]]

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


def read_chart(runs: Sequence[Facts], data: str) -> Chart:
    """The chart of a data set, from the kept runs and the rivals."""
    points = [_own(entry) for entry in entries(runs, data)]
    levels: list[tuple[str, float]] = []
    for rival in [*papers(runs, data), *read_rivals(data)]:
        size, label = rival.parameters or rival.at_most_parameters, f"{rival.system}, {rival.said}"
        if rival.on is not None:
            continue
        if size is None:
            levels.append((label, rival.accuracy))
        else:
            kind = "paper" if rival.paper else "rival" if rival.parameters else "limited"
            points.append(Point(label.replace("`", ""), size, rival.accuracy, kind))
    return Chart(TITLES[data], points, levels)


def _own(entry: Entry) -> Point:
    first = entry.runs[0]
    recipe = recipe_of(first.run)
    aside: list[str] = []
    if recipe.budget.steps != STEPS:
        aside.append(f"{recipe.budget.steps:,} steps")
    if recipe.data.replace(tune=0) != type(recipe.data)(tune=0):  # pyright: ignore[reportCallIssue]
        aside.append("other test images")
    size = re.search(r"-curve-(.+)$", entry.label)
    name = f"{size[1] if size else entry.label}, {100 * entry.accuracy:.1f} %"
    bounds = entry.interval
    return Point(
        label=f"{name} ({', '.join(aside)})" if aside else name,
        parameters=first.parameters or 0,
        accuracy=round(entry.accuracy, 6),
        kind="aside" if aside else "ours",
        interval=(round(bounds[0], 6), round(bounds[1], 6)) if bounds else None,
        seeds=len(entry.runs),
        family=recipe.net.kind,
    )
