"""The charts of a sweep's page."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shoestring.core.run import Run
from shoestring.report.curves import chart, curve
from shoestring.report.format import number, percent, plain
from shoestring.report.plotting import Axes, MaxNLocator, PercentFormatter
from shoestring.report.svg import INK, LINE, MUTED, SERIES, Key, Picture, canvas, svg

BEST = 5  # points whose lines are coloured and whose curves are shown
SHORT = 16  # letters of a value beside an axis


def sweep_charts(folder: Path, found: dict[str, Any]) -> list[Picture]:
    """All that can be drawn of what was found so far.

    Args:
        folder: The sweep's, for the logs of its runs.
        found: What results.json says.
    """
    finished = [point for point in found["points"] if point["metric"]]
    if not finished:
        return []
    pictures: list[Picture | None] = [_parallel(found, finished) if len(finished) > 1 else None]
    pictures += [_values(found, finished, place) for place in range(len(found["axes"]))]
    pictures += [_importance(found), _curves(folder, found, finished[:BEST])]
    return [picture for picture in pictures if picture]


def _parallel(found: dict[str, Any], points: Sequence[dict[str, Any]]) -> Picture:
    """A line for each point, from axis to axis; the best ones in colour."""
    axes_found = found["axes"]
    scales = [Scale(axis, points) for axis in axes_found]
    values = [point["metric"]["value"] for point in points]
    low, high = min(values), max(values)
    with canvas(9.6, 3.6) as figure:
        axes = figure.add_subplot()
        last = len(scales)
        for rank in reversed(range(len(points))):
            point = points[rank]
            heights = [scale.place(point) for scale in scales]
            heights.append((values[rank] - low) / (high - low) if high > low else 0.5)
            good = rank < BEST
            axes.plot(
                range(last + 1), heights, color=SERIES[rank % len(SERIES)] if good else MUTED,
                alpha=1 if good else 0.35, linewidth=2 if good else 0.7, zorder=4 if good else 2, clip_on=False,
            )  # fmt: skip
        for place in range(last + 1):
            axes.axvline(place, color=LINE, linewidth=1, zorder=1)
        for place, scale in enumerate(scales):
            for height, text in scale.ticks():
                axes.text(place + 0.02, height, text, fontsize=7.5, color=INK, va="center", zorder=6)
        for height, value in ((0.0, low), (1.0, high)):
            axes.text(last + 0.02, height, _said(found, value), fontsize=7.5, color=INK, va="center", zorder=6)
        names = [axis["name"].replace(",", "\n") for axis in axes_found]
        axes.set_xticks(range(last + 1), [*names, _measure(found)])
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(-0.1, last + 0.35)
        content = svg(figure, "parallel", f"Parallel coordinates of {len(points)} points; the table has their values.")
    legend = [Key(f"point {point['number']}", rank + 1) for rank, point in enumerate(points[:BEST])]
    return Picture(content, "All points", "Each line is a point; the best five are in colour.", legend, wide=True)


def _values(found: dict[str, Any], points: Sequence[dict[str, Any]], place: int) -> Picture:
    """The measure of every point over one axis."""
    axis = found["axes"][place]
    scale = Scale(axis, points)
    with canvas(4.7, 2.9) as figure:
        axes = figure.add_subplot()
        for rank in reversed(range(len(points))):
            metric, good = points[rank]["metric"], rank < BEST
            color = SERIES[rank % len(SERIES)] if good else MUTED
            where = scale.place(points[rank])
            if metric["interval"]:
                axes.vlines(where, *metric["interval"], color=color, alpha=0.5, linewidth=1)
            axes.plot([where], [metric["value"]], "o", color=color, alpha=1 if good else 0.6, zorder=4 if good else 3)
        ticks = scale.ticks()
        axes.set_xticks([height for height, _ in ticks], [text for _, text in ticks])
        axes.set_xlim(-0.08, 1.08)
        axes.set_xlabel(axis["name"])
        _label_measure(axes, found)
        content = svg(figure, f"axis-{place}", f"{_measure(found)} of {len(points)} points over {axis['name']}.")
    logarithmic = ", on a logarithmic scale" if axis["log"] else ""
    caption = f"Dots are means over seeds, lines their 95 % intervals where there are two seeds or more{logarithmic}."
    return Picture(content, axis["name"], caption)


def _importance(found: dict[str, Any]) -> Picture | None:
    known = {name: share for name, share in found["importance"].items() if share is not None}
    if not known:
        return None
    with canvas(4.7, 0.9 + 0.34 * len(known)) as figure:
        axes = figure.add_subplot()
        axes.barh(range(len(known)), list(known.values()), color=SERIES[0], height=0.6)
        axes.set_yticks(range(len(known)), list(known))
        axes.set_ylim(len(known) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        axes.set_xlabel("variance explained (%)")
        said = "; ".join(f"{name} {percent(share)}" for name, share in known.items())
        content = svg(figure, "importance", f"How much of the differences each field explains: {said}.")
    caption = (
        "How much of the variance between points a field explains by itself (epsilon squared; numbers of a range in up "
        "to four groups). The rest is what fields do together, and the luck of seeds."
    )
    return Picture(content, "Importance of each field", caption)


def _curves(folder: Path, found: dict[str, Any], points: Sequence[dict[str, Any]]) -> Picture | None:
    kind = "distance" if found["measure"] == "cifar_resnet_fd" else "tune"
    curves = [
        curve(
            Run(folder / point["trainings"][0]["run"]).log(), kind, found["measure"], Key(f"point {point['number']}", i)
        )
        for i, point in enumerate(points, start=1)
    ]
    return chart(
        "curves", "Curves of the best", _measure(found), curves, in_percent=_is_fraction(found), always_keyed=True,
        caption=f"On the tune split, of each point's first seed (n = {len(points)} points).",
    )  # fmt: skip


class Scale:
    """Where the values of an axis stand, in 0..1."""

    def __init__(self, axis: dict[str, Any], points: Sequence[dict[str, Any]]) -> None:
        self.axis = axis
        values = [self._value(point) for point in points]
        plainly = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        self.order: list[Any] = sorted(set(values)) if plainly else list(dict.fromkeys(values))
        self.numbers = bool(axis["range"])

    def place(self, point: dict[str, Any]) -> float:
        """The place of a point."""
        value = self._value(point)
        if not self.numbers:
            return self.order.index(value) / max(len(self.order) - 1, 1) if len(self.order) > 1 else 0.5
        low, high = self._scaled(self.order[0]), self._scaled(self.order[-1])
        return (self._scaled(value) - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[tuple[float, str]]:
        """Places with what stands there: every choice, or the ends of a range."""
        if self.numbers:
            ends = [self.order[0], self.order[-1]] if len(self.order) > 1 else self.order
            return [(place, number(value)) for place, value in zip((0.0, 1.0), ends, strict=False)]
        count = max(len(self.order) - 1, 1)
        middle = 0.5 if len(self.order) == 1 else 0.0
        return [(middle + place / count, self._text(value)) for place, value in enumerate(self.order)]

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.axis["log"] else value

    def _value(self, point: dict[str, Any]) -> Any:
        """A number or a text that stands for the axis' values of a point."""
        values = [point["fields"][field] for field in self.axis["fields"]]
        if len(values) == 1 and isinstance(values[0], int | float | str):
            return values[0]
        return json.dumps(values[0] if len(values) == 1 else values)

    def _text(self, value: Any) -> str:
        text = plain(value)
        return text if len(text) <= SHORT else f"{text[: SHORT - 1]}…"


def _measure(found: dict[str, Any]) -> str:
    return f"tune {found['measure'].replace('_', ' ')}{' (%)' if _is_fraction(found) else ''}"


def _is_fraction(found: dict[str, Any]) -> bool:
    return "accuracy" in found["measure"]


def _said(found: dict[str, Any], value: float) -> str:
    return percent(value, 2) if _is_fraction(found) else number(value)


def _label_measure(axes: Axes, found: dict[str, Any]) -> None:
    axes.set_ylabel(_measure(found))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if _is_fraction(found):
        axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
