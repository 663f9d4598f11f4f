"""Trained models: their layers, weights and answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shoestring.api.reports import write_report
from shoestring.core.errors import RunError, require_at_least
from shoestring.core.layer_table import LayerTable
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.evaluation.promote import promote as promote_run
from shoestring.live.usual import usual_progress
from shoestring.model.build import build
from shoestring.model.code import Kept, allow_code, give_parts, trust_run
from shoestring.model.likeliest import likeliest
from shoestring.model.load import is_fixed, open_run
from shoestring.model.load import load as load_run
from shoestring.model.model import Model, require_classifier
from shoestring.model.pixels import BATCH
from shoestring.recipes.lookup import located, recipe
from shoestring.recipes.recipe import Recipe


def layers(what: Recipe | str | Path, **fields: Any) -> LayerTable:
    """The layer table of a recipe: output shapes, parameters and multiply-adds of each layer for one image.

    Args:
        what: A recipe, or the name or file of one.
        fields: Values that replace the recipe's own, as of `recipe`.

    Raises:
        OverBudgetError: The nets do not fit the budget.
    """
    return LayerTable(build(located(recipe(what, **fields))).layers)


def load(
    what: Path | str,
    device: str | None = None,
    ema_decay: float | None = None,
    progress: Progress | None = None,
    *,
    trust_code: bool = False,
    **parts: Any,
) -> Model:
    """The trained model of a run, or shipped weights by recipe name: a `Classifier` or a `Generator`.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped. A run that is not finished is taken as
            its last checkpoint has it.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        ema_decay: Of EMA weights that the run kept; by default the final weights.
        progress: Reports when the run is not finished.
        trust_code: Allow the code that the run keeps to run, for this process; `trust` allows it for good.
        parts: Classes or functions that the run was trained with and that were written in a notebook or script, such as
            net=TinyNet; this process remembers them.

    Raises:
        RunError: There are no such weights; or the run has code of its own that was not allowed or given.
    """
    run = open_run(what, progress)
    if trust_code:
        allow_code(run)
    give_parts(run, parts, progress or Progress())
    return load_run(run, device, ema_decay, progress)


def trust(what: Path | str) -> list[Kept]:
    """Allows the code that a run keeps to run, in this process and later ones; gives what was allowed.

    Args:
        what: The run's folder. Its code is what its `source` folder holds.

    Raises:
        RunError: There is no such run, or its code is not as `train` wrote it.
    """
    return trust_run(open_run(what))


def promote(
    what: Path | str,
    ema_decay: float | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    sampling: Mapping[str, Any] | None = None,
    views: int | None = None,
) -> Run:
    """A finished run with other default weights or another sampler, with pictures and report to match.

    Choose by the tune split, or of a generator by train images. Earlier metrics and pictures go to the run's folder
    "archive", since they are of other weights or samples: evaluate anew. Nothing is trained.

    Args:
        what: The run's folder.
        ema_decay: Of the EMA weights that become the final ones; by default the weights stay.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports everything that takes time.
        sampling: Options of the recipe's `task.sampling` to change, such as {"guidance": 2.0}.
        views: Of an image by which a classifier answers (test-time augmentation).

    Raises:
        RunError: The run is shipped, not finished or not to be written to, or kept no such EMA weights, or another
            process writes into it.
        RecipeError: There is no such option of sampling, or the run is a classifier's.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    home, progress = open_run(what), progress or usual_progress()
    if is_fixed(home):
        raise RunError(f"{what} is shipped, packed or of the hub; copy {home.folder} and name the copy")
    with home.locked(progress):
        if not promote_run(home, ema_decay, sampling, device, progress, views):
            progress.say(f"{what} has these weights and answers in this way already")
        write_report([home])
    return home


def predict(
    what: Path | str,
    files: Sequence[Path | str] | Path | str,
    top: int = 5,
    device: str | None = None,
    progress: Progress | None = None,
    trust_code: bool = False,
) -> list[dict[str, Any]]:
    """The likeliest classes of image files, best first.

    Args:
        what: A run of a classifier, or the name of a shipped one.
        files: One picture or several, of any size; the middle square is taken and resized.
        top: How many classes to name.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports every batch, and when the run is not finished.
        trust_code: As of `load`.

    Returns:
        For each file {"image": path, "classes": [{"class": name, "probability": 0..1}, …]}; of a net that reads a digit
        in each channel also "digits": [{"channel": "red", "digit": 0..9, "probability": 0..1}, …], the likeliest ones.

    Raises:
        ShoestringError: `top` is below 1.
        DataError: A file is missing or is no picture.
        DivergedError: The net answers NaN or infinity.
    """
    require_at_least(1, top=top)
    progress = progress or Progress()
    model = require_classifier(load(what, device, progress=progress, trust_code=trust_code))
    files = [files] if isinstance(files, str | Path) else files
    found: list[dict[str, Any]] = []
    with progress.task("naming images", len(files), "images") as advance:
        for start in range(0, len(files), BATCH):
            some = files[start : start + BATCH]
            found += likeliest(model, some, top, progress)
            advance(len(some))
    return found
