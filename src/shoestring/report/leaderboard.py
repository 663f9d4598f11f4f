"""The page of a contest: all submissions in order, each against the one above, with what was found."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoestring.core.atomic_files import write_atomic
from shoestring.report.format import ABSENT, integer, interval, number, percent, points, points_interval
from shoestring.report.metric_table import in_percent, title
from shoestring.report.templates import rendered


def build(board: Mapping[str, Any], pictures: Mapping[str, bytes], file: Path) -> Path:
    """The file, after the page was written to it; it needs nothing but itself, and sorts in the browser.

    Args:
        board: As `contest.board.Board.to_json` gives it.
        pictures: PNGs of samples, by submission.
        file: Where to write; replaced when it exists.
    """
    rows = [_row(one, pictures.get(one["name"])) for one in board["submissions"]]
    rules = board["rules"]
    limits = {kind: rules[kind] for kind in ("classifier", "generator") if rules.get(kind)}
    page = rendered("leaderboard.html", {"integer": integer}, name=rules["name"], limits=limits, rows=rows)
    return write_atomic(file, page)


def _row(one: Mapping[str, Any], picture: bytes | None) -> dict[str, Any]:
    """A submission in words, with the numbers to sort by."""
    measured: dict[str, Any] = one["measured"] or {}
    metric, value, above = one["metric"] or "", measured.get("value"), one["above"]
    share = in_percent(metric)
    say = percent if share else number
    if above is None:
        difference = ABSENT
    elif share:
        difference = f"{points(above['value'])} {points_interval(above['interval'])}"
    else:
        difference = f"{number(above['value'])} ({interval(above['interval'])})"
    open_questions = [f"{f['name']}: {f['reason']}" for f in one["findings"] if f["verdict"] != "passed"]
    return {
        "rank": one["rank"],
        "name": one["name"],
        "kind": one["kind"] or ABSENT,
        "verdict": one["verdict"],
        "metric": title(metric) if metric else "",
        "value": value,
        "value_text": ABSENT if value is None else say(value),
        "interval": interval(measured.get("interval"), in_percent=share),
        "n": measured.get("n"),
        "parameters": one["parameters"],
        "steps": one["steps"],
        "difference": difference,
        "tied": one["tied"],
        "seconds": one["seconds"],
        "findings": one["findings"],
        "reasons": open_questions,
        "picture": None if picture is None else base64.b64encode(picture).decode(),
    }
