"""A whole training: build, resume, loop, and what is saved at the end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoestring.engine import Machine
from shoestring.errors import RunError
from shoestring.progress import Progress
from shoestring.recipes.recipe import UNCOUNTED, Recipe
from shoestring.run import Run
from shoestring.spec import changed
from shoestring.training.build import Built, build
from shoestring.training.environment import close_session, open_session
from shoestring.training.load import kept_weights, load, recipe_of
from shoestring.training.loop import loop
from shoestring.training.model import Model
from shoestring.training.splits import load_training_data
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
        OverBudgetError: The nets do not fit the budget; nothing was written.
        RunError: The folder holds a run of another recipe, or of images that have changed.
    """
    built = build(recipe)
    Machine.choose(recipe.engine, device)  # a device that is not there is refused before anything is written
    if run.exists():
        _require_same(run, recipe)
    if run.finished():
        progress.say(f"{run.folder} is finished; there is nothing left to train")
        return load(run, device)
    data = load_training_data(recipe, run, folder, progress)
    _claim(run, recipe, built, overrides)
    data.record(run)
    machine = Machine.choose(settled(recipe, run, device, progress), device)
    state = State.start(recipe, built.nets, machine)
    saved = run.read_checkpoint(progress, machine.device)
    if saved:
        state.load_state_dict(saved)
    run.rewind(state.step)
    open_session(run, machine, state.step, recipe.task.evaluations)
    try:
        loop(recipe, run, state, machine, data.train, watcher(recipe, run, machine, data.train, data.tune), progress)
    finally:
        close_session(run, state.step)
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
            "--run, or delete it."
        )


def _claim(run: Run, recipe: Recipe, built: Built, overrides: Mapping[str, Any]) -> None:
    """Makes the folder this recipe's, if it is not yet."""
    if run.folder.exists() and not run.folder.is_dir():
        raise RunError(f"{run.folder} is a file; name a folder with --run")
    if not run.exists():
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
