"""How good a generator is: samples of several seeds against real images, beside what other real images would get."""

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring.core.errors import DataError, require_at_least
from shoestring.core.image_grid import grid
from shoestring.core.measured_here import remember_measured
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.core.run import Run
from shoestring.data.dataset import Split
from shoestring.evaluation.extractors import FeatureExtractors
from shoestring.metrics.features.cache import extract_once
from shoestring.metrics.generative.knn import knn
from shoestring.metrics.generative.memorization import memorisation, nearest
from shoestring.metrics.generative.path_smoothness import smoothness
from shoestring.metrics.generative.real_baseline import real_baseline_metrics
from shoestring.metrics.generative.suite import FEWEST, TOO_FEW, ImageFeatures, check_size, distances, scores
from shoestring.metrics.score import GenerativeMetric, as_generative_metrics, over_seeds, with_real_baseline
from shoestring.metrics.statistics import Metric
from shoestring.model.generator import Generator
from shoestring.model.run_splits import load_split

COUNT = 10_000  # images of each kind in the protocol of the papers
COMPARED = 1000  # samples whose nearest training images are looked for
PAIRS, STEPS = 64, 8  # interpolations whose smoothness is measured; as many steps as the papers show
SHOWN, NEIGHBOURS = 16, 3


@dataclass(frozen=True)
class GeneratorEvaluation:
    """What was measured of a generator.

    Attributes:
        split: The split of the real images.
        sections: Scores by section: the split's name and, beside test, "train" for the distances to train images.
        neighbours: Samples, each followed by its nearest training images, uint8 (n (1 + NEIGHBOURS), c, h, w).
        source: Where the real images came from.
    """

    split: Split
    sections: dict[str, dict[str, GenerativeMetric]]
    neighbours: Tensor
    source: str


def evaluate_generator(
    model: Generator,
    folder: Path,
    split: Split,
    open_extractors: Callable[[], FeatureExtractors],
    progress: Progress,
    count: int | None = None,
    seeds: int = 1,
    class_name: str | None = None,
    run: Run | None = None,
) -> GeneratorEvaluation:
    """All scores of a generator on a split, averaged over sampling seeds 0, 1, ….

    Images go through uint8, as they would be saved. The baseline of every metric is what as many train images get in
    place of the samples.

    Args:
        model: The generator.
        folder: The data folder.
        split: "test"; or "tune" or "train" to choose anything by. On train, some images are compared with, and as many
            others give the baseline; nothing says there how near real images come to train that were not trained on, so
            that no score of copying is given.
        open_extractors: Gives the extractors, as soon as there is something to measure.
        progress: Reports everything, since it takes minutes.
        count: Samples of each seed, and real images; by default 10,000, or all of the split when it has fewer.
        seeds: How many samplings.
        class_name: The class of all samples, "" for none in particular; by default every class in turn.
        run: The generator's, which knows whether the splits are still those that it was trained with.

    Raises:
        RunError: The run was trained on images of the split.
        RecipeError: There is no such class, or the generator knows of none.
        DataError: The split or train has fewer images than `count`, or `count` is too small to measure anything.
        DivergedError: A generated image is not finite.
    """
    require_at_least(1, seeds=seeds)
    check_size(model.recipe.data.shape)
    loaded = load_split(model.recipe, run, split, folder, progress)
    if split == "train":
        train = loaded.images
        order = torch.randperm(len(train), generator=generator(0, "halves of train"))
        n = _count(count, len(train) // 2, len(train) // 2, "half of train")
        chosen, others = train[order[:n]], train[order[n : 2 * n]]
    else:
        train = load_split(model.recipe, run, "train", folder, progress).images
        n = _count(count, len(loaded), len(train), split)
        chosen, others = _some(loaded.images, n, "real images"), _some(train, n, "further real images")
    labels = model.labels(n, class_name)
    extractors = open_extractors()
    naming = extractors.naming
    real, further = extractors.extract(chosen, progress), extractors.extract(others, progress)
    real_baseline = real_baseline_metrics(real, further, naming, extractors.cache, progress)
    samplings: list[dict[str, GenerativeMetric]] = []
    to_train: list[dict[str, GenerativeMetric]] = []
    first: ImageFeatures | None = None
    with progress.task("samplings", seeds) as advance:
        for seed in range(seeds):
            fake = extractors.extract(model.sample(n, seed, progress, labels), progress)
            samplings.append(scores(real, fake, naming, progress))
            to_train.append(distances(further, fake, naming, progress))
            first = first or fake
            advance()
    assert first is not None
    found = with_real_baseline(over_seeds(samplings), real_baseline)
    if model.recipe.augment.horizontal_flip:  # a mirrored copy is a copy
        train = torch.cat([train, train.flip(-1)])
    held_out = None if split == "train" else real  # train images are their own nearest, whichever of them are chosen
    copies, pictures = _neighbours(first, held_out, train, extractors, progress)
    paths = model.interpolate(PAIRS, STEPS, seed=0, progress=progress)
    found |= copies | as_generative_metrics(smoothness(paths).metrics)
    sections = {split: found}
    if split == "test":
        # These distances are symmetric, so that test images get the same to train images as these to them.
        sections["train"] = with_real_baseline(over_seeds(to_train), real_baseline)
    return GeneratorEvaluation(split, sections, pictures, loaded.source)


def record_generator(run: Run, found: GeneratorEvaluation, progress: Progress, *, one_call: bool = False) -> None:
    """Writes an evaluation into its run, and a picture of samples beside their nearest training images.

    A record of more images, or of as many in more samplings, stays; one of fewer is replaced as a whole.

    Args:
        run: The run.
        found: What was measured.
        progress: Reports what is not recorded.
        one_call: Whether the net was called once, where the run samples in another way: then the metrics stand beside
            the run's own, and there is no picture.
    """
    provenance = {"source": found.source, "measured": datetime.date.today().isoformat()}
    for section, measured in found.sections.items():
        values = {name: score.to_json() | provenance for name, score in measured.items()}
        known = run.one_call_metrics() if one_call else run.metrics()
        there, now = _extent(known.get(section, {})), _extent(values)
        if there > now:
            progress.say(
                f"not recorded: {run.folder} already holds {section} metrics of {there[0]:,} images and {there[1]} "
                f"sampling{'s' * (there[1] != 1)}"
            )
            return
        if one_call:
            run.write_one_call_metrics(section, values)
        else:
            run.write_metrics(section, values, afresh=there < now)
            remember_measured(run, section)
    if not one_call:
        run.write_bytes("samples/neighbours.png", grid(found.neighbours, columns=2 * (1 + NEIGHBOURS)))


def _extent(metrics: Mapping[str, Any]) -> tuple[int, int]:
    """Images and samplings of recorded scores."""
    return (
        max((one["n"] for one in metrics.values()), default=0),
        max((len(one.get("by_seed") or ()) for one in metrics.values()), default=0),
    )


def _count(asked: int | None, real: int, train: int, split: str) -> int:
    count = min(COUNT, real, train) if asked is None else asked
    if count > min(real, train):
        raise DataError(
            f"{count:,} images were asked for, but {split} has {real:,} and train {train:,}; distances compare equal "
            f"numbers only: --count {min(real, train)} at most"
        )
    if count < FEWEST:
        raise DataError(f"{count} images of {split} are too few: {TOO_FEW}")
    return count


def _some(images: Tensor, count: int, purpose: str) -> Tensor:
    """So many images by chance, always the same; all of them in their order when there are no more."""
    if count == len(images):
        return images
    return images[torch.randperm(len(images), generator=generator(0, purpose))[:count]]


def _neighbours(
    fake: ImageFeatures,
    held_out: ImageFeatures | None,
    train: Tensor,
    extractors: FeatureExtractors,
    progress: Progress,
) -> tuple[dict[str, GenerativeMetric], Tensor]:
    """How near samples come to training images, and a picture: the first samples, then those that come nearest.

    Nearness says something only beside that of real images that were not trained on: without them, no score is given.
    """
    samples, found = fake.images[:COMPARED], dict[str, GenerativeMetric]()
    points, targets = samples.flatten(1), train.flatten(1)
    with progress.task("nearest training images", 2) as advance:
        if held_out is None:
            nearness = nearest(points, targets).distances
        else:
            close = memorisation(points, held_out.images[:COMPARED].flatten(1), targets)
            found |= _copying(close.metrics, "_pixels", None, len(train))
            nearness = close.generated.distances
        advance()
        if extractors.classifier and held_out is not None and fake.fast is not None and held_out.fast is not None:
            targets = extract_once(
                extractors.classifier.extractor, train, extractors.cache, progress, extractors.batch_size
            )
            points = fake.fast.features[:COMPARED]
            close = memorisation(points, held_out.fast.features[:COMPARED], targets)
            found |= _copying(close.metrics, "_cifar_resnet", extractors.naming.fast, len(train))
            nearness = close.generated.distances
        advance()
    half = SHOWN // 2
    closest = nearness[half:].argsort(stable=True)[: SHOWN - half] + half
    chosen = torch.cat([torch.arange(half), closest])
    indices, _ = knn(points[chosen], targets, NEIGHBOURS)
    rows = torch.cat([samples[chosen][:, None], train[indices]], dim=1)
    return found, rows.flatten(0, 1)


def _copying(
    metrics: dict[str, Metric], suffix: str, features: str | None, n_train: int
) -> dict[str, GenerativeMetric]:
    """Metrics of memorisation; their baseline is what the held-out real images get."""
    usual = {"memorised": metrics["memorised_held_out"], "nearer_than_held_out": Metric(0.5, 0)}
    found = as_generative_metrics({name: metrics[name] for name in usual}, suffix, features, n_train)
    return with_real_baseline(found, as_generative_metrics(usual, suffix))
