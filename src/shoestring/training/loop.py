"""The one training loop, for every task."""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from shoestring.core.device import Machine
from shoestring.core.errors import DivergedError
from shoestring.core.processes import ALONE, Processes, launched
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Images
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Event, Recipe
from shoestring.training.metric_logger import MetricLogger
from shoestring.training.step import TrainStep

ENDING = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]

Validate = Callable[[State], list[dict[str, Any]]]
"""Looks at a state now and then; gives records for the log, without their step."""

Watch = Callable[[int, Mapping[str, float]], bool]
"""Is told the step and what was measured then, such as {"accuracy": 0.93, "loss": 0.21}; true stops the training."""


class Stopped(Exception):  # noqa: N818 - not an error: the watch asked for it
    """Training stopped by its watch, after saving its state; the same call again goes on from there."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped by its watch after step {step:,}; everything is saved")
        self.step = step


class Interrupted(Exception):  # noqa: N818 - not an error: the user asked for it
    """Training stopped by a signal, after saving its state."""

    def __init__(self, signal_number: int, step: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after step {step:,}; everything is saved")
        self.signal_number = signal_number
        self.step = step

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows in place of a traceback."""
        return [f"{self}. The same call again goes on from there."]


def loop(
    recipe: Recipe,
    run: Run,
    state: State,
    machine: Machine,
    images: Images,
    validate: Validate,
    progress: Progress,
    note: Callable[[State], object] = lambda _: None,
    watch: Watch | None = None,
    processes: Processes = ALONE,
) -> None:
    """Trains a state to the end of its budget; saves and logs as it goes.

    Args:
        recipe: What to learn and how.
        run: Where the log and the checkpoints go.
        state: Where to go on from; changed in place.
        machine: How the arithmetic is done.
        images: The training split.
        validate: Called when `cadence` says that it is due.
        progress: Reports every step, and what is logged.
        note: Called before every checkpoint.
        watch: Called with what `validate` measured; may stop the training before its last step.
        processes: Those that share each step, of which this is the first; the others `follow`.

    Raises:
        DivergedError: The loss became NaN or infinite; the last good checkpoint is named.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the state was saved first.
        Stopped: The watch wants no more; the state was saved first.
    """
    take_step = TrainStep(recipe, state, machine, images, processes=processes)
    logger = MetricLogger(state.step, recipe.batch_size)
    steps = recipe.budget.steps

    def report() -> None:
        record = logger.record(take_step.rate)
        if record:
            state.seconds += record["seconds"]
            run.append_log([record])
            advance(0, **_summary(record))

    def look() -> None:
        report()
        state.require_finite()
        seen = validate(state)
        run.append_log([{"step": state.step} | record for record in seen])
        means = {name: value for record in reversed(seen) for name, value in record["mean"].items()}
        if means and watch and watch(state.step, means) and state.step < steps:
            save()
            processes.any(True)  # the others stop, too
            raise Stopped(state.step)

    def save() -> None:
        report()
        state.require_finite()
        note(state)
        run.checkpoints.write(state.step, state.state_dict(), recipe.cadence.keep)

    acts: dict[Event, Callable[[], None]] = {"log": report, "evaluate": look, "checkpoint": save}
    with caught_signals() as caught, progress.task(recipe.name, steps, "steps", start=state.step) as advance:
        try:
            while state.step < steps and not processes.any(bool(caught)):
                logger.note(take_step())
                advance()
                if recipe.cadence.due("checkpoint", state.step, steps):
                    processes.require_alike(state.nets.state_dict())
                for what, act in acts.items():
                    if recipe.cadence.due(what, state.step, steps):
                        act()
                        logger.resume()
            if state.step < steps or caught:
                save()
                raise Interrupted(caught[0] if caught else signal.SIGTERM, state.step)
        except DivergedError as error:
            saved = run.checkpoints.last()
            where = f"the last good checkpoint is {saved}" if saved else "no checkpoint was saved before it"
            raise DivergedError(f"{error}; {where}. Try a lower --optimiser.learning-rate.") from None


def follow(recipe: Recipe, state: State, machine: Machine, images: Images, processes: Processes) -> None:
    """Takes this process's share of each step that the first one takes in `loop`, and writes nothing.

    Args:
        recipe: As of `loop`; so are the others.
        state: Equal to that of the first process.
        machine: How the arithmetic is done here.
        images: Equal to those of the first process.
        processes: Those that share each step.

    Raises:
        LostError: The first process stopped, or another one died.
    """
    take_step = TrainStep(recipe, state, machine, images, processes=processes)
    steps = recipe.budget.steps
    with caught_signals() as caught:
        while state.step < steps and not processes.any(bool(caught)):
            take_step()
            if recipe.cadence.due("checkpoint", state.step, steps):
                processes.require_alike(state.nets.state_dict())


@contextmanager
def caught_signals() -> Generator[list[int]]:
    """Inside, the first SIGINT, SIGTERM or SIGHUP is noted in the list instead of ending the process.

    A second SIGINT or SIGTERM ends it, but for processes of torchrun, to which it sends one after that of the terminal;
    a closed terminal sends SIGHUP, its shell another one, which hurries nobody. Signals that are ignored (nohup, a job
    in the background) stay ignored, and handlers that are not Python's stay in place: they could not be set again.
    Outside the main thread Python handles no signals, and nothing is caught.
    """
    caught: list[int] = []

    def note(number: int, _: object) -> None:
        if not caught:
            caught.append(number)
        elif number in (signal.SIGINT, signal.SIGTERM) and not launched():
            raise KeyboardInterrupt

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in ENDING if here}
    ours = {number: handler for number, handler in before.items() if handler not in (None, signal.SIG_IGN)}
    for number in ours:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)


def _summary(record: dict[str, Any]) -> dict[str, str]:
    metrics = {name: f"{value:.3f}" for name, value in record["mean"].items()}
    return metrics | {"images_per_second": f"{record['images_per_second']:,.0f}"}
