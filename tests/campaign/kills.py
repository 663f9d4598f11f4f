"""A run that is killed at any instant goes on to the same bits."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import tiny

from campaign.file_layer import Change, watched
from campaign.tiny_trainings import KINDS, difference, end_of
from campaign.trials import Trial, drawn, forked
from shoestring import api
from shoestring.core.errors import BusyError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.recipes.recipe import Recipe

PROMISE = "a run killed at any instant resumes to the same bits"
ASKED = 1000
KILLS = 6  # of one run, before it may end
SECONDS = 120.0


class Begun:
    """Each kind of training: its recipe, its end without a kill, how long it takes and how often it changes files."""

    def __init__(self, folder: Path) -> None:
        self.pictures = tiny.write_pictures(folder / "pictures", train=4, test=2)
        self.recipes = {name: make(self.pictures) for name, make in KINDS.items()}
        self.ends: dict[str, dict[str, Any]] = {}
        self.changes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        for name, recipe in self.recipes.items():
            run = Run(folder / "whole" / name)
            seen: list[Change] = []
            began = time.process_time()
            with watched(run.folder, seen.append):
                train(recipe, run)
            self.seconds[name] = time.process_time() - began
            self.changes[name] = len(seen)
            self.ends[name] = end_of(run)


def trials(folder: Path, seed: int, numbers: Iterable[int], begun: Begun | None = None) -> Iterator[Trial]:
    """A trial is a kill; the runs that are killed are ended, and compared, after every few."""
    begun = begun or Begun(folder)
    runs: dict[str, Run] = {}
    count = dict.fromkeys(KINDS, 0)
    waiting = list(numbers)
    for place, number in enumerate(waiting):
        draw = drawn(seed, number)
        name = list(KINDS)[number % len(KINDS)]
        run = runs.setdefault(name, Run(folder / "killed" / name))
        what = _killed(draw, begun, name, run)
        count[name] += 1
        broken = ""
        last = place + len(KINDS) >= len(waiting)
        if count[name] % KILLS == 0 or last:
            broken = ended(begun.recipes[name], begun.ends[name], run)
            shutil.rmtree(run.folder, ignore_errors=True)
        yield Trial(number, f"{name}: {what}", broken)


def train(recipe: Recipe, run: Run, *, report: bool = True, progress: Progress | None = None) -> None:
    """The whole command; without the report, which takes half of its time, where that is left out."""
    with pytest.MonkeyPatch.context() as patch:
        if not report:
            patch.setattr("shoestring.api.training.write_report", lambda _: None)
        api.train(recipe, run.folder, device="cpu", progress=progress or Progress())


def _killed(draw: random.Random, begun: Begun, name: str, run: Run) -> str:
    """Trains until it is killed, and says where that was."""
    recipe, report, two = begun.recipes[name], draw.random() < 0.25, draw.random() < 0.2
    if draw.random() < 0.7:
        # Most kills early in what is left, so that a run takes many before it ends.
        at = draw.randrange(max(1, begun.changes[name] // draw.choice((1, 2, 4))))
        part = draw.random()
        status, _ = forked(lambda: _until(recipe, run, at, part, report=report), SECONDS)
        return f"at change {at} of a file{', which it did not reach' if status == 0 else ''}"
    children = [_started(recipe, run, report=report) for _ in range(2 if two else 1)]
    wait = draw.uniform(0, 1.2 * begun.seconds[name])
    until = time.monotonic() + SECONDS
    while _spent(children[0]) < wait and time.monotonic() < until and _runs(children[0]):
        time.sleep(0.002)
    for child in children:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return f"after {wait:.2f} s{' of two processes' if two else ''}"


def _until(recipe: Recipe, run: Run, at: int, part: float, *, report: bool) -> None:
    left = [at]

    def watch(change: Change) -> None:
        left[0] -= 1
        if left[0] >= 0:
            return
        if change.kind == "write":  # in the middle of it
            handle = os.open(change.path, os.O_WRONLY)
            os.pwrite(handle, change.content[: int(part * len(change.content))], change.at)
        os.kill(os.getpid(), signal.SIGKILL)

    with watched(run.folder, watch):
        train(recipe, run, report=report)


def _started(recipe: Recipe, run: Run, *, report: bool) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with suppress(BusyError):
                train(recipe, run, report=report)
            status = 0
        finally:
            os._exit(status)
    return child


def _spent(child: int) -> float:
    """Seconds of the processor that a child has used."""
    try:
        words = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("inf")
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def _runs(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def ended(recipe: Recipe, expected: dict[str, Any], run: Run) -> str:
    """In what a run that goes on to its end differs from one that was never killed."""

    def work() -> str:
        try:
            train(recipe, run, report=False)
            return difference(end_of(run), expected)
        except Exception as error:
            return f"it does not go on: {type(error).__name__}: {error}"

    status, found = forked(work, SECONDS)
    return f"it ended with status {status}" if found is None else found
