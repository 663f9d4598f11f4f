"""Curves over the steps: from log records to lines that a figure can draw."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shoestring.report.format import is_number, number, percent
from shoestring.report.plotting import Axes, MaxNLocator, PercentFormatter, StrMethodFormatter
from shoestring.report.run_data import as_object
from shoestring.report.svg import INK, MUTED, SERIES, Key, Picture, canvas, svg

MOST_POINTS = 300
"""A curve with more points is averaged to this many: more cannot be seen, and the page stays light."""

_DRAWN = {"line": "-", "dashed": "--", "dots": "-"}


@dataclass(frozen=True)
class Curve:
    """One quantity over the steps.

    Attributes:
        key: Its entry in the legend.
        steps: Where each value belongs; for a mean over several steps, their middle.
        values: The values.
        stds: Standard deviations over mini-batches, empty when not known.
        band: Whether to show the deviations.
    """

    key: Key
    steps: list[float]
    values: list[float]
    stds: list[float]
    band: bool = False


@dataclass(frozen=True)
class Mark:
    """A single measured value with its interval, such as the final test accuracy."""

    key: Key
    step: float
    value: float
    interval: tuple[float, float] | None = None


def curve(log: Sequence[dict[str, Any]], kind: str, name: str, key: Key, *, band: bool = False) -> Curve | None:
    """A quantity of the log's records of one kind, None when it was never logged.

    Args:
        log: The log.
        kind: "train", "tune", "test" or "distance".
        name: Name within the records' means, such as "classifier/loss"; or of a record's own field.
        key: Its entry in the legend.
        band: Whether to show the standard deviation over mini-batches.
    """
    found: list[tuple[float, float, float, float]] = []
    for record in log:
        value = record.get("mean", {}).get(name, record.get(name))
        if record.get("kind") == kind and is_number(value) and math.isfinite(value):
            count = record.get("count", 1) if kind == "train" and name in record.get("mean", {}) else 0
            std = as_object(record.get("std")).get(name, math.nan)
            found.append((record["step"] - count / 2, value, std, max(count, 1)))
    if not found:
        return None
    size = math.ceil(len(found) / MOST_POINTS)
    points = [_pooled(found[start : start + size]) for start in range(0, len(found), size)]
    stds = [point[2] for point in points]
    return Curve(
        key,
        [point[0] for point in points],
        [point[1] for point in points],
        [] if any(map(math.isnan, stds)) else stds,
        band,
    )


def _pooled(points: Sequence[tuple[float, float, float, float]]) -> tuple[float, float, float]:
    # Deviations are of single mini-batches around their record's mean; around the pooled mean the records' means add.
    total = sum(count for *_, count in points)
    step = sum(step * count for step, _, _, count in points) / total
    mean = sum(value * count for _, value, _, count in points) / total
    spread = sum((std**2 + (value - mean) ** 2) * count for _, value, std, count in points) / total
    return step, mean, math.sqrt(spread)


def chart(
    name: str,
    title: str,
    unit: str,
    curves: Sequence[Curve | None],
    marks: Sequence[Mark] = (),
    *,
    caption: str = "",
    in_percent: bool = False,
    fraction: bool = False,
    reference: float | None = None,
    always_keyed: bool = False,
    from_zero: bool = False,
    height: float = 2.9,
) -> Picture | None:
    """A chart of curves over the steps, None when there is nothing to draw.

    Args:
        name: Unique on the page.
        title: Its heading.
        unit: Label of the vertical axis.
        curves: What to draw; absent ones are left out.
        marks: Single values with intervals.
        caption: What else to say.
        in_percent: Whether values are fractions to show in percent.
        fraction: Whether they are fractions at all, so that the vertical axis ends at 0 and 1.
        reference: A height to mark with a thin line.
        always_keyed: Whether even a single curve gets a legend.
        from_zero: Whether the vertical axis starts at zero.
        height: Height in inches, of a width of 4.7.
    """
    drawn = [one for one in curves if one is not None]
    if not drawn and not marks:
        return None
    with canvas(4.7, height) as figure:
        axes = figure.add_subplot()
        if reference is not None:
            axes.axhline(reference, color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        for one in drawn:
            _draw(axes, one)
        for mark in marks:
            color = _color(mark.key)
            if mark.interval is not None:
                axes.vlines(mark.step, *mark.interval, color=color, linewidth=1.5, zorder=4)
            axes.plot(
                [mark.step], [mark.value], "D", color=color, markersize=4.5, markeredgecolor=INK, markeredgewidth=0.5,
                zorder=5, clip_on=False,
            )  # fmt: skip
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.set_xlim(left=0)
        if from_zero:
            axes.set_ylim(bottom=0)
        if in_percent or fraction:
            axes.set_ylim(within_0_and_1(axes.get_ylim()))
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10], integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if in_percent:
            axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        content = svg(figure, name, _spoken(title, drawn, marks, percent if in_percent else number))
    keys = [one.key for one in drawn] + [mark.key for mark in marks]
    return Picture(
        content, title, caption, legend=list(dict.fromkeys(keys)) if always_keyed or len(set(keys)) > 1 else []
    )


def within_0_and_1(limits: tuple[float, float]) -> tuple[float, float]:
    """The limits of an axis, cut to where fractions lie; bands of a standard deviation may reach beyond."""
    return max(limits[0], 0.0), min(limits[1], 1.0)


def _color(key: Key) -> str:
    return SERIES[(key.series - 1) % len(SERIES)]


def _draw(axes: Axes, one: Curve) -> None:
    color = _color(one.key)
    if one.band and one.stds:
        low = [value - spread for value, spread in zip(one.values, one.stds, strict=True)]
        high = [value + spread for value, spread in zip(one.values, one.stds, strict=True)]
        axes.fill_between(one.steps, low, high, color=color, alpha=0.15, linewidth=0)
    dots = "o" if one.key.mark == "dots" or len(one.steps) == 1 else None
    axes.plot(one.steps, one.values, color=color, linestyle=_DRAWN[one.key.mark], marker=dots, zorder=3)


def _spoken(title: str, curves: Sequence[Curve], marks: Sequence[Mark], say: Any) -> str:
    said = [
        f"{one.key.text} goes from {say(one.values[0])} to {say(one.values[-1])} at step {one.steps[-1]:,.0f}"
        for one in curves
    ]
    said += [f"{mark.key.text} is {say(mark.value)}" for mark in marks]
    return f"{title} over the steps: {'; '.join(said)}."
