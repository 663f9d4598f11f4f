"""A choice made after the training becomes the run's own: which weights it answers with, and how it samples."""

import json
from dataclasses import replace
from typing import Any

from shoestring.core.config import changed
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.provenance import record_evaluations
from shoestring.core.run import Run
from shoestring.evaluation.classifier import draw_generator
from shoestring.model.load import kept_weights, load, recipe_of
from shoestring.recipes.recipe import Recipe


def adopt(run: Run, average: float | None, sampling: dict[str, Any], device: str | None, progress: Progress) -> bool:
    """Makes a choice the run's own; the same call again completes one that was interrupted.

    All that was made with the former choice goes to the run's folder "former" first, and a generator's pictures are
    made anew at the end, so that at no time anything is shown of another choice. Nothing is trained.

    Args:
        run: A finished run.
        average: Decay of the running mean that is to answer; by default the weights stay.
        sampling: Options of the recipe's `task.sampling` to change.
        device: As of `load`.
        progress: As of `load`.

    Returns:
        Whether anything changed: not where this was the run's choice already.

    Raises:
        RunError: The run is not finished or may not be written to, or kept no such running mean.
        RecipeError: There is no such option of sampling.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    if not run.finished():
        raise RunError(f"{run.folder} is not finished; run the same `train` command again, then choose")
    run.require_writable("copy the run to a folder of yours and name the copy")
    before = recipe_of(run)
    own = next((decay for decay in before.ema[:1] if decay in run.averages()), None)
    model = load(run, device, own if average is None else average, progress).sampling(**sampling)
    first = () if average is None else (average,)
    after = model.recipe.replace(ema=(*first, *(decay for decay in before.ema if decay != average)))
    if after != before:
        aside = run.put_aside(before.fingerprint())
        if aside:
            progress.say(f"earlier measures and pictures are in {aside} now, since they are of other answers")
        facts = {"recipe": after.name, "fingerprint": after.fingerprint(), "step": str(after.budget.steps)}
        run.write_weights(kept_weights(model.nets), facts)
        record_evaluations(run, after.task.evaluations)
        run.write_recipe(after.to_json(), run.layers(), _overrides(run, before, after))
    if model.generates and not run.has_pictures():
        with model.machine.running():
            draw_generator(replace(model, recipe=after), run, progress)
    return after != before


def _overrides(run: Run, before: Recipe, after: Recipe) -> dict[str, list[Any]]:
    """Dotted field -> [value in the recipe it is named after, value here], brought up to date."""
    found: dict[str, list[Any]] = dict(run.read_json("overrides.json"))
    for field, pair in changed(before, after).items():
        old, new = json.loads(json.dumps(pair))
        shipped = found.pop(field, [old])[0]
        if shipped != new:
            found[field] = [shipped, new]
    return found
