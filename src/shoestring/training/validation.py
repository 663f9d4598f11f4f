"""What is looked at during training: a classifier's answers to tune, a generator's samples beside real images."""

from collections.abc import Callable
from functools import cache
from typing import Any

from torch import Tensor

from shoestring.core.device import Machine
from shoestring.core.image_grid import grid
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Images, Split
from shoestring.data.loader import batches
from shoestring.evaluation.extractors import open_classifier_extractor
from shoestring.metrics.classification import classification_metrics, predictions
from shoestring.metrics.features.extractor import FeatureSet, FunctionExtractor, extract, identity
from shoestring.metrics.generative.suite import FEWEST, cifar_resnet_fd
from shoestring.model.bn_recalibration import ema_or_raw_model
from shoestring.model.generator import Generator
from shoestring.model.model import Model
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe
from shoestring.training.loop import Validate

PROGRESS_SAMPLES = 64  # samples in a progress picture, always of the same latent vectors
SAMPLES, FEW_SAMPLES = 2000, 500  # of which the CIFAR-ResNet FD is taken; few where NFE is high


def make_validator(recipe: Recipe, run: Run, machine: Machine, train: Images, tune: Images | None) -> Validate:
    """The function that the loop calls now and then; it leaves the state as it was.

    Args:
        recipe: What is trained.
        run: Where pictures go.
        machine: Where the nets are.
        train: What is learnt from; samples are compared with these where nothing is held out.
        tune: What is held out, None if nothing is.
    """
    split: Split = "train" if tune is None else "tune"
    distance = _distance_watch(recipe, machine, split, train if tune is None else tune)

    def look(state: State) -> dict[str, Any] | None:
        training = state.nets.training
        try:
            return look_at(ema_or_raw_model(recipe, state, machine), state.step)
        finally:
            state.nets.train(training)

    def look_at(model: Model, step: int) -> dict[str, Any] | None:
        if isinstance(model, Generator):
            samples = model.sample(PROGRESS_SAMPLES, seed=0, progress=Progress())
            run.write_bytes(f"samples/step-{step:08d}.png", grid(samples, columns=8))
            return distance(model)
        if tune is None:
            return None
        given = predictions(model.logits_of_normalised, batches(tune, recipe.normalisation, 500, machine.device))
        metrics = classification_metrics(given, len(recipe.data.classes))
        mean = {name: metrics[name].value for name in ("loss", "accuracy", "balanced_accuracy") if name in metrics}
        return {"kind": "tune", "n": len(tune), "mean": mean}

    return look


def _distance_watch(
    recipe: Recipe, machine: Machine, split: Split, images: Images
) -> Callable[[Generator], dict[str, Any] | None]:
    """A function that gives the log's record of the CIFAR-ResNet FD of a generator's samples to images of a split.

    It gives None where these are too few, or the shipped classifier is not there or sees images of another shape.
    Every call takes the same latent vectors and the same real images.
    """
    count = min(max(FEW_SAMPLES, SAMPLES // max(recipe.task.nfe, 1)), len(images))

    @cache
    def judge() -> tuple[FunctionExtractor, FeatureSet] | None:
        found = open_classifier_extractor(recipe.data.shape, machine.device) if count >= FEWEST else None
        return found and (found.extractor, _features(found.extractor, images.images[:count]))

    def watch(model: Generator) -> dict[str, Any] | None:
        eye = judge()
        if eye is None:
            return None
        extractor, real = eye
        fake = _features(extractor, model.sample(count, seed=0, progress=Progress()))
        return {
            "kind": "distance",
            "to": split,
            "n": count,
            "mean": {"cifar_resnet_fd": cifar_resnet_fd(real, fake).value},
        }

    return watch


def _features(extractor: FunctionExtractor, images: Tensor) -> FeatureSet:
    return FeatureSet(extract(extractor, images, Progress()), identity(extractor))
