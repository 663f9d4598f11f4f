"""Accuracy against parameters as a picture: our classifiers joined by family, and everybody else."""

import hashlib
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from pages.chart import BUDGET, Chart, Point
from pages.placing import Box, place
from shoestring.report.plotting import (
    Axes,
    Figure,
    FuncFormatter,
    Line2D,
    NullLocator,
    TextPath,
    blended_transform_factory,
    styled,
)

INK, MUTED, LINE, SHADE = "#1c2430", "#5b6675", "#dfe3e8", "#f3f4f6"
FAMILIES = ("#0072b2", "#d55e00", "#009e73", "#aa4499")
"""Colours told apart with any colour vision (after Okabe and Ito 2008)."""
MARKS: dict[str, dict[str, Any]] = {
    "ours": {"marker": "o", "markersize": 9},
    "aside": {"marker": "o", "markersize": 8, "markerfacecolor": "white", "markeredgewidth": 1.6},
    "paper": {"marker": "D", "markersize": 7.5, "color": INK},
    "rival": {"marker": "s", "markersize": 7, "color": MUTED},
    "limited": {"marker": "<", "markersize": 8, "color": MUTED, "markerfacecolor": "white", "markeredgewidth": 1.4},
}
MEANINGS = {
    "ours": "ours, mean over seeds, 95 % interval",
    "aside": "ours, under other conditions",
    "paper": "published",
    "rival": "others, as reported",
    "limited": "others, of at most this size",
}
TICKS = (0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999)
SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
BEST = 0.9995  # intervals may reach beyond; the axis does not
LABEL = 9.5  # points, and so pixels: the figure has 72 to the inch
FAR = 26  # pixels from which on a thin line leads from a label to its point
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "shoestring",
    "svg.fonttype": "path",  # so that no reader's font is wider than the room there is
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
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
    with styled(STYLE):
        figure = draw(chart)
        title = f"{chart.title}: accuracy against parameters"
        about = {"Title": title, "Description": _mark_of(text), "Date": None, "Creator": None}
        figure.savefig(file, format="svg", metadata=about)
    lines = (line.rstrip() for line in file.read_text(encoding="utf-8").splitlines())
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data_file(file).write_text(text, encoding="utf-8")


def draw(chart: Chart) -> Figure:
    """The picture."""
    figure = Figure(figsize=(9, 5.6), dpi=72, facecolor="white", layout="constrained")  # as in SVG
    axes = figure.add_subplot()
    _scales(axes, chart)
    families = dict.fromkeys(point.family for point in chart.points if point.family)
    colours: dict[str, str] = dict(zip(families, 8 * FAMILIES, strict=False))
    for family, colour in colours.items():
        line = joined(chart, family)
        axes.plot([p.parameters for p in line], [p.accuracy for p in line], color=colour, linewidth=1.5, alpha=0.6)
    for point in chart.points:
        _mark(axes, point, colours.get(point.family, FAMILIES[0]))
    for _, accuracy in chart.levels:
        axes.axhline(accuracy, color=MUTED, linewidth=1.1, linestyle=(0, (5, 4)))
    kinds = [kind for kind in MARKS if any(point.kind == kind for point in chart.points)]
    looks: list[dict[str, Any]] = [{"color": INK, "linestyle": "none", "label": MEANINGS[k], **MARKS[k]} for k in kinds]
    handles = [Line2D([], [], **look) for look in looks]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=LABEL)
    figure.draw_without_rendering()
    _labels(axes, chart, colours)
    figure.set_layout_engine("none")  # labels were placed within this layout
    return figure


def joined(chart: Chart, family: str) -> list[Point]:
    """The points that a line joins, from small to large."""
    own = [point for point in chart.points if point.family == family and point.kind == "ours"]
    return sorted(own, key=lambda point: point.parameters)


def _scales(axes: Axes, chart: Chart) -> None:
    values = [p.accuracy for p in chart.points] + [accuracy for _, accuracy in chart.levels]
    values += [end for p in chart.points if p.interval for end in p.interval]
    sizes = [BUDGET, *(p.parameters for p in chart.points)]
    low, high = _room(min(values), min(max(values), BEST))
    axes.set_xscale("log")
    axes.set_xlim(min(*sizes, 30_000) / 1.5, max(*sizes, 200_000) * 1.5)
    axes.set_yscale("function", functions=(_spread, _gather))
    axes.set_ylim(low, high)
    axes.set_yticks([tick for tick in TICKS if low <= tick <= high])
    axes.set_xticks([size for size in SIZES if axes.get_xlim()[0] <= size <= axes.get_xlim()[1]])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    axes.tick_params(length=0)
    axes.set_xlabel("parameters (logarithmic)")
    axes.set_ylabel("test accuracy (errors on a log scale)")
    axes.set_title(f"{chart.title}: what a parameter buys", loc="left", fontsize=14, fontweight="bold", pad=24)
    axes.axvspan(BUDGET, axes.get_xlim()[1], color=SHADE, zorder=0)
    axes.axvline(BUDGET, color=INK, linewidth=1.2)
    above = blended_transform_factory(axes.transData, axes.transAxes)
    told = f"budget: {BUDGET:,} parameters"
    axes.text(BUDGET, 1.015, told, transform=above, ha="center", va="bottom", fontsize=LABEL)


def _thousands(size: float, _: int | None) -> str:
    return f"{size / 1000:,.0f}k"


def _percent(accuracy: float, _: int | None) -> str:
    return f"{100 * accuracy:.4g} %"


def _spread(accuracy: Any) -> Any:
    return -np.log10(np.maximum(1 - np.asarray(accuracy, dtype=float), 1e-9))


def _gather(spread: Any) -> Any:
    return 1 - 10.0 ** -(1.0 * spread)


def _room(low: float, high: float) -> tuple[float, float]:
    """The limits of the axis, with a tenth of its length free above and below."""
    bottom, top = -math.log10(1 - low), -math.log10(1 - high)
    margin = 0.1 * max(top - bottom, 0.1)
    return 1 - 10 ** -(bottom - margin), 1 - 10 ** -(top + margin)


def _mark(axes: Axes, point: Point, colour: str) -> None:
    look: dict[str, Any] = {"color": colour, **MARKS[point.kind]}
    bars = None
    if point.interval:
        bars = [[point.accuracy - point.interval[0]], [point.interval[1] - point.accuracy]]
    axes.errorbar([point.parameters], [point.accuracy], yerr=bars, capsize=4, elinewidth=1.6, zorder=3, **look)


def _labels(axes: Axes, chart: Chart, colours: dict[str, str]) -> None:
    frame = axes.get_window_extent()
    inside = Box(frame.x0 + 3, frame.y0 + 3, frame.x1 - 3, frame.y1 - 3)

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y))
        return float(across), float(up)

    def thin(x0: float, y0: float, x1: float, y1: float, by: float) -> Box:
        return Box(min(x0, x1) - by, min(y0, y1) - by, max(x0, x1) + by, max(y0, y1) + by)

    within = axes.transAxes.inverted().transform
    taken = [thin(*at(BUDGET, axes.get_ylim()[0]), *at(BUDGET, axes.get_ylim()[1]), 2)]
    taken += [
        thin(inside.left, at(BUDGET, level)[1], inside.right, at(BUDGET, level)[1], 1) for _, level in chart.levels
    ]
    for point in chart.points:
        low, high = point.interval or (point.accuracy, point.accuracy)
        x, y = at(point.parameters, point.accuracy)
        taken += [thin(x, y, x, y, 7), thin(*at(point.parameters, low), *at(point.parameters, high), 5)]
    for family in colours:
        line = joined(chart, family)
        for first, second in itertools.pairwise(line):
            (x0, y0), (x1, y1) = at(first.parameters, first.accuracy), at(second.parameters, second.accuracy)
            for part in range(21):
                x, y = x0 + (x1 - x0) * part / 20, y0 + (y1 - y0) * part / 20
                taken.append(thin(x, y, x, y, 3))
    wanted = [(text, inside.left, at(BUDGET, level)[1], MUTED) for text, level in chart.levels]
    wanted += [(p.label, *at(p.parameters, p.accuracy), colours.get(p.family, INK)) for p in chart.points]
    for text, x, y, colour in wanted:
        # Wider than it is by a little, since screens round the widths of letters.
        width = 1.04 * float(TextPath((0, 0), text, size=LABEL).get_extents().x1)
        box = place(x, y, width, 1.3 * LABEL, inside, taken)
        middle, bottom = within((box.left + width / 2, box.bottom + 0.3 * LABEL))  # letters reach below their line
        axes.text(middle, bottom, text, transform=axes.transAxes, fontsize=LABEL, color=colour, ha="center")
        end = box.nearest(x, y)
        if math.dist((x, y), end) > FAR:
            (x0, y0), (x1, y1) = within((x, y)), within(end)
            axes.plot([x0, x1], [y0, y1], color=MUTED, linewidth=0.7, transform=axes.transAxes)
        taken.append(box)


def _text(chart: Chart) -> str:
    return json.dumps(chart.to_json(), indent=1, ensure_ascii=False) + "\n"


def _mark_of(text: str) -> str:
    return f"data sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}"
