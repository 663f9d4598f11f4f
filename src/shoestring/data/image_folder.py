"""The user's own images: a folder per class."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt

from shoestring.core.config import FirstDefault, Spec
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.columns import Columns
from shoestring.data.dataset import SPLITS, Images, Split
from shoestring.data.decode import Decoder, read
from shoestring.data.folder_layout import Listing, class_names, listing, said
from shoestring.data.image_cache import ReadImage
from shoestring.data.image_reader import BadFile, read_images, require_sound
from shoestring.data.label_table import is_table
from shoestring.data.paths import data_folder
from shoestring.data.splits import content_below, content_order, hold_out

TUNE_FRACTION = 0.1  # of what is not test, where neither the folder nor the recipe says what to hold out


class ImageFolder(Spec):
    """Images in PATH/CLASS/*, or in PATH/train/CLASS/* with PATH/test/CLASS/*, PATH/val/CLASS/* or both.

    Classes are the subfolders of train (or of PATH), sorted by name; files that are no images by their endings and
    hidden ones are passed over. Whether an image is carved out for test or, by default, for tune depends on a hash of
    its upright pixels alone: no other image, name or way to save it without loss moves it. Copies of the same pixels
    share a split.
    """

    kind: Literal["folder"] = "folder"
    path: Path
    """The folder, or a CSV of files and labels: absolute, below the data folder, or where the command runs. A folder
    that has moved since is also found by its name in the data folder, or as the data folder."""
    size: PositiveInt = 32
    """Height and width in pixels: the shorter side is resized to it, with antialiasing, and the centre kept."""
    channels: Literal[1, 3] = 3
    """3: all images become RGB. 1: they become grey, each pixel the rounded mean of its three."""
    tune: Annotated[NonNegativeInt | None, FirstDefault(0)] = None
    """Images held out of train, in proportion to the classes. By default the folder's own val or valid, or else about a
    tenth of train."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """About which part of the images is the test set when the folder has none of its own."""
    split_seed: NonNegativeInt = 0
    """Another seed holds out other images."""
    skip_bad: bool = False
    """Go on without files that cannot be read."""
    names: tuple[str, ...] = ()
    """Class names by label; read from the folder when not given."""
    reading: Annotated[Literal[0, 1, 2], FirstDefault(1)] = 2
    """How files are read: 2; 1 and 0 as former versions did, for runs of theirs. 2 decodes large JPEGs to a part of
    their size, knows more layouts, and takes images from folders inside those of classes. 0 divides by rank."""

    image_column: str = ""
    """Of a data set in tables, the column with the images; of shards, the ending of the images. By default found."""
    label_column: str = ""
    """Of a data set in tables, the column with the labels; of shards, their ending or their key in the JSON. By default
    found."""

    @property
    def columns(self) -> Columns:
        """The columns of a data set that are named."""
        return Columns(self.image_column, self.label_column)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, size, size."""
        return self.channels, self.size, self.size

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names by label: `names`, or else as found below the default data folder.

        Raises:
            DataError: Neither is there.
        """
        return self.names or class_names(self.root(data_folder()), self.nested, self.columns)

    @property
    def mean(self) -> tuple[float, ...]:
        """0.5 per channel: fixed, since the images' own mean would be known only after reading them."""
        return (0.5,) * self.channels

    @property
    def std(self) -> tuple[float, ...]:
        """0.25 per channel, near that of photographs, so that pixels lie in -2..2."""
        return (0.25,) * self.channels

    @property
    def nested(self) -> bool:
        """Whether folders inside those of classes are read, too."""
        return self.reading > 1

    @property
    def reduced(self) -> bool:
        """Whether large JPEGs are decoded to a part of their size."""
        return self.reading > 1

    def named(self, folder: Path) -> Self:
        """This spec with its path absolute and its class names filled in, so that it needs no files to know them.

        Args:
            folder: The data folder.

        Raises:
            DataError: The folder of images is missing or has no class.
        """
        root = self.root(folder)
        return self.replace(path=root, names=class_names(root, self.nested, self.columns))

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, ordered by a hash of the upright pixels.

        Args:
            split: "train", "tune" or "test".
            folder: The data folder, for a path that is not absolute.
            progress: Reports the images read, of what is passed over, and of classes without an image in test.

        Raises:
            DataError: As of `read` and `FolderImages.split`.
        """
        return self.read(folder, progress, (split,)).split(split, progress)

    def read(self, folder: Path, progress: Progress, splits: Collection[Split] = SPLITS) -> "FolderImages":
        """All that some splits need, read once.

        Args:
            folder: The data folder, for a path that is not absolute.
            progress: Reports the images read, and of what is passed over.
            splits: Which splits will be asked for.

        Raises:
            DataError: The folder has no classes, other ones than `names`, or images that cannot be read.
        """
        found = self.listed(folder)
        needed = {split if split in found.splits else "train" for split in splits}
        files = [file for file in found.files if file.split in needed]
        paths = [file.path for file in files]
        images = read_images(paths, self.size, self.reduced, found.root.name, progress, found.fetch)
        bad = require_sound(images, self.skip_bad, progress)
        good = [(file, one) for file, one in zip(files, images, strict=True) if not isinstance(one, BadFile)]
        if "train" in splits or "train" not in needed:  # the others are of the same files, and it was said for train
            decoder = Decoder()
            for file, one in good:
                decoder.note(file.path, one.facts.bits, one.facts.brightest)
            if passed := said(found.passed_over):
                progress.say(passed)
            decoder.tell(progress)
        return FolderImages(
            self,
            found,
            [file.path for file, _ in good],
            np.array([file.label for file, _ in good], np.int64),
            np.array([SPLITS.index(file.split) for file, _ in good], np.int64),
            [one for _, one in good],
            bad,
        )

    def listed(self, folder: Path) -> Listing:
        """The images of the folder, before any is read.

        Raises:
            DataError: The folder has no classes, or other ones than `names`.
        """
        root = self.root(folder)
        names = class_names(root, self.nested, self.columns)
        if self.names and names != self.names:
            raise DataError(
                f"{root} has the classes {', '.join(names)}, not {', '.join(self.names)}, as the recipe says"
            )
        return listing(root, self.nested, self.tune is None, self.columns)

    def former(self) -> "ImageFolder":
        """The same images divided by rank, as before runs kept records of their splits."""
        return self.replace(reading=0)

    def root(self, folder: Path) -> Path:
        """Where the images are: the first place that there is; where they should be when there is none."""
        path = self.path.expanduser()
        usual, moved = [folder / path, path], [folder / path.name, folder]
        found = [place for place in usual if place.is_dir() or is_table(place)]
        found += [place for place in moved if self.names and self.names == self._names_at(place)]
        return next(iter(found), usual[0]).absolute()

    def _names_at(self, place: Path) -> tuple[str, ...]:
        try:
            return class_names(place, self.nested, self.columns)
        except DataError:
            return ()


@dataclass(frozen=True)
class FolderImages:
    """All images that were read of a folder, to be divided.

    Attributes:
        spec: How to divide them.
        listing: What the folder holds.
        paths: Of each image.
        labels: int64, (n,).
        given: The split of the folder that each lies in, by its place in `SPLITS`: int64, (n,).
        read: The images.
        bad: The files that were left out.
    """

    spec: ImageFolder
    listing: Listing
    paths: Sequence[Path]
    labels: NDArray[np.int64]
    given: NDArray[np.int64]
    read: Sequence[ReadImage]
    bad: Sequence[BadFile]

    def split(self, split: Split, progress: Progress) -> Images:
        """One split, ordered by a hash of the upright pixels.

        Args:
            split: One of those that were read for.
            progress: Reports classes without an image in test.

        Raises:
            DataError: No image is in test or, by default, in tune; or a class has none to train on.
        """
        spec, root, names = self.spec, self.listing.root, self.listing.classes
        chosen = self.chosen(split)
        counts = np.bincount(self.labels[chosen], minlength=len(names))
        absent = ", ".join(name for name, count in zip(names, counts, strict=True) if not count)
        carved = "test" not in self.listing.splits
        remedy = "add images, or take another data.split_seed" if carved else "add images"
        if split == "train" and absent:
            raise DataError(f"{root}: no image of {absent} is left to train on; hold out fewer by data.tune, {remedy}")
        if split == "test" and not len(chosen):
            raise DataError(f"{root}: no image is in test; {remedy}")
        if split == "tune" and spec.tune is None and not len(chosen):
            raise DataError(
                f"{root}: there are too few images to hold any out; add some, or hold out none: data.tune 0"
            )
        if split == "test" and absent:
            progress.say(f"{root}: no image of {absent} is in test, so its accuracy will not be known")
        source = f"images of the folder {root.name!r}"
        if carved:
            source += f", {spec.test_fraction:.0%} of them for test, split seed {spec.split_seed}"
        images = np.empty((len(chosen), *spec.shape), np.uint8)
        for place, index in enumerate(chosen.tolist()):
            images[place] = in_channels(self.read[int(index)].image, spec.channels)
        return Images(torch.from_numpy(images), torch.from_numpy(self.labels[chosen]), source)

    def chosen(self, split: Split) -> NDArray[np.int64]:
        """Which images a split has, in the order of a hash of their pixels: int64, indices."""
        own = self.listing.splits
        part = np.flatnonzero(self.given == SPLITS.index(split if split in own else "train"))
        labels, key = self.labels[part], str(self.spec.split_seed)
        pixels = [self.read[index].pixels for index in part.tolist()]
        if self.spec.reading == 0:
            pixels = [read(self.paths[index]) for index in part.tolist()]
        order = content_order(pixels, labels, key)
        if split in own and split != "train":
            return part[order]
        carved = "test" not in own
        if carved:
            in_test = self._in_test(pixels, labels, order, key)
            order = order[in_test if split == "test" else ~in_test]
        if split != "test" and "tune" not in own:
            ordered = [pixels[int(index)] for index in order]
            in_tune = self._in_tune(ordered, labels[order], carved, key)
            order = order[in_tune if split == "tune" else ~in_tune]
        return part[order]

    def _in_test(
        self, pixels: Sequence[bytes], labels: NDArray[np.int64], order: NDArray[np.int64], key: str
    ) -> NDArray[np.bool_]:
        """Which images are carved out for test, in order."""
        fraction = self.spec.test_fraction
        if self.spec.reading == 0:
            return hold_out(labels[order], max(1, round(len(order) * fraction)), len(self.listing.classes))
        return content_below(pixels, fraction, key)[order]

    def _in_tune(self, pixels: Sequence[bytes], labels: NDArray[np.int64], carved: bool, key: str) -> NDArray[np.bool_]:
        """Which images are held out for tune, of ordered ones."""
        num_classes, count = len(self.listing.classes), self.spec.tune
        if count is None:
            # The hashes that follow those of test, so that no other image moves one, as there.
            test = self.spec.test_fraction if carved else 0.0
            held = content_below(pixels, test + (1 - test) * TUNE_FRACTION, key)
            left = np.bincount(labels[~held], minlength=num_classes)
            held &= left[labels] > 0  # a class keeps what it has rather than nothing
            if not held.any():
                several = np.bincount(labels, minlength=num_classes)[labels] > 1
                held[np.flatnonzero(several)[:1]] = True
            return held
        held = hold_out(labels, count, num_classes)
        if self.spec.reading == 0:
            return held
        held_out = {pixels[index] for index in np.flatnonzero(held).tolist()}
        return np.array([one in held_out for one in pixels], np.bool_)


def in_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """An RGB image (3, h, w) in 3 channels or in 1, the rounded mean: (channels, h, w)."""
    if channels == 3:
        return image
    return np.rint(np.mean(image, 0, np.float32, keepdims=True)).astype(np.uint8)


def read_image(path: Path, size: int, progress: Progress | None = None, *, reduced: bool = False) -> NDArray[np.uint8]:
    """One image as (3, size, size), upright, transparency shown on white.

    Args:
        path: The file.
        size: Height and width: the shorter side is resized to it, with antialiasing, and the centre kept.
        progress: Warns of what is odd about it.
        reduced: As of `read_images`.

    Raises:
        DataError: As `read` and `decode`.
    """
    (found,) = read_images([path], size, reduced, path.name, Progress())
    if isinstance(found, BadFile):
        raise DataError(found.message)
    decoder = Decoder()
    decoder.note(path, found.facts.bits, found.facts.brightest)
    decoder.tell(progress or Progress())
    return found.image
