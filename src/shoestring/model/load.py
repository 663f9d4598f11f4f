"""Trained models from the files of a run, and which run a name means."""

import tempfile
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any

from torch import nn

from shoestring import zoo
from shoestring.core.device import Machine
from shoestring.core.errors import RunError, ShoestringError
from shoestring.core.packed import SUFFIX, unpack
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.download import checksum_of
from shoestring.data.paths import own_cache_folder
from shoestring.hub.address import is_address
from shoestring.hub.fetch import fetch, fetched_name, is_fetched
from shoestring.model.bn_recalibration import ema_or_raw_model
from shoestring.model.build import initialise
from shoestring.model.code import open_code
from shoestring.model.model import Model, model_of
from shoestring.model.train_state import State
from shoestring.model.weights import inference_state_dict as inference_state_dict
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.upgrade import upgraded
from shoestring.zoo.run_folder import run_folder


def load(run: Run, device: str | None, ema_decay: float | None = None, progress: Progress | None = None) -> Model:
    """The classifier or generator of a run; of one that is not finished, as its last checkpoint has it.

    Args:
        run: The run.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        ema_decay: Of the EMA weights to take, which the run kept; by default those that it is evaluated with.
        progress: Reports when the run is not finished.

    Raises:
        RunError: There are no such weights, or they do not fit the recipe.
    """
    recipe = recipe_of(run, progress)
    machine = Machine.choose(recipe.engine.portable(), device)
    if run.has_weights():
        return model_of(recipe, machine.place(load_nets(run, recipe, ema_decay)).eval(), machine)
    return _unfinished(run, recipe, machine, ema_decay, progress or Progress())


def _unfinished(run: Run, recipe: Recipe, machine: Machine, ema_decay: float | None, progress: Progress) -> Model:
    saved = run.checkpoints.read(progress, machine.device)
    if saved is None:
        run.require_weights_kept()
        raise RunError(f"{run.folder} has neither weights nor a checkpoint yet; run the same `train` command again")
    state = State.start(recipe, initialise(recipe), machine)
    state.load_state_dict(saved)
    progress.say(f"{run.folder} is not finished: this is after {state.step:,} of {recipe.budget.steps:,} steps")
    if ema_decay is not None:
        run.require_ema(ema_decay, state.ema)
    with machine.running():
        return ema_or_raw_model(recipe, state, machine, ema_decay)


def open_run(what: Path | str, progress: Progress | None = None) -> Run:
    """The run in a folder, in a packed file or on the Hugging Face hub (hf://user/name), or a recipe's shipped one.

    Raises:
        RunError: There is none; says what there is.
        HubError: It cannot be fetched.
    """
    if is_address(what):
        return fetch(str(what), progress or Progress())
    if Path(what).suffix == SUFFIX and Path(what).is_file():
        return _unpacked(Path(what))
    return Run(run_folder(what))


def file_name(run: Run) -> str:
    """What files made of a run are called where they do not go to its folder."""
    return fetched_name(run) if is_fetched(run) else run.name


def is_fixed(run: Run) -> bool:
    """Whether nobody writes into a run: it is shipped, of the hub, or the copy of a packed file."""
    return run.folder.parent == zoo.FOLDER or is_fetched(run) or _packed_folder() in run.folder.parents


def _packed_folder() -> Path:
    return own_cache_folder() / "packed"


def _unpacked(file: Path) -> Run:
    """The run of a packed file, in the user's cache under the hash of the file; so it is unpacked once."""
    home = _packed_folder() / checksum_of(file, "sha256")[:32]
    run = Run(home / file.stem)
    if not run.exists():
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as made:
            unpack(file, Path(made) / "run")
            with suppress(OSError):  # another process was faster
                (Path(made) / "run").replace(run.folder)
    return run


def usual_run(recipe: Recipe, home: Path = Path("runs")) -> Run:
    """The run that trains a recipe where no folder was named: HOME/NAME-FINGERPRINT.

    Former versions gave the same recipe other fingerprints: a run of it that is there under one of these goes on.
    """
    usual = Run(home / f"{recipe.name}-{recipe.fingerprint()}")
    former = [] if usual.exists() else [Run(folder) for folder in sorted(home.glob(f"{escape(recipe.name)}-*"))]
    return next((run for run in former if run.exists() and _trains(run, recipe)), usual)


def _trains(run: Run, recipe: Recipe) -> bool:
    try:
        return recipe_of(run).fingerprint() == recipe.fingerprint()
    except ShoestringError:  # of another time or damaged: not this recipe's
        return False


def load_nets(run: Run, recipe: Recipe, ema_decay: float | None = None) -> nn.ModuleDict:
    """The nets of a finished run, on the CPU, with the weights that it keeps.

    Args:
        run: The run.
        recipe: Its recipe, as `recipe_of` gives it.
        ema_decay: As of `load`.

    Raises:
        RunError: There are no such weights, or their names or shapes are not those of the recipe's nets.
    """
    nets = initialise(recipe)
    tensors, expected = run.read_weights(ema_decay), inference_state_dict(nets)
    if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in expected.items()}:
        raise RunError(f"{run.weights_file} does not fit {run.recipe_file}: names or shapes of the weights differ")
    nets.load_state_dict(tensors, strict=False)  # batch norm's step counters are all that is left out
    return nets


def recipe_of(run: Run, progress: Progress | None = None) -> Recipe:
    """The recipe that a run was trained by.

    Args:
        run: The run.
        progress: Reports when code that the run was trained with has changed since.

    Raises:
        RecipeError: Its file is not valid.
        RunError: It has code of its own that the user has not allowed to run.
    """
    open_code(run, progress or Progress())
    return Recipe.from_json(upgraded(run.read_recipe()), str(run.recipe_file))


def whole_recipe(run: Run) -> dict[str, Any]:
    """A run's recipe as plain JSON values, with the fields that it is too old to have; as it is if it is not valid."""
    try:
        return recipe_of(run).to_json()
    except ShoestringError:
        return run.read_recipe()
