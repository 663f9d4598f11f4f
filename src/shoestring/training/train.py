"""A whole training: build, resume, loop, and what is saved at the end."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from shoestring.core.config import changed
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import DataError, RunError
from shoestring.core.processes import ALONE, LostError, Processes
from shoestring.core.progress import Progress
from shoestring.core.provenance import Session, seconds_so_far
from shoestring.core.run import Run
from shoestring.model.bn_recalibration import ema_or_raw_model
from shoestring.model.build import Built, build
from shoestring.model.code import keep_code, remember_code, require_same_code
from shoestring.model.load import inference_state_dict, load, recipe_of
from shoestring.model.model import Model
from shoestring.model.pretrained import start_from
from shoestring.model.run_rules import record_rules, said
from shoestring.model.run_splits import TrainingData, load_training_data
from shoestring.model.train_state import State
from shoestring.recipes.recipe import NOT_FINGERPRINTED, Recipe
from shoestring.recipes.rules import Rules
from shoestring.recipes.rules import rules as default_rules
from shoestring.training.loop import Watch, loop
from shoestring.training.memory import require_memory
from shoestring.training.sharing import count_of, require_shareable, shared
from shoestring.training.validation import make_validator

MAX_LISTED = 5  # fields in which a run may differ that a message lists


ResolveEngine = Callable[[Recipe, Run, str | None, Progress], Engine]
"""The engine to train a run with, of a recipe, the run, the device asked for, and whom to tell."""


def as_asked(recipe: Recipe, run: Run, device: str | None, progress: Progress) -> Engine:
    """The engine of the recipe as it is."""
    return recipe.engine


def train(
    recipe: Recipe,
    run: Run,
    folder: Path,
    device: str | None,
    progress: Progress,
    overrides: Mapping[str, Any],
    resolve: ResolveEngine = as_asked,
    rules: Rules | None = None,
    watch: Watch | None = None,
    company: Processes = ALONE,
) -> Model:
    """The trained model of a recipe; goes on where the run stopped, or returns at once when it is finished.

    Args:
        recipe: What to learn and how.
        run: Where everything is written.
        folder: The data folder.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Reports everything that takes time.
        overrides: The fields in which the recipe differs from the one it is named after, for the record.
        resolve: Makes the engine's open choices, once all else is known to be good.
        rules: Those in force; by default the shipped ones. Departures are said and recorded, not refused.
        watch: Is told what was measured on the way, and may stop the training.
        company: The processes that torchrun started, of which this is the first; they share the steps.

    Raises:
        OverBudgetError: The nets do not fit the budget. This and any other refusal comes before anything is written.
        DataError: There is nothing to train on, or files are missing or damaged.
        RecipeError: A step needs more memory than there is, or processes cannot share it.
        RunError: Steps were taken in the folder by another recipe, or on images that have changed; or all steps were
            taken, and the weights are not kept.
        LostError: A process that shares the steps died; says which, and which checkpoint there is.
        Stopped: The watch wants no more steps; the state is saved.
    """
    built = build(recipe)
    # A device that is not there is refused before anything is written.
    machine = replace(Machine.choose(recipe.engine, device), processes=count_of(recipe.engine))
    require_shareable(recipe, machine)
    started = run.started()
    if started:
        require_same_code(run, recipe)
        _require_same(run, recipe)
    run.require_weights_kept()
    if run.has_weights():
        progress.say(f"{run.folder} is finished; there is nothing left to train")
        return load(run, device)
    data = load_training_data(recipe, run, folder, progress)
    if not len(data.train):
        raise DataError(f"no images to train on in {data.train.source}; lower --data.tune or check the data folder")
    require_memory(recipe, machine, data.train)
    pretrained = start_from(recipe, built.nets) if run.checkpoints.last() is None else None
    in_force = rules or default_rules()
    departures = in_force.departures(recipe)
    for sentence in said(departures, in_force.name):
        progress.say(sentence)
    if not started:
        _claim(run, recipe, built, overrides)
        if pretrained:
            run.write_json("pretrained.json", pretrained.to_json())
    remember_code(recipe, progress)
    record_rules(run, in_force, departures)
    data.record(run)
    engine = resolve(recipe, run, device, progress)
    machine = replace(Machine.choose(engine, device), processes=count_of(engine))
    with machine.running():
        return _trained(recipe, run, built, data, machine, progress, watch, company)


def _trained(
    recipe: Recipe,
    run: Run,
    built: Built,
    data: TrainingData,
    machine: Machine,
    progress: Progress,
    watch: Watch | None,
    company: Processes,
) -> Model:
    """The model after all steps that are left."""
    state = State.start(recipe, built.nets, machine)
    saved = run.checkpoints.read(progress, machine.device)
    if saved:
        state.load_state_dict({"seconds": seconds_so_far(run)} | saved)  # checkpoints of version 0.1 have no clock
    run.rewind(state.step, recipe.cadence.keep)
    session = Session(run, machine, state, recipe.task.nfe, recipe.task.loss_unit)
    validate = make_validator(recipe, run, machine, data.train, data.tune)
    try:
        with shared(recipe, state, machine, data.train, company) as processes:
            loop(recipe, run, state, machine, data.train, validate, progress, session.note, watch, processes)
    except LostError as lost:
        saved = run.checkpoints.last()
        where = f"from {saved}" if saved else "from the start: no checkpoint was saved yet"
        raise LostError(f"{lost}, after step {state.step:,}; the same command again goes on {where}") from None
    finally:
        session.note(state)
    model = ema_or_raw_model(recipe, state, machine)
    for decay, nets in state.ema.items():
        averaged = model if nets is state.ema_or_raw_nets() else ema_or_raw_model(recipe, state, machine, decay)
        run.write_ema_weights(decay, inference_state_dict(averaged.nets))
    metadata = {"recipe": recipe.name, "fingerprint": recipe.fingerprint(), "step": str(state.step)}
    run.write_weights(inference_state_dict(model.nets), metadata)
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
    keep_code(run, recipe)
    run.write_json("classes.json", list(recipe.data.classes))
    run.write_recipe(recipe.to_json(), built.layers, overrides)  # last: it is what makes the folder a run


def _differences(there: Recipe, now: Recipe) -> str:
    """What keeps a run from going on with a recipe, in a few words."""
    if there.name != now.name:
        return f"{there.name}, not {now.name}"
    counting = {key: pair for key, pair in changed(there, now).items() if key.split(".")[0] not in NOT_FINGERPRINTED}
    said = [f"{key} is {old} there, {new} now" for key, (old, new) in counting.items()]
    more = f"; and {len(said) - MAX_LISTED} more fields" if len(said) > MAX_LISTED else ""
    return "; ".join(said[:MAX_LISTED]) + more
