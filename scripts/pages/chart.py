"""The data of a figure of accuracy against parameters: our classifiers, the papers, and what others reported."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pages.contest import papers, read_rivals
from pages.runs import Entry, entries
from shoestring.model.load import recipe_of
from shoestring.report.format import percent
from shoestring.report.run_data import RunData

TITLES = {"addnist": "AddNIST", "cifar100": "CIFAR-100"}
BUDGET = 100_000
STEPS = 10_000


@dataclass(frozen=True)
class Point:
    """One system.

    Attributes:
        parameters: How many.
        accuracy: As a fraction.
        interval: 95 % of the accuracy, where known.
        seeds: How many runs it is the mean of; 0 of others' results.
    """

    parameters: int
    accuracy: float
    interval: tuple[float, float] | None = None
    seeds: int = 0


@dataclass(frozen=True)
class Series:
    """One entry of the legend.

    Attributes:
        label: Its text.
        kind: "ours"; "aside" for ours under other conditions; "paper"; "rival"; "limited", whose size is a limit.
        points: From small to large; a line joins them.
    """

    label: str
    kind: str
    points: list[Point]


@dataclass(frozen=True)
class Chart:
    """All that a figure shows.

    Attributes:
        title: The data set.
        series: Systems of known size, or with a limit to it.
        levels: Label and accuracy of systems whose size is not reported.
    """

    title: str
    series: list[Series]
    levels: list[tuple[str, float]]

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)


def read_chart(runs: Sequence[RunData], data: str) -> Chart:
    """The chart of a data set, from the kept runs and the rivals."""
    series, levels = _ours(entries(runs, data)), list[tuple[str, float]]()
    for rival in [*papers(runs, data), *read_rivals(data)]:
        label = f"{rival.system.replace('`', '')}, {rival.said}"
        if rival.on is not None:
            continue
        if rival.parameters is not None:
            point = Point(rival.parameters, rival.accuracy)
            series.append(Series(label, "paper" if rival.paper else "rival", [point]))
        elif rival.at_most_parameters is not None:
            limit = rival.at_most_parameters
            series.append(Series(f"{label} (≤ {limit // 1000}k)", "limited", [Point(limit, rival.accuracy)]))
        else:
            levels.append((label, rival.accuracy))
    return Chart(TITLES[data], series, levels)


def _ours(found: Sequence[Entry]) -> list[Series]:
    """Our classifiers, the sizes of one architecture under the same conditions together, under their shortest name."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in found:
        groups.setdefault((_architecture(entry), _conditions(entry)), []).append(entry)
    series: list[Series] = []
    for (_, conditions), group in groups.items():
        name = min((entry.label for entry in group), key=len)
        text = f"{name}, {len(group)} sizes" if len(group) > 1 else f"{name}, {percent(group[0].accuracy)}"
        points = sorted(map(_point, group), key=lambda point: point.parameters)
        series.append(Series(text + conditions, "aside" if conditions else "ours", points))
    return series


def _architecture(entry: Entry) -> str:
    """What nets of several sizes have in common: their kind and switches, but no number."""
    net = recipe_of(entry.runs[0].run).net.model_dump()
    return str({field: value for field, value in net.items() if isinstance(value, str | bool)})


def _conditions(entry: Entry) -> str:
    """In which a result of ours cannot be compared with the others; empty if it can."""
    recipe = recipe_of(entry.runs[0].run)
    differing: list[str] = []
    if recipe.budget.steps != STEPS:
        differing.append(f"{recipe.budget.steps:,} steps")
    if recipe.data.replace(tune=0) != type(recipe.data)(tune=0):  # pyright: ignore[reportCallIssue]
        differing.append("other test images")
    return f" ({', '.join(differing)})" if differing else ""


def _point(entry: Entry) -> Point:
    return Point(
        parameters=entry.runs[0].parameters or 0,
        accuracy=round(entry.accuracy, 6),
        interval=(round(entry.interval[0], 6), round(entry.interval[1], 6)) if entry.interval else None,
        seeds=len(entry.runs),
    )
