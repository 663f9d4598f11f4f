"""All submissions of a folder checked, each in a process of its own, and put in order."""

import csv
import io
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from shoestring.contest.finding import Finding, Level
from shoestring.contest.measured import Sampled
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.run import write_atomic
from shoestring.metrics.statistics import computed_by, paired_difference
from shoestring.recipes.rules import Rules

PASSED_OVER = (".toml", ".md", ".txt")
"""Files beside submissions that are none."""
TWO_SIDED = 1.96


@dataclass(frozen=True)
class Limits:
    """What each submission may take.

    Attributes:
        minutes: Wall time.
        memory: Bytes of memory.
        workers: Submissions at a time, on one thread each.
    """

    minutes: float = 10.0
    memory: int = 4 * 2**30
    workers: int = 2


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
    """

    rules: Rules
    rows: list[Graded] = field(default_factory=list[Graded])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"rules": self.rules.model_dump(mode="json"), "submissions": [row.to_json() for row in self.rows]}


def grade(
    folder: Path, rules: Rules, level: Level, data_folder: Path, limits: Limits, sampled: Sampled, out: Path,
    progress: Progress,
) -> Board:  # fmt: skip
    """The board of all submissions in a folder, after its files were written; one that fails costs only itself.

    Written are results.json, results.csv, and for each submission submissions/NAME/scores.json as Codabench reads it,
    beside what was found; of a single submission also scores.json.

    Args:
        folder: Packed files, ONNX files, folders of runs.
        rules: What they are held against; where they name data, these must be there.
        level: As of `check`.
        data_folder: Where images lie.
        limits: What each may take.
        sampled: How generators are measured.
        out: Where results go.
        progress: Reports each submission.

    Raises:
        RunError: There is no such folder, or nothing in it.
        DataError: The rules' images are not there.
    """
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; name one with submissions")
    found = [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and path.suffix not in PASSED_OVER and path.resolve() != out.resolve()
    ]
    if not found:
        raise RunError(f"{folder} holds no submissions; they end in .safetensors or .onnx, or are folders of runs")
    if level >= 2 and rules.data is not None:
        rules.data.load("test", data_folder, progress)  # downloaded once, or missed before anything is graded
    asked = {
        "rules": rules.model_dump(mode="json"),
        "level": level,
        "data_folder": str(data_folder.absolute()),
        "samples": sampled.count,
        "inception": None if sampled.inception is None else str(sampled.inception),
        "memory": limits.memory,
        "seconds": math.ceil(60 * limits.minutes) + 1,
    }
    with progress.task("grading", len(found), "submissions") as advance:

        def graded(path: Path) -> Graded:
            own = asked | {"path": str(path.absolute()), "folder": str((out / "submissions" / path.name).absolute())}
            row = _in_a_process(path.name, own, limits)
            advance(last=path.name)
            return row

        pool = ThreadPoolExecutor(limits.workers)
        try:
            rows = list(pool.map(graded, found))
        finally:
            pool.shutdown(cancel_futures=True)  # Ctrl-C reaches the processes too, and no other one is started
    board = Board(rules, ranked(rows))
    _write(board, out)
    return board


def _in_a_process(name: str, asked: dict[str, Any], limits: Limits) -> Graded:
    """What a process of its own finds out about a submission; its end, however it comes, is a finding."""
    folder, began = Path(asked["folder"]), time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    result, answers, picture = (folder / each for each in ("check.json", "correct.bin", "samples.png"))
    for file in (result, answers, picture):
        file.unlink(missing_ok=True)  # of another time
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "shoestring.contest.worker", json.dumps(asked)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env=os.environ | threads,
    )
    try:
        _, said = process.communicate(timeout=60 * limits.minutes)
        last = (said.strip().splitlines() or [f"exit status {process.returncode}"])[-1][:300]
        reason = f"its check ended early: {last}" if process.returncode or not result.is_file() else ""
    except subprocess.TimeoutExpired:
        reason = f"it took more than {limits.minutes:g} minutes"
        process.kill()
        process.communicate()
    seconds = time.monotonic() - began
    if reason:
        failure = Finding(1, "process", "failed", reason)
        found = {"name": name, "kind": "", "verdict": "failed", "findings": [failure.to_json()], "metric": None,
                 "measured": None, "not_shown": []}  # fmt: skip
        write_atomic(result, (json.dumps(found, indent=1) + "\n").encode())
        return Graded(name, found, seconds)
    correct = torch.tensor(list(answers.read_bytes()), dtype=torch.bool) if answers.is_file() else None
    found = cast("dict[str, Any]", json.loads(result.read_text(encoding="utf-8")))
    return Graded(name, found, seconds, correct, picture.read_bytes() if picture.is_file() else None)


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


def _write(board: Board, out: Path) -> None:
    write_atomic(out / "results.json", (json.dumps(board.to_json(), indent=1) + "\n").encode())
    write_atomic(out / "results.csv", _table(board.rows).encode())
    for row in board.rows:
        write_atomic(out / "submissions" / row.name / "scores.json", _scores(row))
    if len(board.rows) == 1:
        write_atomic(out / "scores.json", _scores(board.rows[0]))


def _scores(row: Graded) -> bytes:
    """What Codabench reads: numbers by the keys of a leaderboard's columns."""
    scores = {"passed": float(row.found["verdict"] == "passed"), "failed": float(row.found["verdict"] == "failed")}
    scores |= {key: float(value) for key, value in row.spent.items() if value is not None}
    if _counts(row):
        scores[row.found["metric"]] = cast(float, row.value)
    return (json.dumps(scores | {"seconds": round(row.seconds, 1)}, indent=1) + "\n").encode()


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
        lines.writerow([one["rank"], one["name"], one["kind"], one["verdict"], one["metric"], measured.get("value"),
                        *interval, measured.get("n"), one["parameters"], one["steps"], above, one["tied"],
                        one["seconds"], "; ".join(row.reasons)])  # fmt: skip
    return text.getvalue()
