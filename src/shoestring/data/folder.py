"""The user's own images: a folder per class."""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field, NonNegativeInt, PositiveInt

from shoestring.data.decode import Decoder
from shoestring.data.holdout import content_order, hold_out
from shoestring.data.images import Images, Split
from shoestring.data.location import data_folder
from shoestring.errors import DataError
from shoestring.progress import Progress
from shoestring.spec import Spec


class ImageFolder(Spec):
    """Images in PATH/train/CLASS/* and PATH/test/CLASS/*, or in PATH/CLASS/* with a test set carved from them.

    Classes are the subfolders of train (or of PATH), sorted by name; files whose ending Pillow does not know and hidden
    ones are passed over. What is held out, for test and then for tune, is chosen within each class in the order of a
    hash of the files' bytes, in proportion to the classes' sizes; files of equal content stay next to each other.
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
    """Part of the images that is the test set when the folder has no train and test of its own."""
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
    def deviation(self) -> tuple[float, ...]:
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
        return self.model_copy(update={"path": root, "names": _class_folders(root)})

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, ordered by a hash of the files' bytes.

        Args:
            split: "train", "tune" or "test".
            folder: The data folder, for a path that is not absolute.
            progress: Told of the images read.

        Raises:
            DataError: The folder has no classes, other ones than `names`, or an image that cannot be read.
        """
        root = self._root(folder)
        names = _class_folders(root)
        if self.names and names != self.names:
            raise DataError(
                f"{root} has the classes {', '.join(names)}, not {', '.join(self.names)}, as the recipe says"
            )
        source = f"images of the folder {root.name!r}"
        divided = _is_divided(root)
        if divided:
            files, labels = self._listed(root / ("test" if split == "test" else "train"), names)
        else:
            files, labels = self._listed(root, names)
            in_test = hold_out(labels, max(1, round(len(labels) * self.test_fraction)), len(names))
            chosen = np.flatnonzero(in_test if split == "test" else ~in_test)
            files, labels = [files[index] for index in chosen], labels[chosen]
            source += f", {self.test_fraction:.0%} of them for test, split seed {self.split_seed}"
        if split != "test":
            in_tune = hold_out(labels, self.tune, len(names))
            chosen = np.flatnonzero(in_tune if split == "tune" else ~in_tune)
            files, labels = [files[index] for index in chosen], labels[chosen]
        images = np.empty((len(files), *self.shape), np.uint8)
        with progress.task(f"reading {root.name}", len(files), "images") as advance:
            for index, file in enumerate(files):
                images[index] = read_image(file, self.size)
                advance()
        return Images(torch.from_numpy(images), torch.from_numpy(labels), source)

    def _root(self, folder: Path) -> Path:
        """Where the images are: the first place that there is; where they should be when there is none."""
        path = self.path.expanduser()
        usual, moved = [folder / path, path], [folder / path.name, folder]
        found = [place for place in usual if place.is_dir()]
        found += [place for place in moved if self.names and self.names == tuple(_class_names(place))]
        return next(iter(found), usual[0]).absolute()

    def _listed(self, root: Path, names: tuple[str, ...]) -> tuple[list[Path], NDArray[np.int64]]:
        """The image files of all classes and their labels, in the order of their content."""
        if extra := set(_subfolders(root)) - set(names):
            raise DataError(f"{root} has classes that train has not: {', '.join(sorted(extra))}; remove or rename them")
        endings = Image.registered_extensions()
        files: list[Path] = []
        labels: list[int] = []
        for label, name in enumerate(names):
            of_class = [
                file
                for file in sorted((root / name).glob("*"))
                if file.suffix.lower() in endings and not file.name.startswith(".") and file.is_file()
            ]
            if not of_class:
                raise DataError(f"{root / name} has no images; add some, or remove the folder")
            files += of_class
            labels += [label] * len(of_class)
        numbers = np.array(labels, np.int64)
        order = content_order((file.read_bytes() for file in files), numbers, key=str(self.split_seed))
        return [files[index] for index in order], numbers[order]


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
    return names


def read_image(path: Path, size: int, progress: Progress | None = None) -> NDArray[np.uint8]:
    """One image as (3, size, size), upright, transparency shown on white.

    Args:
        path: The file.
        size: Height and width: the shorter side is resized to it, with antialiasing, and the centre kept.
        progress: Told what is odd about it.

    Raises:
        DataError: As `Decoder.decode`.
    """
    decoder = Decoder()
    image = decoder.decode(path)
    decoder.tell(progress or Progress())
    return fitted(image, size)


def fitted(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """An RGB image as (3, size, size): the shorter side is resized, with antialiasing, and the centre kept."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
