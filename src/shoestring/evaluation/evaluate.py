"""What is measured: a run or shipped weights on a split, and where that is recorded."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack

from shoestring.core.config import did_you_mean
from shoestring.core.errors import RecipeError, RunError, require_at_least
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Split, holds_out
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.classifier import ClassifierEvaluation, evaluate_classifier, record_classifier
from shoestring.evaluation.extractors import FeatureExtractors, Weights, open_extractors
from shoestring.evaluation.generator import evaluate_generator, record_generator
from shoestring.hub.fetch import is_fetched
from shoestring.live.usual import usual_progress
from shoestring.metrics.features.inception_net import Dimensions
from shoestring.metrics.features.resize import Resizing
from shoestring.metrics.generative.suite import check_asked
from shoestring.metrics.statistics import Metric
from shoestring.model.classifier import Classifier
from shoestring.model.code import allow_code
from shoestring.model.generator import Generator
from shoestring.model.load import file_name, is_fixed, load, open_run, recipe_of
from shoestring.model.model import Model
from shoestring.model.run_splits import load_split
from shoestring.recipes.recipe import Recipe

Found = TypeVar("Found")


class GeneratorOptions(TypedDict, total=False):
    """What `evaluate` takes of a generator besides what it takes of every run."""

    count: int | None
    """Samples, and as many real images; by default 10,000, or the whole split if it has fewer."""
    seeds: int
    """Samplings to average over; by default 1."""
    inception: Weights
    """A file with the FID Inception; "none" does without; by default the official file in the data folder, downloaded
    when it is not there."""
    dimensions: Dimensions | None
    """Inception's features per image; by default 2,048, or 768 if the file ends there."""
    resizing: Resizing
    """How images are brought to Inception's size; by default "clean"."""
    class_name: Literal["none"] | None
    """"none" gives a conditional generator no class, or a random one if it was always given one; by default every class
    in turn."""
    sampling: Mapping[str, Any] | None
    """Options of the recipe's `task.sampling` to change, such as {"steps": 18}."""


def evaluate(
    what: Path | str,
    split: Split = "test",
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    ema_decay: float | None = None,
    trust_code: bool = False,
    views: int | None = None,
    **of_generator: Unpack[GeneratorOptions],
) -> dict[str, Metric]:
    """Metrics of a run, or of shipped weights by recipe name, on a split; recorded in the run.

    Not recorded are those of a run that is shipped, not finished or may not be written to, of other weights or another
    way of sampling than the run's own, nor a generator's of fewer images or samplings than are recorded already. One
    call of a GAN's generator, or of a classifier, is recorded beside the run's own way.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        split: "test" for the final figure, "tune" to choose anything by; of a generator also "train" for that, where
            all images were trained on.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports everything that takes time.
        ema_decay: Of EMA weights that the run kept, to evaluate in place of its final weights.
        trust_code: Allow the code that the run keeps to run, for this process.
        views: Of each image by which a classifier answers; by default as the recipe says.
        of_generator: As `GeneratorOptions` says; a classifier takes none.

    Returns:
        By name; of a generator on test also the distances to train images, as "train/NAME".

    Raises:
        RunError: The run is not finished and the split is "test", or was trained on images of the split, or there are
            no such weights, or none are kept, or another process writes into the run in which the metrics would be
            recorded.
        RecipeError: The split is "tune" and the run held nothing out; or options of generators for a classifier.
        DataError: There are too few images, or a file is missing or damaged, or Inception has no such features.
        ShoestringError: A count is below 1.
    """
    progress, folder = progress or usual_progress(), resolve_data_folder(data_folder)
    home = open_run(what, progress)
    if trust_code:
        allow_code(home)
    recipe = recipe_of(home)
    home.require_weights_kept()
    if strange := sorted(of_generator.keys() - GeneratorOptions.__annotations__.keys()):
        raise RecipeError(
            f"{did_you_mean('option', strange[0], GeneratorOptions.__annotations__)} Options of the sampler go into "
            f"sampling, such as sampling={{{strange[0]!r}: …}}"
        )
    _require_split(str(what), home, recipe, split)
    answers_digest = home.answers_digest() if home.has_weights() else ""
    asked = _Asked(home, split, folder, device, progress, ema_decay, answers_digest)
    if recipe.makes_images:
        if views is not None:
            raise RecipeError(f"{recipe.name} makes images; views are for classifiers")
        return _of_generator(asked, **of_generator)
    if of_generator:
        raise RecipeError(
            f"{recipe.name} classifies images, and all of {split} is answered; {' and '.join(of_generator)} "
            f"{'is' if len(of_generator) == 1 else 'are'} for generators"
        )
    return _of_classifier(asked, views)


def _require_split(what: str, home: Run, recipe: Recipe, split: Split) -> None:
    if split == "test" and not home.has_weights():
        raise RunError(
            f"{what} is not finished, and test is looked at once, at the end; look at --split tune until then, or of a "
            "generator at --split train"
        )
    if split == "tune" and not holds_out(recipe.data):
        raise RecipeError(
            f"{what} was trained on all of train (data.tune is 0), so it has no tune split; use --split test"
        )
    if split == "train" and not recipe.makes_images:
        raise RecipeError(
            "a classifier knows its training images: choose by --split tune, of a run that holds some out"
        )


def _of_classifier(asked: "_Asked", views: int | None) -> dict[str, Metric]:
    loaded = asked.loaded()
    assert isinstance(loaded, Classifier)
    model = loaded.with_views(views)
    one_call = model.recipe.task.nfe == 1 < loaded.recipe.task.nfe
    found = asked.found(
        model,
        lambda: evaluate_run(model, asked.home, asked.split, asked.folder, asked.progress),
        lambda found: record_classifier(asked.home, found, model.recipe.data.classes, one_call=one_call),
        own=one_call or model is loaded,
    )
    return found.metrics


def _of_generator(
    asked: "_Asked",
    *,
    count: int | None = None,
    seeds: int = 1,
    inception: Weights = None,
    dimensions: Dimensions | None = None,
    resizing: Resizing = "clean",
    class_name: Literal["none"] | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> dict[str, Metric]:
    require_at_least(1, seeds=seeds)
    check_asked(count, dimensions, resizing)
    loaded, folder, progress = asked.loaded(), asked.folder, asked.progress
    assert isinstance(loaded, Generator)
    model = loaded.with_sampling(sampling)
    # What a GAN leaves with when it is exported: worth a record of its own.
    one_call = _by_one_call(model.recipe, loaded.recipe)
    shape, place = model.recipe.data.shape, model.machine.device

    def extractors() -> FeatureExtractors:
        return open_extractors(shape, inception, dimensions, resizing, folder, place, progress)

    name = "" if class_name == "none" else class_name  # also where a class is called none
    found = asked.found(
        model,
        lambda: evaluate_generator(model, folder, asked.split, extractors, progress, count, seeds, name, asked.home),
        lambda found: record_generator(asked.home, found, progress, one_call=one_call),
        own=asked.split != "train" and class_name is None and (one_call or model.sampling == loaded.sampling),
    )
    beside = found.sections.get("train", {}) if asked.split == "test" else {}
    return {**found.sections[asked.split], **{f"train/{name}": score for name, score in beside.items()}}


def _by_one_call(recipe: Recipe, own: Recipe) -> bool:
    """Whether images are made as by an export of a GAN's own recipe: by one call, where it takes more itself."""
    if recipe.task.net_output != "images" or own.task.net_output != "images":
        return False
    once = recipe.task.nfe == 1 < own.task.nfe
    return once and recipe.task.sampling.truncation == own.task.sampling.truncation


@dataclass(frozen=True)
class _Asked:
    """A run that is evaluated on a split: its model, and where its metrics go."""

    home: Run
    split: Split
    folder: Path
    device: str | None
    progress: Progress
    ema_decay: float | None
    answers_digest: str
    """Of its weights and sampler before they were read; none before it is finished."""

    def loaded(self) -> Model:
        """The model of the run, with the weights asked for."""
        return load(self.home, self.device, self.ema_decay, self.progress)

    def found(
        self, model: Model, evaluated: Callable[[], Found], write: Callable[[Found], None], *, own: bool
    ) -> Found:
        """What an evaluation finds, written into the run where it is of its final weights and can be kept.

        Args:
            model: That is evaluated.
            evaluated: Takes the metrics.
            write: Writes them into the run.
            own: Whether the model answers as the run's own does, or by one call.
        """
        recorded = (
            own and self.ema_decay is None and self.home.has_weights() and _can_be_recorded(self.home, self.progress)
        )
        if self.split == "test" and holds_out(model.recipe.data) and "test" not in self.home.metrics():
            self.progress.say("this is the first look at test, the final figure; to choose by, there is --split tune")
        with self.home.locked(self.progress) if recorded else nullcontext(), model.machine.running():
            found = evaluated()
            if recorded:
                _record(self.home, self.answers_digest, lambda: write(found), self.progress)
        return found


def evaluate_run(model: Classifier, home: Run, split: Split, folder: Path, progress: Progress) -> ClassifierEvaluation:
    """A classifier's answers to a split that its run was not trained on, and its metrics."""
    images = load_split(model.recipe, home, split, folder, progress)
    return evaluate_classifier(model, images, split, progress)


def _can_be_recorded(home: Run, progress: Progress) -> bool:
    """Whether metrics can be written into their run; if not, says so before they are taken, for they can be shown."""
    if is_fixed(home):
        kept = f"{file_name(home)} is {'of the hub' if is_fetched(home) else 'shipped or packed'}"
        progress.say(f"not recorded: {kept} and keeps the record of its own final evaluation")
        return False
    try:
        home.require_writable("the metrics are only shown")
    except RunError as error:
        progress.say(f"not recorded: {error}")
        return False
    return True


def _record(home: Run, answers_digest: str, write: Callable[[], None], progress: Progress) -> None:
    """Writes metrics into their run, if its weights and sampler are still those evaluated; else they are only shown."""
    if home.answers_digest() != answers_digest:
        progress.say(
            f"not recorded: {home.folder} has other weights or another sampler since this began; evaluate it again"
        )
        return
    try:
        write()
    except OSError as error:
        progress.say(f"not recorded: {error}")
