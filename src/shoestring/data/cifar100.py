"""CIFAR-100: 50,000 + 10,000 colour images of 32x32 in 100 classes.

"Learning multiple layers of features from tiny images", 2009.
"""

import io
import os
import tarfile
import zlib
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from pydantic import NonNegativeInt

from shoestring.core.config import Spec
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.dataset import Images, Split
from shoestring.data.download import AS_FOUND, alone, check, fetch, has_checksum
from shoestring.data.plain_pickle import load_plain_dictionary
from shoestring.data.splits import content_order, hold_out

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
ARCHIVE = "md5:eb9058c3a382ffc7106e4002c42a8d85"
MEMBERS = {
    "train": "md5:16019d7e3df5f24257cddd939b257f8d",
    "test": "md5:f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "md5:7973b15100ade9c7d40fb424638fde48",
}
PER_CLASS = {"train": 500, "test": 100}
_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant
flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree
motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate
poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle
wardrobe whale willow_tree wolf woman worm
"""
CLASSES = tuple(_NAMES.split())

_Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


class CIFAR100(Spec):
    """CIFAR-100: 32x32 colour images of 100 classes; 500 a class to train on, 100 to test.

    Every split is ordered by a hash of the pixels, and `tune` takes the same number from each class in that order: the
    splits, and so a training, do not depend on the order of rows in the files.
    """

    kind: Literal["cifar100"] = "cifar100"
    tune: NonNegativeInt = 5000
    """Images held out of the 50,000 of train."""
    size: Literal[8, 16, 32] = 32
    """Height and width: below 32, means of square blocks of pixels, for quick comparisons of nets."""
    scale: Literal["standard", "signed"] = "standard"
    """How a net sees pixels whose task takes any range (`task.pixel_range`): "standard" has mean 0 and
    standard deviation 1 per channel, "signed" is -1..1."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """3, size, size."""
        return 3, self.size, self.size

    @property
    def classes(self) -> tuple[str, ...]:
        """The 100 fine class names, in alphabetical order as in the official files."""
        return CLASSES

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the 50,000 train images per channel, or 0.5 when signed."""
        return (0.507075, 0.486549, 0.440918) if self.scale == "standard" else (0.5, 0.5, 0.5)

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of the pixels of the 50,000 train images per channel, or 0.5 when signed."""
        return (0.267334, 0.256438, 0.276150) if self.scale == "standard" else (0.5, 0.5, 0.5)

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, from the official pickles, Hugging Face parquet files, or else the official download.

        Args:
            split: "train", "tune" or "test".
            folder: Holds cifar-100-python/{train,test,meta} or cifar100/{train,test}-*.parquet.
            progress: Reports downloads, unpacking and decoding.

        Raises:
            DataError: The files are missing and cannot be downloaded, or are damaged.
        """
        part = "test" if split == "test" else "train"
        pickles = folder / "cifar-100-python"
        tables = sorted((folder / "cifar100").glob(f"{part}-*.parquet"))
        if not (pickles / part).exists() and not tables:
            _download(folder, progress)
        if (pickles / part).exists():
            images, labels = _read_pickles(pickles, part)
            official = has_checksum(pickles / part, MEMBERS[part])
            source = f"CIFAR-100, {'official files' if official else AS_FOUND}"
        else:
            images, labels = _read_parquet(tables, part, progress)
            source = "CIFAR-100, parquet files as found"
        order = content_order(images, labels)
        if part == "train":
            held_out = hold_out(labels[order], self.tune, len(CLASSES))
            order = order[held_out if split == "tune" else ~held_out]
        whole = torch.from_numpy(images[order].reshape(-1, 3, 32, 32))
        if self.size != 32:
            whole = F.avg_pool2d(whole.float(), 32 // self.size).round_().to(torch.uint8)
            source += f", averaged to {self.size}x{self.size}"
        return Images(whole, torch.from_numpy(labels[order]), source)


def _read_pickles(pickles: Path, part: str) -> _Arrays:
    if (pickles / "meta").exists():
        names = load_plain_dictionary(pickles / "meta").get("fine_label_names")
        if names != list(CLASSES):
            raise DataError(f"{pickles / 'meta'} does not list CIFAR-100's 100 fine labels; copy the official file")
    content = load_plain_dictionary(pickles / part)
    return _checked(content.get("data"), content.get("fine_labels"), part, pickles / part)


def _read_parquet(tables: list[Path], part: str, progress: Progress) -> _Arrays:
    try:
        # By name, since pyarrow is an extra without type stubs.
        read_table: Any = import_module("pyarrow.parquet").read_table
    except ImportError as error:
        raise DataError(
            f"{tables[0]} needs pyarrow: pip install 'shoestring[parquet]', or put the official pickles into "
            f"{tables[0].parent.parent / 'cifar-100-python'}"
        ) from error
    rows: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    for path in tables:
        try:
            table: Any = read_table(path, columns=["img", "fine_label"])
            cells, numbers = table["img"].to_pylist(), table["fine_label"].to_pylist()
        except Exception as error:  # whatever a damaged file makes pyarrow raise
            raise _unlike(path, error) from error
        labels += numbers
        with progress.task(f"decoding {path.name}", len(cells), "images") as advance:
            for cell in cells:
                try:
                    with Image.open(io.BytesIO(cell["bytes"])) as image:
                        rows.append(np.asarray(image.convert("RGB")).transpose(2, 0, 1).reshape(-1))
                except Exception as error:  # whatever a damaged cell makes Pillow raise
                    raise _unlike(path, error) from error
                advance()
    data = np.stack(rows) if len({row.shape for row in rows}) == 1 else None
    return _checked(data, labels, part, tables[0])


def _unlike(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path} cannot be read: {type(error).__name__}: {error}. It should hold the columns img (PNG bytes) and "
        "fine_label, as uoft-cs/cifar100 on Hugging Face does; fetch it again."
    )


def _checked(data: object, labels: object, part: str, path: Path) -> _Arrays:
    """The images as (n, 3072) and their labels, when they are what the official files hold."""
    count = PER_CLASS[part] * len(CLASSES)
    remedy = "Delete it and fetch or copy it again."
    pixels: NDArray[Any] = cast("NDArray[Any]", data) if isinstance(data, np.ndarray) else np.empty(0)
    if pixels.dtype != np.uint8 or pixels.shape != (count, 3072):
        raise DataError(
            f"{path} should hold uint8 images ({count}, 3072), found {pixels.dtype} {pixels.shape}. {remedy}"
        )
    try:
        numbers = np.asarray(labels)
    except ValueError:  # a ragged list
        numbers = np.empty(0)
    if numbers.shape != (count,) or numbers.dtype.kind not in "iu":
        raise DataError(f"{path} should hold {count} whole-number fine labels, found {numbers.shape}. {remedy}")
    if numbers.min() < 0 or numbers.max() >= len(CLASSES):
        raise DataError(f"{path} has labels {numbers.min()}..{numbers.max()}, outside 0..99. {remedy}")
    sizes = np.bincount(numbers, minlength=len(CLASSES))
    if np.any(sizes != PER_CLASS[part]):
        wrong = CLASSES[int(np.argmax(sizes != PER_CLASS[part]))]
        raise DataError(f"{path} should hold {PER_CLASS[part]} images a class; {wrong!r} is amiss. {remedy}")
    return pixels.astype(np.uint8, copy=False), numbers.astype(np.int64)


def _download(folder: Path, progress: Progress) -> None:
    archive = folder / "cifar-100-python.tar.gz"
    remedy = (
        f"Or put that archive or its unpacked files into {folder}, or the parquet files of uoft-cs/cifar100 "
        f"(Hugging Face) into {folder / 'cifar100'}; --data-folder or SHOESTRING_DATA names another folder."
    )
    fetch([URL], archive, ARCHIVE, progress, remedy=remedy)
    with alone(archive, progress):
        unpack(archive, folder / "cifar-100-python", progress)


def unpack(archive: Path, target: Path, progress: Progress) -> None:
    """Writes those of the official archive's three known members that are not there, each checked, and nothing else.

    Args:
        archive: cifar-100-python.tar.gz.
        target: The folder that gets train, test and meta.
        progress: Reports the three files.

    Raises:
        DataError: The archive cannot be read, lacks a member, or a member is not the official file.
    """
    target.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive) as tar, progress.task(f"unpacking {archive.name}", len(MEMBERS), "files") as advance:
            for name, checksum in MEMBERS.items():
                if (target / name).exists():
                    continue
                # The path is ours, never the archive's, and links are not followed.
                member = tar.getmember(f"cifar-100-python/{name}")
                content = tar.extractfile(member) if member.isreg() else None
                if content is None:
                    raise DataError(f"{archive}: {member.name} is not a plain file; fetch the archive again")
                partial = target / f"{name}.part"
                with content, partial.open("wb") as file:
                    while block := content.read(1 << 20):
                        file.write(block)
                    file.flush()
                    os.fsync(file.fileno())
                check(partial, checksum)
                partial.replace(target / name)
                advance()
    except (tarfile.TarError, KeyError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}. Delete it and fetch it again.") from error
