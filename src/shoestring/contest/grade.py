"""All submissions of a folder checked, each in a process of its own, and put in order."""

import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from shoestring.contest.board import Board, Graded, ranked
from shoestring.contest.check_process import CheckProcess, Limits
from shoestring.contest.finding import Level
from shoestring.contest.measured import Sampled
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.recipes.rules import Rules
from shoestring.training.loop import caught_signals

PASSED_OVER = (".toml", ".md", ".txt")
"""Files beside submissions that are none."""
LOOK_SECONDS = 0.05


class GradingStopped(Exception):  # noqa: N818 - not an error: the user asked for it
    """Grading was stopped by a signal; what was graded is kept, and graded again only if it has changed."""

    def __init__(self, signal_number: int, graded: int, of: int) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name}; {graded:,} of {of:,} submissions are graded, which is kept")
        self.signal_number = signal_number


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
    rows, waiting = list[Graded](), list[CheckProcess]()
    for path in found:
        process = CheckProcess(path, asked, out, limits)
        before = process.kept()
        if before is None:
            waiting.append(process)
        else:
            rows.append(before)
    if rows:
        progress.say(f"{len(rows):,} of {len(found):,} submissions were graded before and have not changed")
    rows += _graded(waiting, limits.workers, len(found), progress)
    board = Board(rules, ranked(rows), out / "index.html")
    board.write(out)
    return board


def _graded(waiting: Sequence[CheckProcess], workers: int, of: int, progress: Progress) -> list[Graded]:
    """A row for each, so many processes at a time.

    Raises:
        GradingStopped: A signal came; no process is left.
    """
    rows, running, next_ones = list[Graded](), list[CheckProcess](), iter(waiting)
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
