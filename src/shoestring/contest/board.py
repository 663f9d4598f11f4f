"""The board of a contest: its rows in order, and the files that tell of them."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from shoestring.core.atomic_files import json_bytes, write_atomic, write_json
from shoestring.metrics.statistics import computed_by, paired_difference
from shoestring.recipes.rules import Rules

TWO_SIDED = 1.96
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would compute."""


@dataclass(frozen=True)
class Graded:
    """A row of the board.

    Attributes:
        name: The file's or folder's name.
        found: What `check` found, as plain JSON values.
        seconds: How long that took.
        correct: Of a classifier, which images it names rightly: bool (n,).
        picture: Samples of a generator, PNG.
        rank: Place among its kind; None where it failed or nothing was measured. Equal for ties.
        above: Its value less that of the row above with an interval, {"value", "interval"}; None where there is none.
        tied: Whether that interval holds 0; None where it is not known.
    """

    name: str
    found: dict[str, Any]
    seconds: float
    correct: Tensor | None = None
    picture: bytes | None = None
    rank: int | None = None
    above: dict[str, Any] | None = None
    tied: bool | None = None

    @property
    def value(self) -> float | None:
        """What counts; None where nothing was measured."""
        return self.found["measured"]["value"] if self.found["measured"] else None

    @property
    def spent(self) -> dict[str, Any]:
        """Parameters and steps, as far as they are known."""
        facts = [one["facts"] for one in self.found["findings"] if one["name"] == "limits"]
        return facts[0] if facts else {}

    @property
    def reasons(self) -> list[str]:
        """Why it did not pass."""
        return [f"{one['name']}: {one['reason']}" for one in self.found["findings"] if one["verdict"] != "passed"]

    def to_json(self) -> dict[str, Any]:
        """Plain values; without answers and pictures."""
        return {
            "rank": self.rank,
            "name": self.name,
            **{key: self.found[key] for key in ("kind", "verdict", "metric", "measured")},
            "parameters": self.spent.get("parameters"),
            "steps": self.spent.get("steps"),
            "above": self.above,
            "tied": self.tied,
            "seconds": round(self.seconds, 1),
            "findings": self.found["findings"],
        }


@dataclass(frozen=True)
class Board:
    """All submissions, best first by kind, those without a rank last.

    Attributes:
        rules: What they were held against.
        rows: The submissions.
        page: The HTML file that shows them.
    """

    rules: Rules
    rows: list[Graded]
    page: Path

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"rules": self.rules.model_dump(mode="json"), "submissions": [row.to_json() for row in self.rows]}

    def write(self, out: Path) -> None:
        """Writes all but the page: results.json, results.csv and scores.json of each."""
        write_json(out / "results.json", self.to_json())
        write_atomic(out / "results.csv", _table(self.rows).encode())
        for row in self.rows:
            write_atomic(out / "submissions" / row.name / "scores.json", _scores(row))
        if len(self.rows) == 1:
            write_atomic(out / "scores.json", _scores(self.rows[0]))


def ranked(rows: Sequence[Graded]) -> list[Graded]:
    """Rows in order: classifiers by accuracy, generators by distance, then what failed, by name.

    Each is held against the one above on the same images. Where the 95 % interval of their difference holds 0 they are
    tied, and share a rank.
    """
    found: list[Graded] = []
    for kind, sign in (("classifier", -1.0), ("generator", 1.0)):
        placed = [row for row in rows if row.found["kind"] == kind and _counts(row)]
        placed.sort(key=lambda row: (sign * cast(float, row.value), row.name))
        for place, row in enumerate(placed, start=1):
            before = found[-1] if place > 1 else None
            above = None if before is None else _difference(before, row)
            tied = None if above is None else above["interval"][0] <= 0 <= above["interval"][1]
            rank = before.rank if before is not None and tied else place
            found.append(replace(row, rank=rank, above=above, tied=tied))
    return found + sorted((row for row in rows if not _counts(row)), key=lambda row: row.name)


def _counts(row: Graded) -> bool:
    return row.found["verdict"] != "failed" and row.value is not None and math.isfinite(row.value)


def _difference(before: Graded, row: Graded) -> dict[str, Any] | None:
    """A row's value less that of the one above, paired by image; of distances from their standard errors."""
    if before.correct is not None and row.correct is not None and len(before.correct) == len(row.correct):
        metric = paired_difference(before.correct, row.correct, computed_by("shoestring.metrics.statistics"))
        return {"value": metric.value, "interval": list(metric.interval or ())}
    errors = [each.found["measured"].get("standard_error") for each in (before, row)]
    if before.found["metric"] != row.found["metric"] or None in errors:
        return None
    value, half = cast(float, row.value) - cast(float, before.value), TWO_SIDED * math.hypot(*errors)
    return {"value": value, "interval": [value - half, value + half]}


def _scores(row: Graded) -> bytes:
    """What Codabench reads: numbers by the keys of a leaderboard's columns."""
    scores = {"passed": float(row.found["verdict"] == "passed"), "failed": float(row.found["verdict"] == "failed")}
    scores |= {key: float(value) for key, value in row.spent.items() if value is not None}
    if _counts(row):
        scores[row.found["metric"]] = cast(float, row.value)
    return json_bytes(scores | {"seconds": round(row.seconds, 1)})


def _table(rows: Sequence[Graded]) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["rank", "name", "kind", "verdict", "metric", "value", "low", "high", "n", "parameters", "steps",
                    "less_than_above", "tied", "seconds", "reasons"])  # fmt: skip
    for row in rows:
        one = row.to_json()
        measured: dict[str, Any] = one["measured"] or {}
        interval: list[float | None] = measured.get("interval") or [None, None]
        above = row.above["value"] if row.above else None
        cells = [one["rank"], one["name"], one["kind"], one["verdict"], one["metric"], measured.get("value"),
                 *interval, measured.get("n"), one["parameters"], one["steps"], above, one["tied"],
                 one["seconds"], "; ".join(row.reasons)]  # fmt: skip
        lines.writerow(_plain(cell) for cell in cells)
    return text.getvalue()


def _plain(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
