"""Engine, batch and steps that use the time there is for a training."""

from typing import Any

from shoestring.core.progress import Progress
from shoestring.profiling.autotune import EngineTiming, try_choices
from shoestring.recipes.recipe import Recipe

MOST_STEPS = 10_000
BATCHES = (64, 128, 256, 512)
USUAL_BATCH = 128
FEWEST_STEPS = 1_000
"""With fewer, steps are made of fewer images."""
USED = 0.9
"""Of the time that is given; looks at the tune split, checkpoints and reading take the rest."""


def in_time(
    recipe: Recipe, images: int, minutes: float, device: str | None, progress: Progress
) -> tuple[Recipe, dict[str, str]]:
    """A recipe with engine, batch and steps for the time there is, measured here.

    Steps of more images where all steps would end early, of fewer where there would be few steps.

    Args:
        recipe: Whose engine, batch and steps are to be chosen.
        images: How many there are to train on.
        minutes: Of training on this machine.
        device: Where it will be trained: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Reports what is timed.

    Returns:
        The recipe, and what was chosen -> what it is and why, in a line.
    """
    largest = max((batch for batch in (8, 16, 32, *BATCHES) if batch <= images), default=max(images, 1))
    batch = min(USUAL_BATCH, largest)
    recipe, timing = _engine(recipe.replace(batch_size=batch), device, progress)
    steps = _steps(timing, minutes)
    while True:
        if steps > MOST_STEPS and 2 * batch <= min(largest, BATCHES[-1]):
            batch *= 2
        elif steps < FEWEST_STEPS and batch > BATCHES[0]:
            batch //= 2
        else:
            break
        before, (recipe, timing) = steps, _engine(recipe.replace(batch_size=batch), device, progress)
        steps = _steps(timing, minutes)
        if (before > MOST_STEPS) != (steps > MOST_STEPS) or (before < FEWEST_STEPS) != (steps < FEWEST_STEPS):
            break
    steps = max(1, min(steps, MOST_STEPS))
    seconds = timing.milliseconds * steps / 1e3
    return recipe.replace(budget={"steps": steps}), {
        "batch": f"{batch} images a step",
        "steps": f"{steps:,}, {steps * batch / images:,.0f} times through the {images:,} images: at "
        f"{timing.milliseconds:.0f} ms a step, measured here, about {seconds / 60:.1f} minutes",
        "engine": _engine_words(recipe),
    }


def _steps(timing: EngineTiming, minutes: float) -> int:
    return int(USED * 60e3 * minutes / timing.milliseconds)


def _engine(recipe: Recipe, device: str | None, progress: Progress) -> tuple[Recipe, EngineTiming]:
    """The recipe with the fastest engine here, and its timing."""
    best = min(try_choices(recipe, device, progress), key=lambda timing: timing.milliseconds)
    return recipe.replace(engine=best.engine.model_dump()), best


def _engine_words(recipe: Recipe) -> str:
    engine: dict[str, Any] = recipe.engine.model_dump()
    words = (("processes", "process", "processes"), ("threads", "thread", "threads"))
    shared = [f"{count} {one if count == 1 else more}" for field, one, more in words if (count := engine[field])]
    return f"{', '.join([*shared, engine['precision']])}: the fastest of those timed here"
