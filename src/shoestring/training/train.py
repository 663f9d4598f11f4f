"""A whole training: build, resume, loop, and what is saved at the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoestring.engine import Machine
from shoestring.errors import DataError, RunError
from shoestring.progress import Progress
from shoestring.recipes.recipe import UNCOUNTED, Recipe
from shoestring.run import Run
from shoestring.spec import changed
from shoestring.training.build import Built, build
from shoestring.training.environment import Session, seconds_so_far
from shoestring.training.load import kept_weights, load, recipe_of
from shoestring.training.loop import loop
from shoestring.training.memory import require_memory
from shoestring.training.model import Model
from shoestring.training.standing import answering
from shoestring.training.state import State
from shoestring.training.trial import settled
from shoestring.training.watch import watcher

SAID = 5  # fields in which a run may differ that a message lists


def train(
    recipe: Recipe, run: Run, folder: Path, device: str | None, progress: Progress, overrides: Mapping[str, Any]
) -> Model:
    """The trained model of a recipe; goes on where the run stopped, or returns at once when it is finished.

    Args:
        recipe: What to learn and how.
        run: Where everything is written.
        folder: The data folder.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Told of everything that takes time.
        overrides: The fields in which the recipe differs from the one it is named after, for the record.

    Raises:
        OverBudgetError: The nets do not fit the budget. This and any other refusal comes before anything is written.
        DataError: There is nothing to train on, or files are missing or damaged.
        RecipeError: A step needs more memory than there is.
        RunError: Steps of another recipe were taken in the folder.
    """
    built = build(recipe)
    machine = Machine.choose(recipe.engine, device)  # a device that is not there is refused before anything is written
    started = run.started()
    if started:
        _require_same(run, recipe)
    if run.finished():
        progress.say(f"{run.folder} is finished; there is nothing left to train")
        return load(run, device)
    images = recipe.data.load("train", folder, progress)
    tune = recipe.data.load("tune", folder, progress) if recipe.data.tune else None
    if not len(images):
        raise DataError(f"no images to train on in {images.source}; lower --data.tune or check the data folder")
    require_memory(recipe, machine, images)
    if not started:
        _claim(run, recipe, built, overrides)
    machine = Machine.choose(settled(recipe, run, device, progress), device)
    state = State.start(recipe, built.nets, machine)
    saved = run.read_checkpoint(progress, machine.device)
    if saved:
        state.load_state_dict({"seconds": seconds_so_far(run)} | saved)  # checkpoints of version 0.1 have no clock
    run.rewind(state.step)
    session = Session(run, machine, state, recipe.task.evaluations)
    try:
        loop(recipe, run, state, machine, images, watcher(recipe, run, machine, images, tune), progress, session.note)
    finally:
        session.note(state)
    model = answering(recipe, state, machine)
    for decay, nets in state.averages.items():
        mean = model if nets is state.answering() else answering(recipe, state, machine, decay)
        run.write_average(decay, kept_weights(mean.nets))
    facts = {"recipe": recipe.name, "fingerprint": recipe.fingerprint(), "step": str(state.step)}
    run.write_weights(kept_weights(model.nets), facts)
    return model


def _require_same(run: Run, recipe: Recipe) -> None:
    there = recipe_of(run)
    if there.fingerprint() != recipe.fingerprint():
        raise RunError(
            f"{run.folder} holds a run of another recipe ({_differences(there, recipe)}). Name another folder with "
            "--run, or train that recipe on."
        )


def _claim(run: Run, recipe: Recipe, built: Built, overrides: Mapping[str, Any]) -> None:
    """Makes a folder in which no step was taken this recipe's, whichever was to be trained there before."""
    if run.exists() and run.read_recipe() != recipe.to_json():
        run.forget_starts()
    run.write_json("classes.json", list(recipe.data.classes))
    run.write_recipe(recipe.to_json(), built.layers, overrides)  # last: it is what makes the folder a run


def _differences(there: Recipe, now: Recipe) -> str:
    """What keeps a run from going on with a recipe, in a few words."""
    if there.name != now.name:
        return f"{there.name}, not {now.name}"
    counting = {key: pair for key, pair in changed(there, now).items() if key.split(".")[0] not in UNCOUNTED}
    said = [f"{key} is {old} there, {new} now" for key, (old, new) in counting.items()]
    more = f"; and {len(said) - SAID} more fields" if len(said) > SAID else ""
    return "; ".join(said[:SAID]) + more
