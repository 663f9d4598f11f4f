"""What is measured: a run or shipped weights on a split, or any generated images against real ones."""

from pathlib import Path
from typing import Any, Literal

from shoestring import zoo
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
from shoestring.run import Run
from shoestring.training.assess import assess_classifier, record_classifier
from shoestring.training.assess_generator import assess_generator, record_generator
from shoestring.training.extractors import Weights, open_eyes
from shoestring.training.image_sets import compare_sets, read_set
from shoestring.training.load import load, open_run
from shoestring.training.model import Model
from shoestring.training.splits import load_split


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
    class_name: Literal["none"] | None = None,
    **sampling: Any,
) -> dict[str, Measure]:
    """Measures of a run, or of shipped weights by recipe name, on a split; recorded in the run.

    Not recorded are those of a run that is not finished, of other weights or another way of sampling than the run's
    own, nor a generator's of fewer images or samplings than are recorded already.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        split: "test" for the final figure, "tune" to choose anything by; of a generator also "train" for that, where
            all images were trained on.
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
        class_name: "none" tells a generator that knows classes none, or one by chance if it was always told one; by
            default it makes every class in turn.
        sampling: Of a generator: options of its `task.sampling` to change.

    Returns:
        By name; of a generator on test also the distances to train images, as "train/NAME".

    Raises:
        RunError: The run is not finished and the split is "test", or was trained on images of the split, or there are
            no such weights.
        RecipeError: The split is "tune" and the run held nothing out; or options of generators for a classifier.
        DataError: There are too few images, or a file is missing or damaged.
    """
    home, progress = open_run(what), progress or Progress()
    if split == "test" and not home.finished():
        raise RunError(
            f"{what} is not finished, and test is looked at once, at the end; look at --split tune until then, or of a "
            "generator at --split train"
        )
    model = load(home, device, average, progress).sampling(**sampling)
    if split == "tune" and not model.recipe.data.tune:
        raise RecipeError(
            f"{what} was trained on all of train (data.tune is 0), so it has no tune split; use --split test"
        )
    if split == "train" and not model.generates:
        raise RecipeError(
            "a classifier knows its training images: choose by --split tune, of a run that holds some out"
        )
    own = (
        split != "train"
        and home.finished()
        and average is None
        and class_name is None
        and all(value is None for value in sampling.values())
        and home.folder.parent != zoo.FOLDER
    )
    if not model.generates:
        if (count, seeds, inception, dimensions, resizing, class_name) != (None, 1, None, None, "clean", None):
            raise RecipeError(
                f"{model.recipe.name} classifies images, and all of {split} is answered; count, seeds, inception, "
                "dimensions, resizing and class are for generators"
            )
        return assess_run(model, home, split, data_folder, progress, record=own)
    folder = resolve_data_folder(data_folder)
    shape, place = model.recipe.data.shape, model.machine.device
    eyes = open_eyes(shape, inception, dimensions, resizing, folder, place, progress)
    found = assess_generator(model, folder, split, eyes, progress, count, seeds, class_name, home)
    if own:  # what is shipped keeps the record of its own final evaluation
        record_generator(home, found, progress)
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
        generated: A folder of images or of folders of them, a .npy or .npz file of uint8 images, or NAME:SPLIT with a
            data set, a recipe or a recipe file.
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
    made = read_set(str(generated), folder, progress).images
    seen = read_set(str(real), folder, progress)
    further = read_set(str(floor), folder, progress).images if floor is not None else seen.further
    check_sets(seen.images, made)
    channels, height, width = made.shape[1:]
    place = Machine.choose(Engine(), device).device
    eyes = open_eyes((channels, height, width), inception, dimensions, resizing, folder, place, progress)
    return compare_sets(made, seen.images, further, eyes, count, progress)


def assess_run(
    model: Model, home: Run, split: Split, data_folder: Path | None, progress: Progress, record: bool
) -> dict[str, Measure]:
    """The measures of a classifier on a split; written into its run, or not."""
    images = load_split(model.recipe, home, split, resolve_data_folder(data_folder), progress)
    found = assess_classifier(model, images, split, progress)
    if record:
        record_classifier(home, found, model.recipe.data.classes)
    return found.measures
