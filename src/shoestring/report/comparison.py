"""Several runs side by side: headline numbers in columns, curves overlaid, and the fields in which recipes differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shoestring.report.curves import chart, curve, within_0_and_1
from shoestring.report.format import (
    ABSENT,
    duration,
    integer,
    interval,
    is_number,
    large,
    number,
    percent,
    plain,
    points,
)
from shoestring.report.headline import headline, main_metric, notices, train_gap
from shoestring.report.metric_table import in_percent, shown, title
from shoestring.report.plotting import PercentFormatter
from shoestring.report.run_data import RunData, as_object
from shoestring.report.svg import INK, MUTED, SERIES, Key, Picture, canvas, svg
from shoestring.report.tables import flat, throughput


@dataclass(frozen=True)
class Comparison:
    """What the template shows of several runs together.

    Attributes:
        labels: What the runs are called.
        results: Names of the rows that the runs are compared by.
        rows: Headline numbers: a name and one cell for each run.
        differences: Fields in which the recipes differ: a dotted name and one cell for each run.
        charts: Intervals of the results, and overlaid curves.
    """

    labels: list[str]
    results: list[str]
    rows: list[tuple[str, list[str]]]
    differences: list[tuple[str, list[str]]]
    charts: list[Picture]


def compare(runs: Sequence[RunData]) -> Comparison:
    """Several runs side by side."""
    return Comparison(
        labels=[run_data.label for run_data in runs],
        results=_results(runs),
        rows=_rows(runs),
        differences=_differences(runs),
        charts=_charts(runs),
    )


_LAST = (
    "train loss",
    "train accuracy",
    "train–test gap",
    "parameters used",
    "steps used",
    "nfe used",
    "multiply-adds per image",
    "wall time",
    "images/s, median",
    "device",
    "to be known",
)


def _results(runs: Sequence[RunData]) -> list[str]:
    mains = [main_metric(run_data) for run_data in runs]
    return list(dict.fromkeys(f"{main.split} {title(main.name)}" for main in mains if main is not None))


def _rows(runs: Sequence[RunData]) -> list[tuple[str, list[str]]]:
    columns = [_column(run_data) for run_data in runs]
    measured = [name for column in columns for name in column if name not in _LAST]
    names = list(dict.fromkeys(["recipe", *_results(runs), *measured, *_LAST]))
    rows = [(name, [column.get(name, ABSENT) for column in columns]) for name in names]
    return [(name, cells) for name, cells in rows if any(cell not in ("", ABSENT) for cell in cells)]


def _column(run_data: RunData) -> dict[str, str]:
    said, main = headline(run_data), main_metric(run_data)
    gap = train_gap(run_data, main)
    column = {"recipe": str(run_data.recipe.get("name", ABSENT))}
    if main is not None:
        column[f"{main.split} {title(main.name)}"] = said.value
        column["95 % interval"] = interval(main.interval, in_percent=in_percent(main.name))
        column["n, images"] = integer(main.n)
    column["published"] = said.published or ABSENT
    for one in run_data.metrics:
        if one.split != "train" and is_number(one.value) and one is not main and one.name != "batch_accuracy":
            column[f"{one.split} {title(one.name)}"] = shown(one.name, one.value)
    column |= {
        "train loss": number(run_data.train_loss),
        "train accuracy": percent(run_data.value("train", "accuracy")),
        "train–test gap": ABSENT if gap is None else points(gap),
    }
    column |= {f"{bar.name} used": bar.text for bar in said.bars}
    column |= {
        "multiply-adds per image": large(run_data.multiply_adds),
        "wall time": duration(run_data.seconds),
        "images/s, median": integer(throughput(run_data)),
        "device": plain(as_object(run_data.environment.get("machine")).get("device", ABSENT)),
        "to be known": "; ".join(notices(run_data)) or ABSENT,
    }
    return column


def _differences(runs: Sequence[RunData]) -> list[tuple[str, list[str]]]:
    recipes = [dict(flat("", run_data.recipe)) for run_data in runs]
    names = [name for name in dict.fromkeys(name for recipe in recipes for name in recipe) if name != "summary"]
    rows = [(name, [plain(recipe[name]) if name in recipe else ABSENT for recipe in recipes]) for name in names]
    return [(name, cells) for name, cells in rows if len(set(cells)) > 1]


def _key(run_data: RunData, index: int, kind: str) -> Key:
    """More runs than colours are told apart by dashes."""
    mark = "dashed" if index >= len(SERIES) else "line" if kind == "train" else "dots"
    return Key(run_data.label, index + 1, mark)


def _charts(runs: Sequence[RunData]) -> list[Picture]:
    def overlaid(name: str, text: str, unit: str, kind: str, key: str, *, as_percent: bool = False) -> Picture | None:
        curves = [curve(run_data.log, kind, key, _key(run_data, index, kind)) for index, run_data in enumerate(runs)]
        return chart(f"comparison-{name}", text, unit, curves, in_percent=as_percent, always_keyed=True)

    losses: dict[str, set[str]] = {}
    for run_data in runs:
        for key in (key for record in run_data.log for key in record.get("mean", {}) if key.endswith("/loss")):
            losses.setdefault(key, set()).add(run_data.loss_label)
    mains = [(main.split, main.name) for run_data in runs if (main := main_metric(run_data)) is not None]
    found = [
        *(
            _intervals(runs, split, name, f"comparison-result-{index}")
            for index, (split, name) in enumerate(dict.fromkeys(mains))
            if mains.count((split, name)) > 1
        ),
        *(
            overlaid(
                f"loss-{index}",
                f"Train loss, {key.split('/')[0]}",
                labels.pop() if len(labels) == 1 else "loss",
                "train",
                key,
            )
            for index, (key, labels) in enumerate(losses.items())
        ),
        overlaid("tune-loss", "Tune loss", "loss (nats)", "tune", "loss"),
        overlaid("train-accuracy", "Train accuracy", "accuracy (%)", "train", "accuracy", as_percent=True),
        overlaid("tune-accuracy", "Tune accuracy", "accuracy (%)", "tune", "accuracy", as_percent=True),
        overlaid("distance", "Distance on the way", "distance (lower is better)", "distance", "cifar_resnet_fd"),
    ]
    return [one for one in found if one is not None]


def _intervals(runs: Sequence[RunData], split: str, name: str, prefix: str) -> Picture:
    """One main metric of those runs that have it, with its interval and the published value."""
    mains = [main_metric(run_data) for run_data in runs]
    found = [
        (run_data, main)
        for run_data, main in zip(runs, mains, strict=True)
        if main is not None and (main.split, main.name) == (split, name)
    ]
    percentage = in_percent(name)
    say = percent if percentage else number
    with canvas(4.7, 1.0 + 0.34 * len(found)) as figure:
        axes = figure.add_subplot()
        said: list[str] = []
        for place, (run_data, main) in enumerate(found):
            color = SERIES[runs.index(run_data) % len(SERIES)]
            if main.interval is not None:
                axes.hlines(place, main.interval[0], main.interval[1], color=color, linewidth=2)
            axes.plot(
                [main.value], [place], "o", color=color, markersize=5, markeredgecolor=INK, markeredgewidth=0.5,
                clip_on=False,
            )  # fmt: skip
            published: Any = run_data.part("published").get("value")
            if is_number(published):
                axes.plot([published], [place], "|", color=MUTED, markersize=13, markeredgewidth=1.5)
            said.append(f"{run_data.label} {say(main.value)}")
        axes.set_yticks(range(len(found)), [run_data.label for run_data, _ in found])
        axes.set_ylim(len(found) - 0.5, -0.5)
        axes.margins(x=0.15)
        if percentage:
            axes.set_xlim(within_0_and_1(axes.get_xlim()))
        axes.set_xlabel(f"{title(name)} (%)" if percentage else title(name))
        if percentage:
            axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        text = f"{split} {title(name)}"
        content = svg(figure, prefix, f"{text} of each run: {'; '.join(said)}.")
    caption = "Dots are results with 95 % intervals; grey ticks are published values."
    return Picture(content, text[0].upper() + text[1:], caption)
