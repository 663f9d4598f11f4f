"""What a user of the package calls; the command line calls the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring import zoo
from shoestring.data.folder import read_image
from shoestring.data.images import Split
from shoestring.data.location import data_folder as resolve_data_folder
from shoestring.engine import Engine, Machine
from shoestring.errors import RecipeError, RunError
from shoestring.measure.generated import check_sets
from shoestring.measure.inception import Dimensions
from shoestring.measure.measure import Measure
from shoestring.measure.resize import Resizing
from shoestring.measure.score import Score
from shoestring.progress import Progress
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import located, overrides_of, recipe
from shoestring.recipes.recipe import Recipe
from shoestring.run import Run
from shoestring.spec import unknown
from shoestring.training.assess import assess_classifier, draw_generator, record_classifier
from shoestring.training.assess_generator import assess_generator, record_generator
from shoestring.training.extractors import Weights, open_eyes
from shoestring.training.image_sets import compare_sets, read_set
from shoestring.training.load import load as load_run
from shoestring.training.model import Model
from shoestring.training.train import train as train_run

ZOO = zoo.FOLDER
CHANNELS = ("red", "green", "blue")


def train(
    what: Recipe | str | Path,
    run: Path | str | None = None,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
) -> Run:
    """The run of a finished training, measured and with its report; the same call again goes on or returns at once.

    Measures on the tune split; when the recipe holds none out, on the test split.

    Args:
        what: A recipe, or the name or file of one.
        run: The run's folder; by default runs/NAME-FINGERPRINT.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Told of everything that takes time.
    """
    asked = located(what if isinstance(what, Recipe) else recipe(what), data_folder)
    home = Run(Path(run) if run else Path("runs") / f"{asked.name}-{asked.fingerprint()}")
    progress = progress or Progress()
    model = train_run(asked, home, resolve_data_folder(data_folder), device, progress, overrides_of(asked))
    split: Split = "tune" if asked.data.tune else "test"
    if model.generates:
        if not home.has_pictures():
            draw_generator(model, home, progress)
    elif split not in home.measures():
        _measure(model, home, split, data_folder, progress, record=True)
    write_report([home])
    return home


def evaluate(
    what: Path | str,
    split: Split = "test",
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    count: int | None = None,
    seeds: int = 1,
    inception: Weights = None,
    dimensions: Dimensions | None = None,
    resizing: Resizing = "clean",
    average: float | None = None,
    **sampling: Any,
) -> dict[str, Measure]:
    """Measures of a finished run, or of shipped weights by recipe name, on a split; recorded in the run.

    Not recorded are those of other weights or another way of sampling than the run's own.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        split: "test" for the final figure, "tune" to choose anything by.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Told of everything that takes time.
        count: Of a generator: samples, and as many real images; by default 10,000, or the whole split if it has fewer.
        seeds: Of a generator: samplings to average over.
        inception: Of a generator: a file with the FID Inception; "none" does without; by default the official file in
            the data folder, downloaded when it is not there.
        dimensions: Of a generator: Inception's features per image; by default 2,048, or 768 if the file ends there.
        resizing: Of a generator: how images are brought to Inception's size.
        average: Decay of a running mean of the weights that the run kept.
        sampling: Of a generator: options of its `task.sampling` to change.

    Returns:
        By name; of a generator on test also the distances to train images, as "train/NAME".

    Raises:
        RecipeError: The split is "tune" and the run held nothing out.
        DataError: There are too few images, or a file is missing or damaged.
    """
    home, progress = open_run(what), progress or Progress()
    model = load_run(home, device, average).sampling(**sampling)
    if split == "tune" and not model.recipe.data.tune:
        raise RecipeError(
            f"{what} was trained on all of train (data.tune is 0), so it has no tune split; use --split test"
        )
    own = average is None and all(value is None for value in sampling.values()) and home.folder.parent != ZOO
    if not model.generates:
        return _measure(model, home, split, data_folder, progress, record=own)
    folder = resolve_data_folder(data_folder)
    shape, place = model.recipe.data.shape, model.machine.device
    eyes = open_eyes(shape, inception, dimensions, resizing, folder, place, progress)
    found = assess_generator(model, folder, split, eyes, progress, count, seeds)
    if own:  # what is shipped keeps the record of its own final evaluation
        record_generator(home, found)
    beside = {f"train/{name}": score for name, score in found.sections.get("train", {}).items()}
    return {**found.sections[split], **beside}


def compare_images(
    generated: Path | str,
    real: Path | str,
    floor: Path | str | None = None,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    count: int | None = None,
    inception: Weights = None,
    dimensions: Dimensions | None = None,
    resizing: Resizing = "clean",
) -> dict[str, Score]:
    """The scores of any generated images against any real ones.

    Args:
        generated: A folder of PNG files, a .npy or .npz file of uint8 images, or NAME:SPLIT with a data set or recipe.
        real: The same, such as cifar100:test.
        floor: The same: further real images, to find the floor with; by default train, when `real` is another split.
        data_folder: As of `evaluate`.
        device: As of `evaluate`.
        progress: As of `evaluate`.
        count: Images of each to take, by chance; by default all.
        inception: As of `evaluate`.
        dimensions: As of `evaluate`.
        resizing: As of `evaluate`.

    Raises:
        DataError: Images cannot be read, are too few or of different sizes; or the Inception file is not right.
    """
    progress, folder = progress or Progress(), resolve_data_folder(data_folder)
    made = read_set(str(generated), RECIPES, folder, progress).images
    seen = read_set(str(real), RECIPES, folder, progress)
    further = read_set(str(floor), RECIPES, folder, progress).images if floor is not None else seen.further
    check_sets(seen.images, made)
    channels, height, width = made.shape[1:]
    place = Machine.choose(Engine(), device).device
    eyes = open_eyes((channels, height, width), inception, dimensions, resizing, folder, place, progress)
    return compare_sets(made, seen.images, further, eyes, count, progress)


def load(what: Path | str, device: str | None = None, average: float | None = None) -> Model:
    """The model of a finished run, or shipped weights by recipe name.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        average: Decay of a running mean of the weights that the run kept; by default the final weights.
    """
    return load_run(open_run(what), device, average)


def sample(
    what: Path | str,
    count: int = 64,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    class_name: str | None = None,
    average: float | None = None,
    **sampling: Any,
) -> Tensor:
    """Images made by a generator: uint8 (count, c, h, w).

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        count: How many.
        seed: Decides which.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Told of every batch.
        class_name: The class of all images, or "none"; by default every class in turn. Ignored by nets without classes.
        average: Decay of a running mean of the weights that the run kept; by default the final weights.
        sampling: Options of the recipe's `task.sampling` to change, such as steps=18 or guidance=1.5.

    Raises:
        RecipeError: There is no such class or option.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    model = load(what, device, average).sampling(**sampling)
    return model.sample(count, seed, progress or Progress(), model.labels(count, class_name))


def predict(what: Path | str, files: Sequence[Path], top: int = 5, device: str | None = None) -> list[dict[str, Any]]:
    """The likeliest classes of image files, best first.

    Args:
        what: A run of a classifier, or the name of a shipped one.
        files: Pictures of any size; the middle square is taken and resized.
        top: How many classes to name.
        device: "cpu", "cuda", …; by default a GPU when there is one.

    Returns:
        For each file {"image": path, "classes": [{"class": name, "probability": 0..1}, …]}; of a net that reads a digit
        in each channel also "digits": [{"channel": "red", "digit": 0..9, "probability": 0..1}, …], the likeliest ones.

    Raises:
        DataError: A file is missing or is no picture.
    """
    model = load(what, device)
    channels, height, _ = model.recipe.data.shape
    images = torch.stack([torch.tensor(read_image(file, height)) for file in files])
    if channels == 1:
        images = images.float().mean(1, keepdim=True).round().to(torch.uint8)
    classes = model.recipe.data.classes
    best = model.logits(images).softmax(1).cpu().topk(min(top, len(classes)))
    found: list[dict[str, Any]] = [
        {
            "image": str(file),
            "classes": [
                {"class": classes[int(label)], "probability": round(float(p), 6)}
                for p, label in zip(values, labels, strict=True)
            ],
        }
        for file, values, labels in zip(files, best.values, best.indices, strict=True)
    ]
    digits = model.digits(images)
    if digits is not None:
        for prediction, read in zip(found, digits.cpu(), strict=True):
            prediction["digits"] = [
                {"channel": channel, "digit": int(each.argmax()), "probability": round(float(each.max()), 6)}
                for channel, each in zip(CHANNELS if channels == 3 else ("grey",), read, strict=True)
            ]
    return found


def write_report(runs: Sequence[Run | Path | str], file: Path | None = None) -> Path:
    """One self-contained HTML page about one run, or several side by side.

    Args:
        runs: Runs, their folders, or names of shipped weights.
        file: Where to write; by default report.html in the first run's folder, or NAME.html here for shipped weights.
    """
    from shoestring.report.page import build  # matplotlib takes a second to import: only when a page is asked for

    homes = [what if isinstance(what, Run) else open_run(what) for what in runs]
    first = homes[0]
    return build(homes, file or (Path(f"{first.name}.html") if first.folder.parent == ZOO else first.report_file))


def open_run(what: Path | str) -> Run:
    """The run in a folder, or the shipped one of a recipe name.

    Raises:
        RunError: There is neither; says what there is.
    """
    for folder in (Path(what), ZOO / str(what)):
        if Run(folder).exists():
            return Run(folder)
    if str(what) in RECIPES:
        raise RunError(f"no trained weights of {what} are shipped; train it: shoestring train {what}")
    shipped = [folder.name for folder in ZOO.iterdir() if Run(folder).exists()]
    raise RunError(f"{unknown('run or shipped model', str(what), shipped)} A run is the folder that `train` wrote.")


def _measure(
    model: Model, home: Run, split: Split, data_folder: Path | None, progress: Progress, record: bool
) -> dict[str, Measure]:
    images = model.recipe.data.load(split, resolve_data_folder(data_folder), progress)
    found = assess_classifier(model, images, split, progress)
    if record:
        record_classifier(home, found, model.recipe.data.classes)
    return found.measures
