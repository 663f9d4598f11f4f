"""A choice made after the training becomes the run's own: its default weights, and how it samples."""

import json
from collections.abc import Mapping
from typing import Any

from shoestring.core.config import changed
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.provenance import record_nfe
from shoestring.core.run import Run
from shoestring.evaluation.sample_grids import draw_samples
from shoestring.model.generator import Generator
from shoestring.model.load import inference_state_dict, load, recipe_of
from shoestring.model.model import require_classifier, require_generator
from shoestring.recipes.recipe import Recipe


def promote(
    run: Run,
    ema_decay: float | None,
    sampling: Mapping[str, Any] | None,
    device: str | None,
    progress: Progress,
    views: int | None = None,
) -> bool:
    """Makes a choice the run's own; the same call again completes one that was interrupted.

    All that was made with the former choice goes to the run's folder "archive" first, and a generator's pictures are
    made anew at the end, so that at no time anything is shown of another choice. Nothing is trained.

    Args:
        run: A finished run.
        ema_decay: Of the EMA weights that become the final ones; by default the weights stay.
        sampling: Options of the recipe's `task.sampling` to change.
        device: As of `load`.
        progress: As of `load`.
        views: Of an image by which a classifier answers.

    Returns:
        Whether anything changed: not where this was the run's choice already.

    Raises:
        RunError: The run is not finished, or its weights are not kept, or it may not be written to, or kept no such
            EMA weights.
        RecipeError: There is no such option of sampling, or the run is a classifier's; or views of a generator's.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    run.require_weights_kept()
    if not run.has_weights():
        raise RunError(f"{run.folder} is not finished; run the same `train` command again, then choose")
    run.require_writable("copy the run to a folder of yours and name the copy")
    before = recipe_of(run)
    own = next((decay for decay in before.ema[:1] if decay in run.ema_decays()), None)
    model = load(run, device, own if ema_decay is None else ema_decay, progress)
    if sampling:
        model = require_generator(model).with_sampling(sampling)
    if views is not None:
        model = require_classifier(model).with_views(views)
    first = () if ema_decay is None else (ema_decay,)
    after = model.recipe.replace(ema=(*first, *(decay for decay in before.ema if decay != ema_decay)))
    if after != before:
        archive = run.archive(before.fingerprint())
        if archive:
            progress.say(
                f"earlier metrics and pictures are in {archive} now, since they are of other weights or samples"
            )
        metadata = {"recipe": after.name, "fingerprint": after.fingerprint(), "step": str(after.budget.steps)}
        run.write_weights(inference_state_dict(model.nets), metadata)
        record_nfe(run, after.task.nfe)
        run.write_recipe(after.to_json(), run.layers(), _overrides(run, before, after))
    if isinstance(model, Generator) and not run.has_pictures():
        with model.machine.running():
            draw_samples(Generator(after, model.nets, model.machine), run, progress)
    return after != before


def _overrides(run: Run, before: Recipe, after: Recipe) -> dict[str, list[Any]]:
    """Dotted field -> [value in the recipe it is named after, value here], brought up to date."""
    found: dict[str, list[Any]] = run.overrides()
    for field, pair in changed(before, after).items():
        old, new = json.loads(json.dumps(pair))
        shipped = found.pop(field, [old])[0]
        if shipped != new:
            found[field] = [shipped, new]
    return found
