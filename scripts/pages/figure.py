"""Accuracy against parameters as a picture: our classifiers joined by family, and everybody else."""

import hashlib
import json
from itertools import cycle
from pathlib import Path
from typing import Any

from pages.chart import BUDGET, Chart, Series
from shoestring.report.plotting import (
    Axes,
    EngFormatter,
    Figure,
    FixedLocator,
    LogLocator,
    NullLocator,
    PercentFormatter,
)
from shoestring.report.svg import INK, MUTED, SERIES, canvas

TICKS = (
    0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.985, 0.99,
    0.993, 0.995, 0.998, 0.999,
)  # fmt: skip
OURS = ("ours", "aside")
HOLLOW = ("aside", "limited")
SHAPES = "Ds^vPX<>*"
STYLE: dict[str, Any] = {
    "font.size": 10.5,
    "svg.fonttype": "path",  # a reader's fonts change nothing
}


def data_file(file: Path) -> Path:
    """Where the data of a figure lies."""
    return file.with_suffix(".json")


def is_current(chart: Chart, file: Path) -> bool:
    """Whether a figure was drawn of just this chart: its data file says the same, and it names that file's hash."""
    text = _text(chart)
    if not (file.is_file() and data_file(file).is_file()):
        return False
    drawn = f">{_mark_of(text)}<" in file.read_text(encoding="utf-8")
    return drawn and data_file(file).read_text(encoding="utf-8") == text


def write(chart: Chart, file: Path) -> None:
    """Draws the figure and writes it as SVG, with its data beside it as JSON; the same bytes for the same chart."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = _text(chart)
    title = f"{chart.title}: test accuracy against parameters"
    about = {"Title": title, "Description": _mark_of(text), "Date": None, "Creator": None}
    with canvas(9, 6.2, **STYLE) as figure:
        draw(chart, figure)
        figure.savefig(file, format="svg", metadata=about)
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data_file(file).write_text(text, encoding="utf-8")


def draw(chart: Chart, figure: Figure) -> None:
    """The picture, on white paper, so that it can be read on a dark page too."""
    figure.set_facecolor("white")
    axes = figure.add_subplot()
    axes.axvline(BUDGET, color=INK, linewidth=1.2, label=f"budget: {BUDGET:,} parameters")
    for (label, accuracy), dashes in zip(chart.levels, ("--", ":", "-."), strict=False):
        axes.axhline(accuracy, color=MUTED, linewidth=1.2, linestyle=dashes, label=label)
    colors, shapes = cycle(SERIES), cycle(SHAPES)
    for series in chart.series:
        if series.kind in OURS:
            _plot(axes, series, next(colors), "o")
        else:
            _plot(axes, series, INK if series.kind == "paper" else MUTED, next(shapes))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_yscale("logit", nonpositive="clip")
    axes.yaxis.set_major_locator(FixedLocator(TICKS))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(PercentFormatter(1, 1, " %"))
    axes.set_xlabel("parameters (log scale)")
    axes.set_ylabel("test accuracy (logit scale)")
    axes.set_title(f"{chart.title}: test accuracy against parameters", loc="left", fontweight="bold")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _plot(axes: Axes, series: Series, color: str, marker: str) -> None:
    bars = None
    points = series.points
    if all(point.interval for point in points):
        ends = [(p.accuracy - p.interval[0], p.interval[1] - p.accuracy) for p in points if p.interval]
        bars = list(zip(*ends, strict=True))
    hollow: dict[str, Any] = {"markerfacecolor": "white", "zorder": 3} if series.kind in HOLLOW else {}
    axes.errorbar(
        [point.parameters for point in points], [point.accuracy for point in points], yerr=bars, label=series.label,
        color=color, marker=marker, markersize=7, capsize=3, linestyle="-" if len(points) > 1 else "none", **hollow,
    )  # fmt: skip


def _text(chart: Chart) -> str:
    return json.dumps(chart.to_json(), indent=1, ensure_ascii=False) + "\n"


def _mark_of(text: str) -> str:
    return f"data sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
