"""The page of a sweep: points, parallel coordinates, importance of each field, curves of the best, cost."""

import json
from pathlib import Path
from typing import Any

from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import RunError
from shoestring.report.format import ABSENT, duration, integer, interval, number, percent, plain
from shoestring.report.sweep_charts import sweep_charts
from shoestring.report.templates import rendered


def build(folder: Path) -> Path:
    """The file sweep.html of a sweep's folder, after it was written from results.json and the logs of the best runs.

    Raises:
        RunError: The folder has no results.
    """
    try:
        found: dict[str, Any] = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{folder / 'results.json'} cannot be read ({error}); run the same `sweep` command again"
        ) from error
    fraction = "accuracy" in found["measure"]
    filters = {"integer": integer, "plain": plain, "duration": duration, "percent": percent, "interval": interval}
    best = next((point for point in found["points"] if point["number"] == found["best"]), None)
    fields = [field for axis in found["axes"] for field in axis["fields"]]
    page = rendered(
        "sweep.html",
        filters,
        one=found,
        fields=fields,
        measure=found["measure"].replace("_", " "),
        best=best and _measured(best, fraction=fraction),
        best_fields=[(field, plain(best["fields"][field])) for field in fields] if best else [],
        confirmed=found["confirmation"] and _measured(found["confirmation"], fraction=fraction),
        points=[_row(point, fields, fraction=fraction) for point in found["points"]],
        ended=[_ended(point) for point in found["points"] if point["state"] in ("failed", "pruned")],
        charts=sweep_charts(folder, found),
    )
    return write_atomic(folder / "sweep.html", page)


def _measured(point: dict[str, Any], *, fraction: bool) -> dict[str, str]:
    """The measure of a point in words."""
    metric = point["metric"]
    if metric is None:
        return {"value": ABSENT, "interval": ABSENT, "n": ABSENT}
    value = percent(metric["value"], 2) if fraction else number(metric["value"])
    inside = interval(metric["interval"], in_percent=fraction) if metric["interval"] else ABSENT
    return {"value": value, "interval": inside, "n": str(metric["n"])}


def _row(point: dict[str, Any], fields: list[str], *, fraction: bool) -> dict[str, Any]:
    trainings = point["trainings"]
    return {
        "number": point["number"],
        "state": point["state"],
        "values": [plain(point["fields"][field]) for field in fields],
        "steps": integer(sum(training["step"] for training in trainings)),
        "seconds": duration(sum(training["seconds"] for training in trainings)),
        **_measured(point, fraction=fraction),
    }


def _ended(point: dict[str, Any]) -> dict[str, str]:
    ended = next(one for one in point["trainings"] if one["state"] == point["state"])
    return {
        "number": str(point["number"]),
        "state": point["state"],
        "seed": str(ended["seed"]),
        "step": integer(ended["step"]),
        "reason": point["reason"],
    }
