"""A worker: takes one open training after the other and sees it through, until nothing is left."""

import _thread
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shoestring.core.allocator import keep_freed_memory
from shoestring.core.errors import BusyError, DataError, RunError, ShoestringError
from shoestring.core.progress import Advance, Progress
from shoestring.model.kept_images import images_kept
from shoestring.profiling.autotune import resolve_engine
from shoestring.recipes.lookup import overrides_of
from shoestring.sweeping.board import Board
from shoestring.sweeping.claims import Claim
from shoestring.sweeping.folder import SweepFolder, Training
from shoestring.sweeping.plan import recipe_at
from shoestring.sweeping.search import open_proposals
from shoestring.training.loop import Interrupted, Stopped
from shoestring.training.train import train

WAIT_SECONDS = 1.0  # between looks for something to do while others train


class ClaimLost(Exception):  # noqa: N818 - not an error: somebody else goes on with it
    """Another worker took this one for dead, and goes on with its training."""

    def __init__(self, name: str) -> None:
        super().__init__(f"another worker goes on with {name}, since this one gave no sign of life for so long")


class ClaimedProgress(Progress):
    """The progress of one training, which ends it when its claim is lost."""

    def __init__(self, claim: Claim, progress: Progress) -> None:
        self.claim = claim
        self.progress = progress

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator[Advance]:
        """As the progress it stands for."""
        with self.progress.task(title, total, unit, start) as advance:
            yield _ClaimedAdvance(self.claim, advance) if unit == "steps" else advance

    def say(self, message: str) -> None:
        """As the progress it stands for."""
        self.progress.say(message)


class _ClaimedAdvance(Advance):
    def __init__(self, claim: Claim, advance: Advance) -> None:
        self.claim = claim
        self.advance = advance

    def __call__(self, amount: int = 1, **details: str) -> None:
        if self.claim.lost:
            raise ClaimLost(self.claim.file.stem)
        self.advance(amount, **details)


class SaidOnce(Progress):
    """Another progress, to which nothing is said twice: what holds for all trainings of a sweep is said by each."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.task
        self._said: set[str] = set()

    def say(self, message: str) -> None:
        """As the progress it stands for, once."""
        if message not in self._said:
            self._said.add(message)
            self.progress.say(message)


def train_next(board: Board, data_folder: Path, device: str | None, progress: Progress) -> bool:
    """Trains one open training to its end; false where there is none that nobody is at.

    Raises:
        DataError: There is nothing to train on, which is so for all others too.
        RunError: A run was begun on other images.
        Interrupted: A signal came; everything is saved.
    """
    taken = board.next()
    if taken is None:
        return False
    training, claim = taken
    with claim:
        try:
            _train(board, training, data_folder, device, ClaimedProgress(claim, progress))
        except BusyError as error:  # here, by a process that gave no sign of life
            progress.say(f"{training.name} is left for later: {error}")
            return False
        except ClaimLost as lost:
            progress.say(str(lost))
    return True


def work(
    board: Board, data_folder: Path, device: str | None, progress: Progress, look: Callable[[], object] = bool
) -> None:
    """Trains until nothing is left; waits while others train, to go on with what they leave.

    Args:
        board: What there is to do.
        data_folder: Where data lies.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Reports each training.
        look: Called after each.
    """
    with images_kept():
        while not board.complete():
            if not train_next(board, data_folder, device, progress):
                time.sleep(WAIT_SECONDS)
            look()


def _train(board: Board, training: Training, data_folder: Path, device: str | None, progress: Progress) -> None:
    folder, point = board.folder, board.proposals.points()[training.number]
    run = folder.run(training)
    try:
        recipe = recipe_at(folder.recipe, point, training.seed)
    except ShoestringError as error:  # a point that was proposed and is none
        folder.end(training, "failed", _line(error))
        return
    watch = board.proposals.watch(training)
    try:
        with run.locked(progress):
            train(recipe, run, data_folder, device, progress, overrides_of(recipe), resolve_engine, watch=watch)
            run.forget_checkpoints()
    except Stopped as stop:
        folder.end(training, "pruned", f"behind others after {stop.step:,} steps")
    except (ClaimLost, Interrupted, DataError, RunError, OSError):
        raise  # what is no fault of this point
    except Exception as error:  # what diverges, what memory is too small for, what code of the user's own raises
        folder.end(training, "failed", _line(error))


def _line(error: BaseException) -> str:
    text = (str(error).strip() or "no message").splitlines()[0]
    return text if isinstance(error, ShoestringError) else f"{type(error).__name__}: {text}"


def main() -> None:
    """A worker in a process of its own: its argument is {"folder", "data_folder", "device"} as JSON.

    It ends when its standard input does, which its parent holds: no worker outlives the sweep.
    """
    asked: dict[str, Any] = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    folder = SweepFolder(Path(asked["folder"]))
    try:
        work(Board(folder, open_proposals(folder)), Path(asked["data_folder"]), asked["device"], Progress())
    except Interrupted as stop:
        raise SystemExit(128 + stop.signal_number) from None
    except ShoestringError as error:
        raise SystemExit(f"error: {error}") from None


def _end(number: int, frame: object) -> None:
    raise SystemExit(128 + number)


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):  # not by its buffer, which would be locked when the process ends
        pass
    _thread.interrupt_main(signal.SIGTERM)


if __name__ == "__main__":
    main()
