"""Sets of images as a user names them, and the scores of one against another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from shoestring.data.addnist import AddNIST
from shoestring.data.cifar100 import CIFAR100
from shoestring.data.images import Source
from shoestring.errors import DataError
from shoestring.measure.arrays import read_array
from shoestring.measure.features import check_images
from shoestring.measure.floor import floor_scores
from shoestring.measure.generated import check_sets, scores
from shoestring.measure.pictures import read_folder
from shoestring.measure.score import Score, over_seeds, with_floor
from shoestring.progress import Progress
from shoestring.recipes.recipe import Recipe
from shoestring.rng import generator
from shoestring.spec import unknown
from shoestring.training.extractors import Eyes

SETS: Mapping[str, Callable[[], Source]] = {"cifar100": lambda: CIFAR100(tune=0), "addnist": lambda: AddNIST(tune=0)}
"""Data sets by name, with all of train in train."""


@dataclass(frozen=True)
class ImageSet:
    """Images and where they came from.

    Attributes:
        images: uint8, (n, c, h, w).
        source: In a few words.
        further: Other real images of the same kind, to find the floor with; None when none are known.
    """

    images: Tensor
    source: str
    further: Tensor | None = None


def read_set(name: str, recipes: Mapping[str, Callable[[], Recipe]], folder: Path, progress: Progress) -> ImageSet:
    """The images that a name means.

    Args:
        name: A folder of PNG files, a .npy or .npz file, or NAME:SPLIT of a data set or recipe, such as cifar100:test.
        recipes: Recipes by name.
        folder: The data folder.
        progress: Told of reading.

    Raises:
        DataError: There is no such thing, or it cannot be read.
    """
    path = Path(name)
    if path.suffix in (".npy", ".npz"):
        return ImageSet(read_array(path), name)
    if path.exists():
        return ImageSet(read_folder(path, progress), name)
    what, _, split = name.partition(":")
    if split not in ("train", "tune", "test"):
        raise DataError(
            f"{name} is no folder; give a folder of PNG files, a .npy or .npz file, or a data set or recipe with its "
            "split, such as cifar100:test"
        )
    if what not in {*SETS, *recipes}:
        raise DataError(unknown("data set or recipe", what, [*SETS, *recipes]))
    source: Source = SETS[what]() if what in SETS else recipes[what]().data
    loaded = source.load(split, folder, progress)
    further = None if split == "train" else source.load("train", folder, progress).images
    return ImageSet(loaded.images, f"{loaded.source}, {split}", further)


def compare_sets(
    generated: Tensor, real: Tensor, further: Tensor | None, eyes: Eyes, count: int | None, progress: Progress
) -> dict[str, Score]:
    """All scores of one set of images against another.

    Args:
        generated: What is judged, uint8 (n, c, h, w).
        real: What it is compared with, of the same size.
        further: Other real images, to find the floor with; as many as generated ones are taken. None gives no floor.
        eyes: The extractors.
        count: Images of each to take, by chance; by default all.
        progress: Told of everything.

    Raises:
        DataError: The images are too few, of different sizes, or not uint8.
    """
    check_images(generated)
    check_images(real)
    check_sets(real, generated, count)
    if further is not None and further.shape[1:] != real.shape[1:]:
        sizes = ["x".join(map(str, images.shape[1:])) for images in (further, real)]
        raise DataError(f"the images for the floor are {sizes[0]}, real ones {sizes[1]}; make all of one size")
    smaller = min(len(generated), len(real))
    if count is None and len(generated) != len(real):
        progress.say(
            f"{len(generated):,} generated and {len(real):,} real images: a Fréchet distance is biased by both counts; "
            f"--count {smaller} takes as many of each"
        )
    made = eyes.see(_some(generated, count, "generated images"), progress)
    seen = eyes.see(_some(real, count, "real images"), progress)
    found = over_seeds([scores(seen, made, eyes.naming, progress)])
    if further is None:
        progress.say("no floor: name further real images with --floor, or compare with a data set's split")
        return found
    if len(further) < len(made):
        progress.say(f"no floor: it needs {len(made):,} further real images, and there are {len(further):,}")
        return found
    others = eyes.see(_some(further, len(made), "further real images"), progress)
    return with_floor(found, floor_scores(seen, others, eyes.naming, eyes.cache, progress))


def _some(images: Tensor, count: int | None, purpose: str) -> Tensor:
    if count is None or count == len(images):
        return images
    return images[torch.randperm(len(images), generator=generator(0, purpose))[:count]]
