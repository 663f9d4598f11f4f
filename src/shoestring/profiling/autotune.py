"""Which of the engine's open choices is fastest here: found by timing a few steps of each."""

import statistics
from dataclasses import dataclass, replace
from typing import Any

import torch

from shoestring.core.device import Engine, Machine
from shoestring.core.errors import RecipeError
from shoestring.core.processes import launched
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.profiling.profile import step_seconds
from shoestring.recipes.recipe import Recipe
from shoestring.training.sharing import count_of, require_shareable

HALVING = (
    "this processor multiplies bfloat16 numbers, which may train half as fast again as float32: add --engine.precision "
    "bfloat16, or --engine.autotune to time both and take the faster"
)
STEPS = 4  # timed for each choice on a CPU; on a GPU one block


@dataclass(frozen=True)
class EngineTiming:
    """One combination of choices, timed.

    Attributes:
        engine: With all choices made.
        milliseconds: Of the median step.
    """

    engine: Engine
    milliseconds: float

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values, to a hundredth of a millisecond."""
        return {"engine": self.engine.model_dump(mode="json"), "milliseconds": round(self.milliseconds, 2)}


def try_choices(recipe: Recipe, device: str | None, progress: Progress) -> list[EngineTiming]:
    """The timed choices in the order they were tried; the first is what is taken without autotuning.

    One choice is settled after the other, each with the fastest so far of those before it; at last, as many processes
    of one thread as there are threads. Choices that the recipe makes itself are left alone.
    """
    together = _processes(recipe, device)
    choices = open_choices(recipe.engine, device)
    usual = recipe.engine.replace(**{name: values[0] for name, values in choices.items()})
    timings: list[EngineTiming] = []

    def timed(engine: Engine) -> EngineTiming:
        machine = replace(Machine.choose(engine, device), processes=count_of(engine))
        with machine.running():
            seconds = step_seconds(recipe, machine, STEPS)
        timings.append(EngineTiming(engine, 1e3 * statistics.median(seconds)))
        return timings[-1]

    count = 1 + sum(len(v) - 1 for v in choices.values()) + len(together)
    with progress.task("trying the engine's choices", count) as advance:
        best = timed(usual)
        advance(1)
        for name, values in choices.items():
            for value in values[1:]:
                other = timed(best.engine.replace(**{name: value}))
                advance(1, fastest=f"{min(best.milliseconds, other.milliseconds):.0f} ms a step")
                best = min(best, other, key=lambda timing: timing.milliseconds)
        for fields in together:
            timed(best.engine.replace(**fields))
            advance(1)
    return timings


def _processes(recipe: Recipe, device: str | None) -> list[dict[str, int]]:
    """Fields of an engine that shares steps among processes of this machine; none where the recipe cannot or chose."""
    threads, machine = torch.get_num_threads(), Machine.choose(recipe.engine, device)
    fixed = recipe.engine.threads is not None or recipe.engine.processes is not None or launched() is not None
    if fixed or threads == 1 or machine.device.type != "cpu":
        return []
    fields = {"processes": threads, "threads": 1}
    try:
        require_shareable(recipe.replace(engine=fields), machine)
    except RecipeError:
        return []
    return [fields]


def open_choices(engine: Engine, device: str | None) -> dict[str, tuple[Any, ...]]:
    """By field of the engine, the values worth trying; the first is what would be taken without autotuning."""
    machine = Machine.choose(engine, device)
    on_gpu, threads = machine.device.type == "cuda", torch.get_num_threads()
    choices: dict[str, tuple[Any, ...]] = {}
    if engine.threads is None and engine.processes in (None, 1) and not on_gpu:
        choices["threads"] = (threads, 1) if threads > 1 else (1,)
    if engine.channels_last is None:
        choices["channels_last"] = (True, False)
    if engine.precision == "auto":
        choices["precision"] = ("bfloat16", "float32") if on_gpu else ("float32", "bfloat16")
    if engine.graphs is None and on_gpu:
        choices["graphs"] = (True, False)
    return choices


def resolve_engine(recipe: Recipe, run: Run, device: str | None, progress: Progress) -> Engine:
    """The engine to train a run with: that of the recipe, or with `engine.autotune` the fastest, which the run records.

    A run that goes on takes what was recorded, so that it gives the same bits. Without autotuning, says where bfloat16
    might be faster.
    """
    if not recipe.engine.autotune:
        if recipe.engine.precision == "auto" and Machine.choose(recipe.engine, device).could_halve():
            progress.say(HALVING)
        return recipe.engine
    where = str(Machine.choose(recipe.engine, device).device)
    known = run.autotuned()
    if known.get("device") == where:
        return Engine.model_validate(known["chosen"])
    timings = try_choices(recipe, device, progress)
    best = min(timings, key=lambda timing: timing.milliseconds).engine
    tried = [timing.to_json() for timing in timings]
    run.write_json("autotune.json", {"device": where, "chosen": best.model_dump(mode="json"), "tried": tried})
    return best
