"""Per-class accuracy, confusions and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shoestring.metrics.statistics import wilson_interval
from shoestring.report.format import integer, percent
from shoestring.report.plotting import PercentFormatter, StrMethodFormatter, to_rgb
from shoestring.report.run_data import RunData, as_object
from shoestring.report.svg import MUTED, SERIES, Key, Picture, canvas, svg

MOST_CLASSES_WITH_NUMBERS = 25
LISTED = 10


@dataclass(frozen=True)
class ClassRow:
    """The accuracy of one class.

    Attributes:
        name: The class.
        accuracy: Fraction of its images that are given to it.
        interval: 95 % Wilson interval, None when the number of images is not known.
        n: Its images.
        mistaken_for: The class its images are most often given to by mistake, with how often; None without mistakes.
    """

    name: str
    accuracy: float
    interval: tuple[float, float] | None
    n: int | None
    mistaken_for: tuple[str, int] | None


@dataclass(frozen=True)
class Confusion:
    """How often images of one class are given to another.

    Attributes:
        true: The class they are of.
        answered: The class they are given to.
        count: How many.
        rate: Fraction of the images of the true class.
    """

    true: str
    answered: str
    count: int
    rate: float


def matrix(run_data: RunData, split: str) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """The confusion counts of a split, rows the true classes; None when not measured or not square."""
    metric = run_data.metric(split, "confusion")
    if metric is None:
        return None
    counts = np.asarray(metric.value, dtype=np.float64)
    return counts if counts.ndim == 2 and counts.shape[0] == counts.shape[1] > 0 else None


def names(run_data: RunData, count: int) -> list[str]:
    """The names of so many classes, or their numbers when the names are not known."""
    return run_data.classes if len(run_data.classes) == count else [f"class {index}" for index in range(count)]


def class_rows(run_data: RunData, split: str) -> list[ClassRow]:
    """The accuracy of each class, worst first; empty when not measured. Classes without images are left out."""
    counts, metric = matrix(run_data, split), run_data.metric(split, "per_class_accuracy")
    rows: list[ClassRow] = []
    if counts is not None:
        known = names(run_data, len(counts))
        for index, row in enumerate(counts):
            n = int(row.sum())
            if n:
                mistakes = np.where(np.arange(len(row)) == index, 0, row)
                worst = int(mistakes.argmax())
                mistaken = (known[worst], int(mistakes[worst])) if mistakes[worst] else None
                rows.append(ClassRow(known[index], row[index] / n, wilson_interval(row[index], n), n, mistaken))
    elif metric is not None:
        known = names(run_data, len(metric.value))
        found = [as_object(one) or {"value": one} for one in metric.value]
        rows = [
            ClassRow(name, one["value"], one.get("interval"), one.get("n"), None)
            for name, one in zip(known, found, strict=True)
            if one["value"] is not None
        ]
    return sorted(rows, key=lambda row: row.accuracy)


def worst_and_best(rows: Sequence[ClassRow]) -> tuple[list[ClassRow], list[ClassRow]]:
    """The worst classes, worst first, and the best, best first, none in both; few classes are all in the first."""
    if len(rows) <= LISTED:
        return list(rows), []
    listed = min(LISTED, len(rows) // 2)
    return list(rows[:listed]), list(reversed(rows[len(rows) - listed :]))


def confusions(run_data: RunData, split: str) -> list[Confusion]:
    """The most frequent mistakes, the most frequent first."""
    counts = matrix(run_data, split)
    if counts is None:
        return []
    known, totals = names(run_data, len(counts)), counts.sum(axis=1)
    mistakes = counts * (1 - np.eye(len(counts)))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:LISTED]
    pairs = [divmod(int(place), len(counts)) for place in order]
    return [
        Confusion(known[true], known[answer], int(counts[true, answer]), counts[true, answer] / totals[true])
        for true, answer in pairs
        if mistakes[true, answer] > 0
    ]


def confusion_map(run_data: RunData, split: str, name: str) -> Picture | None:
    """The confusion matrix as a heat map: right answers in one hue, mistakes in another, each on its own scale."""
    counts = matrix(run_data, split)
    if counts is None:
        return None
    size, known = len(counts), names(run_data, len(counts))
    rates = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    diagonal = np.eye(size, dtype=bool)
    largest = float(np.where(diagonal, 0, rates).max())
    # Transparency carries the value, so that the map reads on light and on dark paper.
    colors = np.zeros((size, size, 4))
    colors[..., :3] = np.where(diagonal[..., None], to_rgb(SERIES[0]), to_rgb(SERIES[1]))
    # Square roots, or else one frequent mistake would hide all others.
    colors[..., 3] = 0.85 * np.where(diagonal, rates, rates / (largest or 1)) ** 0.5
    with_numbers = size <= MOST_CLASSES_WITH_NUMBERS
    inches = max(4.5, 1.4 + 0.3 * size) if with_numbers else 1.2 + 0.098 * size
    with canvas(inches, inches) as figure:
        axes = figure.add_subplot()
        axes.imshow(colors, interpolation="none")
        axes.grid(visible=False)
        points = 7.5 if with_numbers else 5.5
        axes.set_xticks(range(size), known, rotation=90, fontsize=points)
        axes.set_yticks(range(size), known, fontsize=points)
        axes.tick_params(pad=1)
        axes.set_xlabel("answer")
        axes.set_ylabel("true class")
        for row, column in np.ndindex(size, size) if with_numbers else ():
            if rates[row, column] >= 0.005:
                words = f"{100 * rates[row, column]:.0f}"
                axes.text(column, row, words, ha="center", va="center", fontsize=6.5, in_layout=False)
        found = confusions(run_data, split)
        spoken = (
            f"Confusion matrix of {size} classes; {percent(np.trace(counts) / max(counts.sum(), 1))} on the diagonal"
        )
        spoken += (
            f"; most frequent mistake: {found[0].true} taken for {found[0].answered}." if found else "; no mistakes."
        )
        content = svg(figure, name, spoken)
    numbers = "Numbers are percent of the true class. " if with_numbers else ""
    caption = (
        f"Rows are true classes, n = {integer(counts.sum())} {split} images. {numbers}Blue: right answers, full at "
        f"100 %. Orange: mistakes, full at {percent(largest)}, the largest of them. Shades follow square roots."
    )
    return Picture(content, "Confusion matrix", caption, wide=True)


def reliability(run_data: RunData, split: str, name: str) -> Picture | None:
    """The reliability diagram: accuracy against confidence, with the number of images in each bin beneath."""
    metric = run_data.metric(split, "calibration")
    if metric is None or not metric.value:
        return None
    bins: list[dict[str, float]] = [one for one in metric.value if one["n"]]
    confidence, accuracy = [one["confidence"] for one in bins], [one["accuracy"] for one in bins]
    limits = [wilson_interval(one["accuracy"] * one["n"], round(one["n"])) for one in bins]
    with canvas(4.7, 4.2) as figure:
        axes, below = figure.subplots(2, sharex=True, height_ratios=[3, 1])
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (2, 2)))
        axes.vlines(confidence, [low for low, _ in limits], [high for _, high in limits], color=SERIES[0], linewidth=1)
        axes.plot(confidence, accuracy, "o-", color=SERIES[0])
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        below.bar(confidence, [one["n"] for one in bins], width=0.7 / max(len(bins), 10), color=SERIES[0], alpha=0.6)
        for ax in (axes.yaxis, below.xaxis):
            ax.set_major_formatter(PercentFormatter(1, symbol=""))
        below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_ylabel("accuracy (%)")
        below.set_ylabel("images")
        below.set_xlabel("confidence (%)")
        steps = [f"{percent(one['confidence'], 0)} confident, {percent(one['accuracy'], 0)} right" for one in bins]
        content = svg(figure, name, f"Reliability diagram, bin by bin: {'; '.join(steps)}.")
    error = run_data.value(split, "calibration_error")
    known = f" Expected calibration error {percent(error)}." if error is not None else ""
    caption = (
        f"n = {integer(sum(one['n'] for one in bins))} {split} images; bars are 95 % intervals.{known} On the dashed "
        f"line confidence is as good as its word; beneath it the net is over-confident."
    )
    return Picture(content, "Reliability", caption, legend=[Key("accuracy of the bin", 1)])
