"""A training that two processes share: one is killed at any instant, both end, and it goes on to the same bits."""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import tiny

from campaign.kills import ended, train
from campaign.tiny_trainings import KINDS, end_of
from campaign.trials import Trial, drawn, forked
from shoestring.core.run import Run

PROMISE = (
    "of two processes that share a training one is killed at any instant: both end, and it resumes to the same bits"
)
ASKED = 100
KILLS = 3  # of one run, before it may end
SECONDS = 120.0
END_SECONDS = 30.0  # in which a process ends after the other was killed


class Begun:
    """Each kind of training, shared by two processes: its recipe, its end without a kill, and how long it takes."""

    def __init__(self, folder: Path, kinds: Iterable[str] = tuple(KINDS)) -> None:
        pictures = tiny.write_pictures(folder / "pictures", train=4, test=2)
        self.recipes = {name: tiny.changed(KINDS[name](pictures), {"engine__processes": 2}) for name in kinds}
        self.ends: dict[str, dict[str, Any]] = {}
        self.seconds: dict[str, float] = {}
        for name, recipe in self.recipes.items():
            run, began = Run(folder / "whole" / name), time.monotonic()
            status, _ = forked(lambda recipe=recipe, run=run: train(recipe, run, report=False), SECONDS)
            assert status == 0, f"{name} does not even train"
            self.seconds[name], self.ends[name] = time.monotonic() - began, end_of(run)


def trials(folder: Path, seed: int, numbers: Iterable[int], begun: Begun | None = None) -> Iterator[Trial]:
    """A trial is a kill; the runs that are killed are ended, and compared, after every few."""
    begun = begun or Begun(folder)
    names, waiting = list(begun.recipes), list(numbers)
    runs: dict[str, Run] = {}
    count = dict.fromkeys(names, 0)
    for place, number in enumerate(waiting):
        draw, name = drawn(seed, number), names[number % len(names)]
        run = runs.setdefault(name, Run(folder / "killed" / name))
        what, broken = _killed(draw, begun, name, run)
        count[name] += 1
        if not broken and (count[name] % KILLS == 0 or place + len(names) >= len(waiting)):
            broken = ended(begun.recipes[name], begun.ends[name], run)
            shutil.rmtree(run.folder, ignore_errors=True)
        yield Trial(number, f"{name}: {what}", broken)


def _killed(draw: random.Random, begun: Begun, name: str, run: Run) -> tuple[str, str]:
    """Trains until one of both is killed: which and when, and what broke."""
    first = os.fork()
    if first == 0:
        _be_first(begun, name, run)
    until = time.monotonic() + SECONDS
    victim_is_first = draw.random() < 0.5
    while not (others := _children(first)) and _lives(first) and time.monotonic() < until:
        time.sleep(0.005)
    # A process takes most of its seconds to import torch, and a moment to train.
    wait = draw.uniform(0, 1.1) * begun.seconds[name]
    time.sleep(wait)
    victim = first if victim_is_first or not others else others[0]
    what = f"{'the first' if victim == first else 'the other'} after {wait:.2f} s"
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    return what, _left([first, *others])


def _be_first(begun: Begun, name: str, run: Run) -> None:
    """Never returns."""
    status = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        train(begun.recipes[name], run, report=False)
        status = 0
    finally:
        os._exit(status)


def _children(process: int) -> list[int]:
    """The processes that a process started (Linux)."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    with suppress(OSError):
        return [int(number) for number in listed.read_text(encoding="ascii").split()]
    return []


def _lives(process: int) -> bool:
    """Whether a process runs; one that ended and waits for its parent does not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def _left(processes: list[int]) -> str:
    """What is wrong where processes do not end by themselves; they are ended, and the first is waited for."""
    until = time.monotonic() + END_SECONDS
    while any(map(_lives, processes)) and time.monotonic() < until:
        time.sleep(0.02)
    left = [process for process in processes if _lives(process)]
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    os.waitpid(processes[0], 0)
    return f"{len(left)} of {len(processes)} processes still ran after {END_SECONDS:g} s" if left else ""
