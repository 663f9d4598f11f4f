"""What is measured: a run or shipped weights on a split, or any generated images against real ones."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

from shoestring import zoo
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import RecipeError, RunError, require_at_least
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Split
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.classifier import Assessment, assess_classifier, record_classifier
from shoestring.evaluation.compare import compare_sets, read_set
from shoestring.evaluation.extractors import Eyes, Weights, open_eyes
from shoestring.evaluation.generator import assess_generator, record_generator
from shoestring.metrics.features.inception_net import Dimensions
from shoestring.metrics.features.resize import Resizing
from shoestring.metrics.generative.real_baseline import not_among
from shoestring.metrics.generative.suite import check_asked, check_sets
from shoestring.metrics.score import Score
from shoestring.metrics.statistics import Measure
from shoestring.model.code import allow_code
from shoestring.model.load import load, open_run, recipe_of
from shoestring.model.model import Model
from shoestring.model.run_splits import load_split


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
    trust_code: bool = False,
    **sampling: Any,
) -> dict[str, Measure]:
    """Measures of a run, or of shipped weights by recipe name, on a split; recorded in the run.

    Not recorded are those of a run that is shipped, not finished or may not be written to, of other weights or another
    way of sampling than the run's own, nor a generator's of fewer images or samplings than are recorded already.

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
        trust_code: Allow the code that the run keeps to run, for this process.
        sampling: Of a generator: options of its `task.sampling` to change.

    Returns:
        By name; of a generator on test also the distances to train images, as "train/NAME".

    Raises:
        RunError: The run is not finished and the split is "test", or was trained on images of the split, or there are
            no such weights, or another process writes into the run in which the measures would be recorded.
        RecipeError: The split is "tune" and the run held nothing out; or options of generators for a classifier.
        DataError: There are too few images, or a file is missing or damaged, or Inception has no such features.
        ShoestringError: A count is below 1.
    """
    home, progress = open_run(what), progress or Progress()
    if trust_code:
        allow_code(home)
    recipe = recipe_of(home)
    generates = recipe.task.maker is not None
    if split == "test" and not home.finished():
        raise RunError(
            f"{what} is not finished, and test is looked at once, at the end; look at --split tune until then, or of a "
            "generator at --split train"
        )
    if split == "tune" and not recipe.data.tune:
        raise RecipeError(
            f"{what} was trained on all of train (data.tune is 0), so it has no tune split; use --split test"
        )
    if split == "train" and not generates:
        raise RecipeError(
            "a classifier knows its training images: choose by --split tune, of a run that holds some out"
        )
    of_generators = (count, seeds, inception, dimensions, resizing, class_name)
    if not generates and of_generators != (None, 1, None, None, "clean", None):
        raise RecipeError(
            f"{recipe.name} classifies images, and all of {split} is answered; count, seeds, inception, dimensions, "
            "resizing and class are for generators"
        )
    require_at_least(1, seeds=seeds)
    check_asked(count, dimensions, resizing)
    answers = home.answers() if home.finished() else ""
    model = load(home, device, average, progress).sampling(**sampling)
    own = (
        split != "train"
        and home.finished()
        and average is None
        and class_name is None
        and all(value is None for value in sampling.values())
    )
    record = own and _can_be_recorded(home, progress)
    with home.locked(progress) if record else nullcontext(), model.machine.running():
        if not generates:
            assessment = assess_run(model, home, split, data_folder, progress)
            if record:
                _record(home, answers, lambda: record_classifier(home, assessment, model.recipe.data.classes), progress)
            return assessment.measures
        folder, shape, place = resolve_data_folder(data_folder), model.recipe.data.shape, model.machine.device

        def eyes() -> Eyes:
            return open_eyes(shape, inception, dimensions, resizing, folder, place, progress)

        name = "" if class_name == "none" else class_name  # also where a class is called none
        found = assess_generator(model, folder, split, eyes, progress, count, seeds, name, home)
        if record:
            _record(home, answers, lambda: record_generator(home, found, progress), progress)
    beside = found.sections.get("train", {}) if split == "test" else {}
    return {**found.sections[split], **{f"train/{name}": score for name, score in beside.items()}}


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
            Those that are among the real ones are left out.
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
    check_asked(count, dimensions, resizing)
    progress, folder = progress or Progress(), resolve_data_folder(data_folder)
    made = read_set(str(generated), folder, progress).images
    seen = read_set(str(real), folder, progress)
    further = seen.further
    if floor is not None:
        given = read_set(str(floor), folder, progress).images
        further = not_among(given, seen.images)
        if len(further) < len(given):
            progress.say(f"{len(given) - len(further):,} images of {floor} are also among those of {real}: left out")
    check_sets(seen.images, made, count)
    channels, height, width = made.shape[1:]
    machine = Machine.choose(Engine(), device)
    with machine.running():
        eyes = open_eyes((channels, height, width), inception, dimensions, resizing, folder, machine.device, progress)
        return compare_sets(made, seen.images, further, eyes, count, progress)


def assess_run(model: Model, home: Run, split: Split, data_folder: Path | None, progress: Progress) -> Assessment:
    """A classifier's answers to a split, and its measures."""
    images = load_split(model.recipe, home, split, resolve_data_folder(data_folder), progress)
    return assess_classifier(model, images, split, progress)


def _can_be_recorded(home: Run, progress: Progress) -> bool:
    """Whether measures can be written into their run; if not, says so before they are taken, for they can be shown."""
    if home.folder.parent == zoo.FOLDER:
        progress.say(f"not recorded: {home.name} is shipped and keeps the record of its own final evaluation")
        return False
    try:
        home.require_writable("the measures are only shown")
    except RunError as error:
        progress.say(f"not recorded: {error}")
        return False
    return True


def _record(home: Run, answers: str, write: Callable[[], None], progress: Progress) -> None:
    """Writes measures into their run, if it still answers as when they were taken; otherwise they are only shown."""
    if home.answers() != answers:
        progress.say(f"not recorded: {home.folder} answers otherwise since these measures were begun; measure it again")
        return
    try:
        write()
    except OSError as error:
        progress.say(f"not recorded: {error}")
