"""The one training loop, for every task."""

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from shoestring.data.images import Images
from shoestring.engine import Machine
from shoestring.errors import DivergedError
from shoestring.progress import Progress
from shoestring.recipes.recipe import Recipe
from shoestring.run import Run
from shoestring.training.journal import Journal
from shoestring.training.state import State
from shoestring.training.stepper import Stepper

Watch = Callable[[State], dict[str, Any] | None]
"""Looks at a state now and then; gives a record for the log, without its step, or None."""


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """Training stopped by a signal, after saving its state."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step:,}; everything is saved")
        self.signal_number = signal_number
        self.step = step


def loop(
    recipe: Recipe, run: Run, state: State, machine: Machine, images: Images, watch: Watch, progress: Progress
) -> None:
    """Trains a state to the end of its budget; saves and logs as it goes.

    Args:
        recipe: What to learn and how.
        run: Where the log and the checkpoints go.
        state: Where to go on from; changed in place.
        machine: How the arithmetic is done.
        images: The training split.
        watch: Called when `cadence` says that it is due.
        progress: Told of every step, and of what is logged.

    Raises:
        DivergedError: The loss became NaN or infinite; the last good checkpoint is named.
        Interrupted: SIGINT or SIGTERM came; the state was saved first.
    """
    take_step = Stepper(recipe, state, machine, images)
    journal = Journal(state.step, recipe.batch_size)
    steps = recipe.budget.steps

    def report() -> None:
        record = journal.record(take_step.rate)
        if record:
            run.append_log([record])
            advance(0, **_summary(record))

    def save() -> None:
        report()
        state.require_finite()
        run.write_checkpoint(state.step, state.state_dict())

    with caught_signals() as caught, progress.task(recipe.name, steps, "steps", start=state.step) as advance:
        try:
            while state.step < steps and not caught:
                journal.note(take_step())
                advance()
                if recipe.cadence.due("log", state.step, steps):
                    report()
                if recipe.cadence.due("evaluate", state.step, steps):
                    report()
                    state.require_finite()
                    seen = watch(state)
                    if seen:
                        run.append_log([{"step": state.step} | seen])
                if recipe.cadence.due("checkpoint", state.step, steps):
                    save()
            if caught:
                save()
                raise Interrupted(caught[0], state.step)
        except DivergedError as error:
            saved = run.last_checkpoint()
            where = f"the last good checkpoint is {saved}" if saved else "no checkpoint was saved before it"
            raise DivergedError(f"{error}; {where}. Try a lower --optimiser.learning-rate.") from None


@contextmanager
def caught_signals() -> Generator[list[int]]:
    """Inside, the first SIGINT or SIGTERM is noted in the list instead of ending the process; a second one ends it."""
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _summary(record: dict[str, Any]) -> dict[str, str]:
    facts = {name: f"{value:.3f}" for name, value in record["mean"].items()}
    return facts | {"images_per_second": f"{record['images_per_second']:,.0f}"}
