"""Any generated images against real ones: sets of images as a user names them, and the scores between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from shoestring.core.config import did_you_mean
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.data.dataset import Source
from shoestring.data.image_files import read_array, read_folder
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.extractors import FeatureExtractors, Weights, open_extractors
from shoestring.live.usual import usual_progress
from shoestring.metrics.features.extractor import check_images
from shoestring.metrics.features.inception_net import Dimensions
from shoestring.metrics.features.resize import Resizing
from shoestring.metrics.generative.real_baseline import not_among, real_baseline_metrics
from shoestring.metrics.generative.suite import check_asked, check_sets, scores
from shoestring.metrics.score import GenerativeMetric, over_seeds, with_real_baseline
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import located, recipe
from shoestring.recipes.recipe import ShippedData

_KINDS: tuple[Any, ...] = get_args(ShippedData)
DATA_SETS: Mapping[str, Source] = {
    kind.model_fields["kind"].default: kind(tune=0)
    for kind in _KINDS
    if not any(field.is_required() for field in kind.model_fields.values())
}
"""By name, every kind of data that a recipe can have and that needs no path, with all of train in train."""


def compare_images(
    generated: Path | str,
    real: Path | str,
    real_baseline: Path | str | None = None,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    count: int | None = None,
    inception: Weights = None,
    dimensions: Dimensions | None = None,
    resizing: Resizing = "clean",
) -> dict[str, GenerativeMetric]:
    """The scores of any generated images against any real ones.

    Args:
        generated: A folder of images or of folders of them, a .npy or .npz file of uint8 images, or NAME:SPLIT with a
            data set, a recipe or a recipe file.
        real: The same, such as cifar100:test.
        real_baseline: The same: further real images, for the baseline of real against real images; by default train,
            when `real` is another split. Those that are among the real ones are left out.
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
    progress, folder = progress or usual_progress(), resolve_data_folder(data_folder)
    fake = read_set(str(generated), folder, progress).images
    seen = read_set(str(real), folder, progress)
    further = seen.further
    if real_baseline is not None:
        given = read_set(str(real_baseline), folder, progress).images
        further = not_among(given, seen.images)
        if len(further) < len(given):
            progress.say(
                f"{len(given) - len(further):,} images of {real_baseline} are also among those of {real}: left out"
            )
    check_sets(seen.images, fake, count)
    channels, height, width = fake.shape[1:]
    machine = Machine.choose(Engine(), device)
    with machine.running():
        extractors = open_extractors(
            (channels, height, width), inception, dimensions, resizing, folder, machine.device, progress
        )
        return compare_sets(fake, seen.images, further, extractors, count, progress)


@dataclass(frozen=True)
class ImageSet:
    """Images and where they came from.

    Attributes:
        images: uint8, (n, c, h, w).
        source: In a few words.
        further: Other real images of the same kind, for the baseline of real against real images; None when none are
            known.
    """

    images: Tensor
    source: str
    further: Tensor | None = None


def read_set(name: str, folder: Path, progress: Progress) -> ImageSet:
    """The images that a name means, grey ones as RGB.

    Args:
        name: A folder of images or of folders of them, a .npy or .npz file, or NAME:SPLIT of a data set, a recipe or a
            recipe file, such as cifar100:test or mine.toml:test.
        folder: The data folder.
        progress: Reports reading.

    Raises:
        DataError: There is no such thing, or it cannot be read.
        RecipeError: The recipe file is not valid.
    """
    path = Path(name)
    if path.suffix.lower() in (".npy", ".npz"):
        return ImageSet(read_array(path), name)
    if path.exists():
        return ImageSet(read_folder(path, progress), name)
    what, _, split = name.rpartition(":")
    if split not in ("train", "tune", "test"):
        raise DataError(
            f"{name} is no folder; give a folder of images, a .npy or .npz file, or a data set, recipe or recipe file "
            "with its split, such as cifar100:test"
        )
    source = _source(what, folder)
    loaded = source.load(split, folder, progress)
    if not len(loaded):
        raise DataError(f"{what} has no {split} split, since it holds nothing out; name another split")
    further = None if split == "train" else _colour(source.load("train", folder, progress).images)
    return ImageSet(_colour(loaded.images), f"{loaded.source}, {split}", further)


def _source(name: str, folder: Path) -> Source:
    """The data of a data set or of a recipe."""
    if name in DATA_SETS:
        return DATA_SETS[name]
    if name in RECIPES or name.endswith((".toml", ".json")):
        return located(recipe(name), folder).data
    raise DataError(
        f"{did_you_mean('data set or recipe', name, [*DATA_SETS, *RECIPES])} A recipe file ends in .toml or .json."
    )


def _colour(images: Tensor) -> Tensor:
    return images.repeat(1, 3, 1, 1) if images.shape[1] == 1 else images


def compare_sets(
    generated: Tensor,
    real: Tensor,
    further: Tensor | None,
    extractors: FeatureExtractors,
    count: int | None,
    progress: Progress,
) -> dict[str, GenerativeMetric]:
    """All scores of one set of images against another.

    Args:
        generated: What is evaluated, uint8 (n, c, h, w).
        real: What it is compared with, of the same size.
        further: Other real images, for the real-vs-real baseline; as many as generated ones are taken. None gives none.
        extractors: The extractors.
        count: Images of each to take, by chance; by default all.
        progress: Reports everything.

    Raises:
        DataError: The images are too few, of different sizes, or not uint8.
    """
    check_images(generated)
    check_images(real)
    check_sets(real, generated, count)
    if further is not None and further.shape[1:] != real.shape[1:]:
        sizes = ["x".join(map(str, images.shape[1:])) for images in (further, real)]
        raise DataError(f"the images for the baseline are {sizes[0]}, real ones {sizes[1]}; make all of one size")
    smaller = min(len(generated), len(real))
    if count is None and len(generated) != len(real):
        progress.say(
            f"{len(generated):,} generated and {len(real):,} real images: a Fréchet distance is biased by both counts; "
            f"--count {smaller} takes as many of each"
        )
    fake = extractors.extract(_some(generated, count, "generated images"), progress)
    seen = extractors.extract(_some(real, count, "real images"), progress)
    found = over_seeds([scores(seen, fake, extractors.naming, progress)])
    if further is None:
        progress.say("no baseline: name further real images with --real-baseline, or compare with a data set's split")
        return found
    if len(further) < len(fake):
        progress.say(f"no baseline: it needs {len(fake):,} further real images, and there are {len(further):,}")
        return found
    others = extractors.extract(_some(further, len(fake), "further real images"), progress)
    return with_real_baseline(found, real_baseline_metrics(seen, others, extractors.naming, extractors.cache, progress))


def _some(images: Tensor, count: int | None, purpose: str) -> Tensor:
    if count is None or count == len(images):
        return images
    return images[torch.randperm(len(images), generator=generator(0, purpose))[:count]]
