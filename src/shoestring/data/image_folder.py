"""The user's own images: a folder per class."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field, NonNegativeInt, PositiveInt

from shoestring.core.config import Spec
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.dataset import Images, Split
from shoestring.data.decode import Decoder, read
from shoestring.data.image_files import list_images, passed_over
from shoestring.data.paths import data_folder
from shoestring.data.splits import content_below, content_order, hold_out

_PIXELS: dict[bytes, bytes] = {}
"""By a hash of a file's bytes, that of its pixels: what a file was decoded to once decides its split from then on."""


class ImageFolder(Spec):
    """Images in PATH/train/CLASS/* and PATH/test/CLASS/*, or in PATH/CLASS/* with a test set carved from them.

    Classes are the subfolders of train (or of PATH), sorted by name; files that are no images by their endings and
    hidden ones are passed over. Whether an image is carved out for test depends on a hash of its upright pixels alone:
    no other image, name or way to save it without loss moves it. What is then held out for tune is chosen within each
    class in the order of that hash, in proportion to the classes' sizes. Copies of the same pixels share a split.
    """

    kind: Literal["folder"] = "folder"
    path: Path
    """The folder: absolute, below the data folder, or where the command runs. One that has moved since is also found
    by its name in the data folder, or as the data folder."""
    size: PositiveInt = 32
    """Height and width in pixels: the shorter side is resized to it, with antialiasing, and the centre kept."""
    tune: NonNegativeInt = 0
    """Images held out of train."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """About which part of the images is the test set when the folder has no train and test of its own."""
    split_seed: NonNegativeInt = 0
    """Another seed holds out other images."""
    names: tuple[str, ...] = ()
    """Class names by label; read from the folder when not given."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """3, size, size: all images become RGB."""
        return 3, self.size, self.size

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names by label: `names`, or else as found below the default data folder.

        Raises:
            DataError: Neither is there.
        """
        return self.names or _class_folders(self._root(data_folder()))

    @property
    def mean(self) -> tuple[float, ...]:
        """0.5 per channel: fixed, since the images' own mean would be known only after reading them."""
        return 0.5, 0.5, 0.5

    @property
    def std(self) -> tuple[float, ...]:
        """0.25 per channel, near that of photographs, so that pixels lie in -2..2."""
        return 0.25, 0.25, 0.25

    def named(self, folder: Path) -> Self:
        """This spec with its path absolute and its class names filled in, so that it needs no files to know them.

        Args:
            folder: The data folder.

        Raises:
            DataError: The folder of images is missing or has no class.
        """
        root = self._root(folder)
        return self.replace(path=root, names=_class_folders(root))

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, ordered by a hash of the upright pixels.

        Args:
            split: "train", "tune" or "test".
            folder: The data folder, for a path that is not absolute.
            progress: Reports the images read, what is passed over, and classes without an image in test.

        Raises:
            DataError: The folder has no classes, other ones than `names`, an image that cannot be read, no image in
                test, or a class with none to train on.
        """
        root = self._root(folder)
        names = _class_folders(root)
        if self.names and names != self.names:
            raise DataError(
                f"{root} has the classes {', '.join(names)}, not {', '.join(self.names)}, as the recipe says"
            )
        divided = _is_divided(root)
        part = root / ("test" if split == "test" else "train") if divided else root
        files, labels, others = _listed(part, names, may_lack=divided and split == "test")
        decoder = Decoder()
        pixels, decoded = self._pixels(files, root.name, decoder, progress)
        chosen = self._chosen(split, not divided, files, pixels, labels, len(names))
        counts = np.bincount(labels[chosen], minlength=len(names))
        absent = ", ".join(name for name, count in zip(names, counts, strict=True) if not count)
        remedy = "add images" if divided else "add images, or take another data.split_seed"
        if split == "train" and absent:
            raise DataError(f"{root}: no image of {absent} is left to train on; hold out fewer by data.tune, {remedy}")
        if split == "test" and not len(chosen):
            raise DataError(f"{root}: no image is in test; {remedy}")
        files = [files[int(index)] for index in chosen]
        if missing := [file for file in files if file not in decoded]:
            with progress.task(f"decoding {root.name}", len(missing), "images") as advance:
                for file in missing:
                    decoded[file] = fitted(decoder.decode(file, read(file)), self.size)
                    advance()
        images = np.empty((len(files), *self.shape), np.uint8)
        for place, file in enumerate(files):
            images[place] = decoded.pop(file)
        if split == "test" and absent:
            progress.say(f"{root}: no image of {absent} is in test")
        if split == "train" or (divided and split == "test"):  # the other splits are of the same files
            passed_over(others, progress)
            decoder.tell(progress)
        source = f"images of the folder {root.name!r}"
        if not divided:
            source += f", {self.test_fraction:.0%} of them for test, split seed {self.split_seed}"
        return Images(torch.from_numpy(images), torch.from_numpy(labels[chosen]), source)

    def former(self) -> "ImageFolder":
        """The same images divided by rank, as before runs kept records of their splits."""
        return _RankedImageFolder(**dict(self))

    def _pixels(
        self, files: Sequence[Path], title: str, decoder: Decoder, progress: Progress
    ) -> tuple[list[bytes], dict[Path, NDArray[np.uint8]]]:
        """A hash of the pixels of each file, and the images of those that had to be decoded for it."""
        pixels: list[bytes] = []
        images: dict[Path, NDArray[np.uint8]] = {}
        with progress.task(f"reading {title}", len(files), "images") as advance:
            for file in files:
                content = read(file)
                known = hashlib.blake2b(content, digest_size=16).digest()
                if known not in _PIXELS:
                    image = decoder.decode(file, content)
                    size = str(image.size).encode()
                    _PIXELS[known] = hashlib.blake2b(image.tobytes(), digest_size=16, key=size).digest()
                    images[file] = fitted(image, self.size)
                pixels.append(_PIXELS[known])
                advance()
        return pixels, images

    def _chosen(
        self,
        split: Split,
        carved: bool,
        files: Sequence[Path],
        pixels: Sequence[bytes],
        labels: NDArray[np.int64],
        num_classes: int,
    ) -> NDArray[np.int64]:
        """Which files a split has, in the order of a hash of their pixels; `carved`: test is among them."""
        key = str(self.split_seed)
        order = content_order(pixels, labels, key)
        if carved:
            in_test = content_below(pixels, self.test_fraction, key)[order]
            order = order[in_test if split == "test" else ~in_test]
        if split == "test":
            return order
        held_out = {pixels[int(index)] for index in order[hold_out(labels[order], self.tune, num_classes)]}
        in_tune = np.array([pixels[int(index)] in held_out for index in order], np.bool_)
        return order[in_tune if split == "tune" else ~in_tune]

    def _root(self, folder: Path) -> Path:
        """Where the images are: the first place that there is; where they should be when there is none."""
        path = self.path.expanduser()
        usual, moved = [folder / path, path], [folder / path.name, folder]
        found = [place for place in usual if place.is_dir()]
        found += [place for place in moved if self.names and self.names == tuple(_class_names(place))]
        return next(iter(found), usual[0]).absolute()


class _RankedImageFolder(ImageFolder):
    """A folder divided as before runs kept records of their splits: each class by the rank of its files' hashes.

    Adding or saving anew one file moves others between the splits; runs that were trained so are still evaluated so.
    """

    def _chosen(
        self,
        split: Split,
        carved: bool,
        files: Sequence[Path],
        pixels: Sequence[bytes],
        labels: NDArray[np.int64],
        num_classes: int,
    ) -> NDArray[np.int64]:
        order = content_order((read(file) for file in files), labels, str(self.split_seed))
        if carved:
            in_test = hold_out(labels[order], max(1, round(len(order) * self.test_fraction)), num_classes)
            order = order[in_test if split == "test" else ~in_test]
        if split == "test":
            return order
        in_tune = hold_out(labels[order], self.tune, num_classes)
        return order[in_tune if split == "tune" else ~in_tune]


def _listed(root: Path, names: Sequence[str], may_lack: bool) -> tuple[list[Path], NDArray[np.int64], list[Path]]:
    """The image files of all classes, their labels, and what else is there."""
    if extra := set(_subfolders(root)) - set(names):
        raise DataError(f"{root} has classes that train has not: {', '.join(sorted(extra))}; remove or rename them")
    files: list[Path] = []
    labels: list[int] = []
    others: list[Path] = []
    for label, name in enumerate(names):
        of_class, rest = list_images(root / name)
        if not of_class and not may_lack:
            inner = next((item for item in rest if item.is_dir()), None)
            found = f"has no images, but the folder {inner.name}" if inner else "has no images"
            raise DataError(
                f"{root / name} {found}; images lie in CLASS/*, or in train/CLASS/* and test/CLASS/*: add some, or "
                f"name a folder that holds them so in data.path"
            )
        files += of_class
        labels += [label] * len(of_class)
        others += rest
    return files, np.array(labels, np.int64), others


def _subfolders(root: Path) -> list[str]:
    return sorted(item.name for item in root.glob("*") if item.is_dir() and not item.name.startswith("."))


def _is_divided(root: Path) -> bool:
    # By what lies inside, since a class may well be called "train".
    return bool(_subfolders(root / "train") and _subfolders(root / "test"))


def _class_names(root: Path) -> list[str]:
    return _subfolders(root / "train" if _is_divided(root) else root)


def _class_folders(root: Path) -> tuple[str, ...]:
    names = tuple(_class_names(root))
    if not names:
        found = "has no folders of images" if root.is_dir() else "does not exist"
        raise DataError(
            f"{root} {found}; it should hold train/CLASS/* and test/CLASS/*, or CLASS/*. Correct data.path, or say "
            "where the folder is now with --data-folder."
        )
    if strange := [name for name in names if name.encode(errors="ignore").decode() != name]:
        raise DataError(
            f"{root / strange[0]} is no name for a class, since it is not UTF-8: rename the folder (? stands for what "
            "cannot be read)"
        )
    return names


def read_image(path: Path, size: int, progress: Progress | None = None) -> NDArray[np.uint8]:
    """One image as (3, size, size), upright, transparency shown on white.

    Args:
        path: The file.
        size: Height and width: the shorter side is resized to it, with antialiasing, and the centre kept.
        progress: Warns of what is odd about it.

    Raises:
        DataError: As `read` and `Decoder.decode`.
    """
    decoder = Decoder()
    image = decoder.decode(path, read(path))
    decoder.tell(progress or Progress())
    return fitted(image, size)


def fitted(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """An RGB image as (3, size, size): the shorter side is resized, with antialiasing, and the centre kept."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
