"""All submissions of a folder checked, each in a process of its own, and put in order."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from shoestring.contest.finding import Finding, Level
from shoestring.contest.measured import Sampled
from shoestring.contest.worker import DOING
from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import RunError
from shoestring.core.packed import digest
from shoestring.core.progress import Progress
from shoestring.metrics.statistics import computed_by, paired_difference
from shoestring.recipes.rules import Rules
from shoestring.training.loop import caught_signals

PASSED_OVER = (".toml", ".md", ".txt")
"""Files beside submissions that are none."""
TWO_SIDED = 1.96
LOOK_SECONDS = 0.05
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a text begins with that a spreadsheet would compute."""


class GradingStopped(Exception):  # noqa: N818 - not an error: the user asked for it
    """Grading was stopped by a signal; what was graded is kept, and graded again only if it has changed."""

    def __init__(self, signal_number: int, graded: int, of: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name}; {graded:,} of {of:,} submissions are graded, which is kept")
        self.signal_number = signal_number


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
        page: The HTML file that shows them.
    """

    rules: Rules
    rows: list[Graded]
    page: Path

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
        GradingStopped: A signal came. The same call goes on: what was graded and has not changed is taken as it is.
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
    rows, waiting = list[Graded](), list[_Process]()
    for path in found:
        process = _Process(path, asked, out, limits)
        before = process.kept()
        if before is None:
            waiting.append(process)
        else:
            rows.append(before)
    if rows:
        progress.say(f"{len(rows):,} of {len(found):,} submissions were graded before and have not changed")
    rows += _graded(waiting, limits.workers, len(found), progress)
    board = Board(rules, ranked(rows), out / "index.html")
    write(board, out)
    return board


def _graded(waiting: Sequence["_Process"], workers: int, of: int, progress: Progress) -> list[Graded]:
    """A row for each, so many processes at a time.

    Raises:
        GradingStopped: A signal came; no process is left.
    """
    rows, running, next_ones = list[Graded](), list[_Process](), iter(waiting)
    with caught_signals() as caught, progress.task("grading", len(waiting), "submissions") as advance:
        try:
            while len(rows) < len(waiting) and not caught:
                for one in [process for process in running if process.over()]:
                    running.remove(one)
                    rows.append(one.row())
                    advance(last=one.name)
                while len(running) < workers and (another := next(next_ones, None)):
                    another.start()
                    running.append(another)
                time.sleep(LOOK_SECONDS)
        finally:
            for one in running:
                one.end()
    if caught:
        raise GradingStopped(caught[0], of - len(waiting) + len(rows), of)
    return rows


class _Process:
    """A submission checked by a process of its own; its end, however it comes, is a finding."""

    def __init__(self, path: Path, asked: Mapping[str, Any], out: Path, limits: Limits) -> None:
        # Bytes of a name that are no text are written out, so that every file can hold it.
        self.name = os.fsencode(path.name).decode(errors="backslashreplace")
        self.path = path
        self.limits = limits
        self.folder = (out / "submissions" / self.name).absolute()
        self.asked = {**asked, "path": str(path.absolute()), "folder": str(self.folder)}
        self.files = {
            name: self.folder / name for name in ("check.json", "correct.bin", "samples.png", "graded.json", DOING)
        }

    def start(self) -> None:
        """Begins, after what was found another time is gone. The process hears of Ctrl-C through this one alone."""
        self.key = self._key()
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.files.values():
            file.unlink(missing_ok=True)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it is over)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shoestring.contest.worker", json.dumps(self.asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            env=os.environ | threads,
            start_new_session=True,
        )

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began

    def over(self) -> bool:
        """Whether it has ended, or has had its time."""
        return self.process.poll() is not None or self.seconds > 60 * self.limits.minutes

    def end(self) -> None:
        """Ends it, if it has not."""
        self.process.kill()
        self.process.wait()
        self.said.close()

    def row(self) -> Graded:
        """What it found; once it is over."""
        seconds, status = self.seconds, self.process.poll()
        last = self._last_line()
        self.end()
        if status == 0 and self.files["check.json"].is_file():
            row = self._read(seconds)
            decided = row.value is not None or row.found["verdict"] == "failed" or self.asked["level"] == 1
            if decided and self.key:
                content = {"of": self.key, "seconds": seconds}
                write_atomic(self.files["graded.json"], (json.dumps(content) + "\n").encode())
            return row
        doing = self.files[DOING].read_text(encoding="utf-8") if self.files[DOING].is_file() else "starting"
        reason = f"its check ended early, {doing}: {last or f'exit status {status}'}"
        if status is None:
            reason = f"it took more than {self.limits.minutes:g} minutes and was still {doing}"
        failure = Finding(1, "process", "failed", reason)
        found = {"name": self.name, "kind": "", "verdict": "failed", "findings": [failure.to_json()], "metric": None,
                 "measured": None, "not_shown": []}  # fmt: skip
        write_atomic(self.files["check.json"], (json.dumps(found, indent=1) + "\n").encode())
        return Graded(self.name, found, seconds)

    def kept(self) -> Graded | None:
        """What was found another time of the same files by the same rules; None where nothing was, or it crashed."""
        try:
            content = json.loads(self.files["graded.json"].read_text(encoding="utf-8"))
            return self._read(content["seconds"]) if content["of"] == self._key() else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _key(self) -> str:
        """What decides the findings, of files by their size and when they were changed, which nobody sets at will.

        Empty where a file cannot be looked at.
        """
        asked = {name: value for name, value in self.asked.items() if name not in ("memory", "seconds", "folder")}
        try:
            files = sorted([self.path, *(self.path.rglob("*") if self.path.is_dir() else ())])
            stats = [(str(file), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
                     for file in files if not file.is_dir() and (stat := file.stat())]  # fmt: skip
        except OSError:
            return ""
        return digest([version("shoestring"), asked, stats])

    def _read(self, seconds: float) -> Graded:
        found = cast("dict[str, Any]", json.loads(self.files["check.json"].read_text(encoding="utf-8")))
        answers, picture = self.files["correct.bin"], self.files["samples.png"]
        correct = torch.tensor(list(answers.read_bytes()), dtype=torch.bool) if answers.is_file() else None
        return Graded(self.name, found, seconds, correct, picture.read_bytes() if picture.is_file() else None)

    def _last_line(self) -> str:
        self.said.seek(max(0, self.said.seek(0, os.SEEK_END) - 4096))
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""


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


def write(board: Board, out: Path) -> None:
    """The files of a board but its page: results.json, results.csv and scores.json of each."""
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
        cells = [one["rank"], one["name"], one["kind"], one["verdict"], one["metric"], measured.get("value"),
                 *interval, measured.get("n"), one["parameters"], one["steps"], above, one["tied"],
                 one["seconds"], "; ".join(row.reasons)]  # fmt: skip
        lines.writerow(_plain(cell) for cell in cells)
    return text.getvalue()


def _plain(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
