"""Which of the engine's open choices is fastest here: found by timing a few steps of each."""

import statistics
from dataclasses import dataclass
from typing import Any

import torch

from shoestring.core.device import Engine, Machine
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.profiling.profile import step_seconds
from shoestring.recipes.recipe import Recipe

HALVING = (
    "this processor multiplies bfloat16 numbers, which may train half as fast again as float32: add --engine.precision "
    "bfloat16, or --engine.trial to time both and take the faster"
)
STEPS = 4  # timed for each candidate on a CPU; on a GPU one block


@dataclass(frozen=True)
class Trial:
    """One candidate.

    Attributes:
        engine: With all choices made.
        milliseconds: Of the median step.
    """

    engine: Engine
    milliseconds: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, to a hundredth of a millisecond."""
        return {"engine": self.engine.model_dump(mode="json"), "milliseconds": round(self.milliseconds, 2)}


def try_choices(recipe: Recipe, device: str | None, progress: Progress) -> list[Trial]:
    """The candidates in the order they were tried; the first is what is taken without a trial.

    One choice is settled after the other, each with the fastest so far of those before it. Choices that the recipe
    makes itself are left alone.
    """
    choices = open_choices(recipe.engine, device)
    usual = recipe.engine.replace(**{name: values[0] for name, values in choices.items()})
    trials: list[Trial] = []

    def timed(engine: Engine) -> Trial:
        machine = Machine.choose(engine, device)
        with machine.running():
            seconds = step_seconds(recipe, machine, STEPS)
        trials.append(Trial(engine, 1e3 * statistics.median(seconds)))
        return trials[-1]

    with progress.task("trying the engine's choices", 1 + sum(len(v) - 1 for v in choices.values())) as advance:
        best = timed(usual)
        advance(1)
        for name, values in choices.items():
            for value in values[1:]:
                other = timed(best.engine.replace(**{name: value}))
                advance(1, fastest=f"{min(best.milliseconds, other.milliseconds):.0f} ms a step")
                best = min(best, other, key=lambda trial: trial.milliseconds)
    return trials


def open_choices(engine: Engine, device: str | None) -> dict[str, tuple[Any, ...]]:
    """By field of the engine, the values worth trying; the first is what would be taken without a trial."""
    machine = Machine.choose(engine, device)
    on_gpu, threads = machine.device.type == "cuda", torch.get_num_threads()
    choices: dict[str, tuple[Any, ...]] = {}
    if engine.threads is None and not on_gpu:
        choices["threads"] = (threads, 1) if threads > 1 else (1,)
    if engine.channels_last is None:
        choices["channels_last"] = (True, False)
    if engine.precision == "auto":
        choices["precision"] = ("bfloat16", "float32") if on_gpu else ("float32", "bfloat16")
    if engine.graphs is None and on_gpu:
        choices["graphs"] = (True, False)
    return choices


def settled(recipe: Recipe, run: Run, device: str | None, progress: Progress) -> Engine:
    """The engine to train a run with: that of the recipe, or the fastest of a trial, which the run records.

    A run that goes on takes what its trial found, so that it gives the same bits. Without a trial, says so where one
    might find bfloat16 to be faster.
    """
    if not recipe.engine.trial:
        if recipe.engine.precision == "auto" and Machine.choose(recipe.engine, device).could_halve():
            progress.say(HALVING)
        return recipe.engine
    where = str(Machine.choose(recipe.engine, device).device)
    known: dict[str, Any] = run.read_json("trial.json") if (run.folder / "trial.json").is_file() else {}
    if known.get("device") == where:
        return Engine.model_validate(known["chosen"])
    trials = try_choices(recipe, device, progress)
    best = min(trials, key=lambda trial: trial.milliseconds).engine
    tried = [trial.to_json() for trial in trials]
    run.write_json("trial.json", {"device": where, "chosen": best.model_dump(mode="json"), "tried": tried})
    return best
