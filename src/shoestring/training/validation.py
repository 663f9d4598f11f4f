"""What is looked at during training: a classifier's answers to tune, a generator's samples beside real images."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.image_grid import grid
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
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
SCORED, SCORED_TOGETHER = 2000, 250  # images of each kind whose logits are logged, and of a batch of them


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
    logits = _logits_watch(recipe, machine, train, tune) if "discriminator" in recipe.task.phases else None

    def look(state: State) -> list[dict[str, Any]]:
        training = state.nets.training
        try:
            seen = [look_at(ema_or_raw_model(recipe, state, machine), state.step)]
            seen += [logits(state.nets.eval())] if logits else []
            return [record for record in seen if record is not None]
        finally:
            state.nets.train(training)

    def look_at(model: Model, step: int) -> dict[str, Any] | None:
        if isinstance(model, Generator):
            samples = model.sample(PROGRESS_SAMPLES, seed=0, progress=Progress())
            run.write_bytes(f"samples/step-{step:08d}.png", grid(samples, columns=8))
            return distance(model)
        if tune is None:
            return None
        given = predictions(
            model.with_views(1).logits_of_normalised, batches(tune, recipe.normalisation, 500, machine.device)
        )
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


def _logits_watch(
    recipe: Recipe, machine: Machine, train: Images, tune: Images | None
) -> Callable[[nn.ModuleDict], dict[str, Any]]:
    """A function that gives the log's record of the discriminator's mean logit of train, of tune and of made images.

    Where nothing is held out, "tune" is missing. Images are seen without augmentation, and are the same at every call,
    as are the latent vectors; the nets are those that learn, not their EMA weights. Once images are learnt by heart,
    the logit of tune leaves that of train (arXiv 2006.06676, fig. 1).
    """
    real = {"train": train} | ({} if tune is None else {"tune": tune})
    count = min(SCORED, *map(len, real.values()))
    real = {split: _evenly(images, count) for split, images in real.items()}

    def watch(nets: nn.ModuleDict) -> dict[str, Any]:
        sampler = recipe.task.sampler(nets, machine, mirrored=recipe.augment.horizontal_flip)
        found: dict[str, list[Tensor]] = {name: [] for name in (*real, "generated")}
        draws = generator(recipe.seed, "logits")
        with torch.no_grad(), machine.autocast():
            for split, images in real.items():
                for batch in batches(images, recipe.normalisation, SCORED_TOGETHER, machine.device):
                    found[split].append(sampler.score(batch["images"], batch["labels"]))
                    if split == "train":
                        latents = torch.randn(len(batch["labels"]), *recipe.latent_shape, generator=draws)
                        made = sampler.generate(latents.to(machine.device), batch["labels"])
                        found["generated"].append(sampler.score(made, batch["labels"]))
        mean = {name: float(torch.cat(logits).double().mean()) for name, logits in found.items()}
        return {"kind": "logits", "n": count, "mean": mean}

    return watch


def _evenly(images: Images, count: int) -> Images:
    """So many images of a split, evenly spaced, since a folder's are in the order of their classes."""
    chosen = torch.arange(count) * len(images) // count
    return Images(images.images[chosen], images.labels[chosen], images.source)


def _features(extractor: FunctionExtractor, images: Tensor) -> FeatureSet:
    return FeatureSet(extract(extractor, images, Progress()), identity(extractor))
