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
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.core.run import Run
from shoestring.data.dataset import Split
from shoestring.evaluation.extractors import Eyes
from shoestring.metrics.features.cache import extract_once
from shoestring.metrics.generative.knn import nearest_few
from shoestring.metrics.generative.memorization import memorisation, nearest
from shoestring.metrics.generative.path_smoothness import smoothness
from shoestring.metrics.generative.real_baseline import floor_scores
from shoestring.metrics.generative.suite import FEWEST, TOO_FEW, Seen, check_size, distances, scores
from shoestring.metrics.score import Score, as_scores, over_seeds, with_floor
from shoestring.metrics.statistics import Measure
from shoestring.model.model import Model
from shoestring.model.run_splits import load_split

COUNT = 10_000  # images of each kind in the protocol of the papers
COMPARED = 1000  # samples whose nearest training images are looked for
PAIRS, STEPS = 64, 8  # interpolations whose smoothness is measured; as many steps as the papers show
SHOWN, NEIGHBOURS = 16, 3


@dataclass(frozen=True)
class GeneratorAssessment:
    """What was measured of a generator.

    Attributes:
        split: The split of the real images.
        sections: Scores by section: the split's name and, beside test, "train" for the distances to train images.
        neighbours: Samples, each followed by its nearest training images, uint8 (n (1 + NEIGHBOURS), c, h, w).
        source: Where the real images came from.
    """

    split: Split
    sections: dict[str, dict[str, Score]]
    neighbours: Tensor
    source: str


def assess_generator(
    model: Model,
    folder: Path,
    split: Split,
    open_eyes: Callable[[], Eyes],
    progress: Progress,
    count: int | None = None,
    seeds: int = 1,
    class_name: str | None = None,
    run: Run | None = None,
) -> GeneratorAssessment:
    """All scores of a generator on a split, averaged over sampling seeds 0, 1, ….

    Images go through uint8, as they would be saved. The floor of every score is what as many train images get in place
    of the samples.

    Args:
        model: The generator.
        folder: The data folder.
        split: "test"; or "tune" or "train" to choose anything by. On train, some images are compared with, and as many
            others give the floor; nothing says there how near real images come to train that were not trained on, so
            that no score of copying is given.
        open_eyes: Gives the extractors, as soon as there is something to measure.
        progress: Told of everything, since it takes minutes.
        count: Samples of each seed, and real images; by default 10,000, or all of the split when it has fewer.
        seeds: How many samplings.
        class_name: The class of all samples, "" for none in particular; by default every class in turn.
        run: The generator's, which knows whether the splits are still those that it was trained with.

    Raises:
        RunError: The run was trained on images of the split.
        RecipeError: There is no such class, or the generator knows of none.
        DataError: The split or train has fewer images than `count`, or `count` is too small to measure anything.
        DivergedError: A made image is not finite.
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
    eyes = open_eyes()
    naming = eyes.naming
    real, further = eyes.see(chosen, progress), eyes.see(others, progress)
    floor = floor_scores(real, further, naming, eyes.cache, progress)
    samplings: list[dict[str, Score]] = []
    to_train: list[dict[str, Score]] = []
    first: Seen | None = None
    with progress.task("samplings", seeds) as advance:
        for seed in range(seeds):
            made = eyes.see(model.sample(n, seed, progress, labels), progress)
            samplings.append(scores(real, made, naming, progress))
            to_train.append(distances(further, made, naming, progress))
            first = first or made
            advance()
    assert first is not None
    found = with_floor(over_seeds(samplings), floor)
    if model.recipe.augment.horizontal_flip:  # a mirrored copy is a copy
        train = torch.cat([train, train.flip(-1)])
    held_out = None if split == "train" else real  # train images are their own nearest, whichever of them are chosen
    copies, pictures = _neighbours(first, held_out, train, eyes, progress)
    paths = model.interpolate(PAIRS, STEPS, seed=0, progress=progress)
    found |= copies | as_scores(smoothness(paths).measures)
    sections = {split: found}
    if split == "test":
        # These distances are symmetric, so that test images get the same to train images as these to them.
        sections["train"] = with_floor(over_seeds(to_train), floor)
    return GeneratorAssessment(split, sections, pictures, loaded.source)


def record_generator(run: Run, found: GeneratorAssessment, progress: Progress) -> None:
    """Writes an assessment into its run, and a picture of samples beside their nearest training images.

    A record of more images, or of as many in more samplings, stays; one of fewer is replaced as a whole.

    Args:
        run: The run.
        found: What was measured.
        progress: Told of what is not recorded.
    """
    facts = {"source": found.source, "measured": datetime.date.today().isoformat()}
    for section, measured in found.sections.items():
        values = {name: score.to_json() | facts for name, score in measured.items()}
        there, now = _extent(run.measures().get(section, {})), _extent(values)
        if there > now:
            progress.say(
                f"not recorded: {run.folder} already holds {section} measures of {there[0]:,} images and {there[1]} "
                f"sampling{'s' * (there[1] != 1)}"
            )
            return
        run.write_measures(section, values, afresh=there < now)
    run.write_bytes("samples/neighbours.png", grid(found.neighbours, columns=2 * (1 + NEIGHBOURS)))


def _extent(measures: Mapping[str, Any]) -> tuple[int, int]:
    """Images and samplings of recorded scores."""
    return (
        max((one["n"] for one in measures.values()), default=0),
        max((len(one.get("by_seed") or ()) for one in measures.values()), default=0),
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
    made: Seen, held_out: Seen | None, train: Tensor, eyes: Eyes, progress: Progress
) -> tuple[dict[str, Score], Tensor]:
    """How near samples come to training images, and a picture: the first samples, then those that come nearest.

    Nearness says something only beside that of real images that were not trained on: without them, no score is given.
    """
    samples, found = made.images[:COMPARED], dict[str, Score]()
    points, targets = samples.flatten(1), train.flatten(1)
    with progress.task("nearest training images", 2) as advance:
        if held_out is None:
            nearness = nearest(points, targets).distances
        else:
            close = memorisation(points, held_out.images[:COMPARED].flatten(1), targets)
            found |= _copying(close.measures, "_pixels", None, len(train))
            nearness = close.generated.distances
        advance()
        if eyes.judge and held_out is not None and made.fast is not None and held_out.fast is not None:
            targets = extract_once(eyes.judge.extractor, train, eyes.cache, progress, eyes.batch_size)
            points = made.fast.features[:COMPARED]
            close = memorisation(points, held_out.fast.features[:COMPARED], targets)
            found |= _copying(close.measures, "_fast", eyes.naming.fast, len(train))
            nearness = close.generated.distances
        advance()
    half = SHOWN // 2
    closest = nearness[half:].argsort(stable=True)[: SHOWN - half] + half
    chosen = torch.cat([torch.arange(half), closest])
    indices, _ = nearest_few(points[chosen], targets, NEIGHBOURS)
    rows = torch.cat([samples[chosen][:, None], train[indices]], dim=1)
    return found, rows.flatten(0, 1)


def _copying(measures: dict[str, Measure], suffix: str, features: str | None, n_train: int) -> dict[str, Score]:
    """Scores of memorisation whose floor is what the held-out real images get."""
    usual = {"memorised": measures["memorised_held_out"], "nearer_than_held_out": Measure(0.5, 0)}
    found = as_scores({name: measures[name] for name in usual}, suffix, features, n_train)
    return with_floor(found, as_scores(usual, suffix))
