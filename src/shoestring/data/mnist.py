"""MNIST (LeCun, Cortes and Burges 1998): 60,000 + 10,000 handwritten digits of 28x28, in the official idx files."""

import gzip
import hashlib
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeInt

from shoestring.core.config import Spec
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.dataset import Images, Split
from shoestring.data.download import AS_FOUND, fetch
from shoestring.data.splits import content_order, hold_out

MIRRORS = ("https://ossci-datasets.s3.amazonaws.com/mnist", "https://storage.googleapis.com/cvdf-datasets/mnist")
CHECKSUMS = {
    "train-images-idx3-ubyte": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
"""Of the packed files."""
UNPACKED = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""The md5 of what is in them."""
COUNTS = {"train": 60_000, "t10k": 10_000}


@dataclass(frozen=True)
class Digits:
    """Handwritten digits.

    Attributes:
        images: uint8, (n, 28, 28), ink is 255.
        labels: int64, (n,), 0..9.
        official: Whether they are, bit for bit, what the official files hold.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    official: bool = False


class MNISTDigits(Spec):
    """MNIST: 28x28 grey images of handwritten digits; 60,000 to train on, 10,000 to test.

    Every split is ordered by a hash of the pixels; `tune` takes from each class in proportion, in that order.
    """

    kind: Literal["mnist"] = "mnist"
    tune: NonNegativeInt = 5000
    """Images held out of the 60,000 of train."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """1, 28, 28."""
        return 1, 28, 28

    @property
    def classes(self) -> tuple[str, ...]:
        """The digits "0" to "9"."""
        return tuple(str(digit) for digit in range(10))

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of the train pixels."""
        return (0.1307,)

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of the train pixels."""
        return (0.3081,)

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, from FOLDER/MNIST/raw/*-ubyte or *-ubyte.gz, downloaded when neither is there.

        Args:
            split: "train", "tune" or "test".
            folder: The data folder.
            progress: Reports downloads.

        Raises:
            DataError: The files are missing and cannot be downloaded, or are damaged.
        """
        digits = read_digits("test" if split == "test" else "train", folder, progress)
        order = content_order(digits.images, digits.labels)
        if split != "test":
            held_out = hold_out(digits.labels[order], self.tune, len(self.classes))
            order = order[held_out if split == "tune" else ~held_out]
        images = torch.from_numpy(digits.images[order]).unsqueeze(1)
        source = f"MNIST, {'official files' if digits.official else AS_FOUND}"
        return Images(images, torch.from_numpy(digits.labels[order]), source)


def read_digits(part: Literal["train", "test"], folder: Path, progress: Progress) -> Digits:
    """All digits of one part of MNIST, in the order of the official files.

    Args:
        part: "train" or "test".
        folder: The data folder; files are looked for, and downloads land, in its MNIST/raw.
        progress: Reports downloads.

    Raises:
        DataError: The files are missing and cannot be downloaded, or are damaged.
    """
    prefix = "t10k" if part == "test" else "train"
    count, raw = COUNTS[prefix], folder / "MNIST" / "raw"
    images, sound = _read_idx(raw / f"{prefix}-images-idx3-ubyte", (count, 28, 28), progress)
    labels, told = _read_idx(raw / f"{prefix}-labels-idx1-ubyte", (count,), progress)
    if labels.max() > 9:
        raise DataError(f"{prefix}-labels-idx1-ubyte in {raw} has a label over 9; fetch it again")
    return Digits(images, labels.astype(np.int64), sound and told)


def _read_idx(path: Path, shape: tuple[int, ...], progress: Progress) -> tuple[NDArray[np.uint8], bool]:
    """The bytes of an idx file, and whether it is the official one.

    It holds the magic number 0x800 + dimensions, each size as a big-endian integer, then the pixels.
    """
    name = path.name
    packed = path.with_name(path.name + ".gz")
    if not path.exists():
        remedy = f"Or put the four files, packed or not, into {path.parent}; or name a folder that has them."
        fetch([f"{mirror}/{packed.name}" for mirror in MIRRORS], packed, CHECKSUMS[path.name], progress, remedy=remedy)
        path = packed
    try:
        content = gzip.decompress(path.read_bytes()) if path is packed else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Delete it and fetch it again.") from error
    header = struct.pack(f">{1 + len(shape)}i", 0x800 + len(shape), *shape)
    if content[: len(header)] != header or len(content) != len(header) + int(np.prod(shape)):
        raise DataError(
            f"{path} is not the idx file of shape {shape} that it should be ({len(content):,} bytes). "
            "Delete it and fetch it again."
        )
    official = hashlib.md5(content, usedforsecurity=False).hexdigest() == UNPACKED[name]
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape), official
