"""AddNIST (Geada and others 2024): an MNIST digit in each colour channel, to be added up; official files or rebuilt."""

import itertools
from pathlib import Path
from typing import Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeInt, model_validator

from shoestring.core.config import Spec
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.core.rng import derive
from shoestring.data.dataset import Images, Split
from shoestring.data.download import AS_FOUND, has_checksum
from shoestring.data.embedded_digits import read_embedded_digits
from shoestring.data.mnist import Digits, read_digits
from shoestring.data.splits import content_order, hold_out

CHECKSUMS = {
    "train_x": "90fe9fd55c0b8639e9ff4bac2e745ccfedeab07d9a2a058e0ec8b2dacd6f0b0c",
    "train_y": "7e04aebb9299f3db58487433fc033fdd73b555f8c3b41ae1f951f37753c47dc8",
    "valid_x": "46a42261e6c4a0f7b137b1e143383b2b6e7840b5e36c573ad30f4d7797b1f80f",
    "valid_y": "51066b7a3643593bcb13acdc54eadc27e1768ccc4ea6a6af0d4bf4d49ed6b6c6",
    "test_x": "c6d8ee91c5c1fcccb0f7ed7ab91e14c02095bf14d85f0acb9e493777bb872ef1",
    "test_y": "3515838c2ecd948a76dc56ce471e46cbdb7f7ada58d7f41b660135e416a537bf",
}
COUNTS = {"train": 45_000, "valid": 15_000, "test": 10_000}
REBUILT = {"mnist": {"train": 60_000, "test": 10_000}, "embedded": {"train": 20_000, "test": 4_000}}
NUM_CLASSES = 20
TRIPLES = tuple(
    np.array([triple for triple in itertools.product(range(10), repeat=3) if sum(triple) - 1 == label])
    for label in range(NUM_CLASSES)
)
"""By label, the ordered (red, green, blue) digits that have it, (number of triples, 3): 915 in all."""

_Arrays = tuple[NDArray[np.uint8], NDArray[np.int64]]


class AddNIST(Spec):
    """AddNIST: 28x28 colour images, a digit per channel, label r + g + b - 1 in 0..19.

    With digits="mnist" the official files are used when they are in the data folder: train_x (with valid_x when `tune`
    is 0), tune from valid_x without exact copies of train images, hence at most `tune` images. Otherwise the set is
    rebuilt by the published rule: 60,000 images to train on, 3,000 a class, of which `tune` are held out, and 10,000 to
    test, 500 a class. Each class draws, uniformly and with replacement, an ordered triple of digits that has its label,
    then an image of each digit. Train and tune share no digit: MNIST's train digits are divided between them in
    proportion to their sizes; test uses MNIST's test digits.

    With digits="embedded" it is always rebuilt, from the 5,000 + 1,000 digits in the package, and smaller: 20,000
    images to train on (1,000 a class) and 4,000 to test (200 a class).
    """

    kind: Literal["addnist"] = "addnist"
    tune: NonNegativeInt = 15000
    """Images held out of the train set; at most half of it (60,000, or 20,000 with digits "embedded")."""
    rebuild_seed: NonNegativeInt = 0
    """Seed of the rebuilt set; without effect on official files."""
    digits: Literal["mnist", "embedded"] = "mnist"
    """Either "mnist", official AddNIST files or rebuilt from all of MNIST; or "embedded", from the package's digits."""

    @model_validator(mode="after")
    def _leave_enough_to_train(self) -> Self:
        most = REBUILT[self.digits]["train"] // 2
        if self.tune > most:
            raise ValueError(f"tune holds out {self.tune:,} images; with digits {self.digits!r} give at most {most:,}")
        return self

    @property
    def shape(self) -> tuple[int, int, int]:
        """3, 28, 28."""
        return 3, 28, 28

    @property
    def classes(self) -> tuple[str, ...]:
        """The sums of the three digits, "sum 1" to "sum 20", by label."""
        return tuple(f"sum {label + 1}" for label in range(NUM_CLASSES))

    @property
    def mean(self) -> tuple[float, ...]:
        """MNIST's mean for each channel, as in the official files."""
        return 0.1307, 0.1307, 0.1307

    @property
    def std(self) -> tuple[float, ...]:
        """MNIST's standard deviation for each channel, as in the official files."""
        return 0.3081, 0.3081, 0.3081

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, from FOLDER/AddNIST/{train,valid,test}_{x,y}.npy, or rebuilt from MNIST when none is there.

        Args:
            split: "train", "tune" or "test".
            folder: The data folder.
            progress: Reports downloads of MNIST, and warns when official files have other checksums.

        Raises:
            DataError: Official files are damaged or incomplete, or MNIST cannot be had.
        """
        official = folder / "AddNIST"
        paths = [official / f"{name}.npy" for name in CHECKSUMS]
        if self.digits == "mnist" and any(path.exists() for path in paths):
            if absent := [path.name for path in paths if not path.exists()]:
                raise DataError(
                    f"{official} lacks {', '.join(absent)}; add them, or move the others to have it rebuilt"
                )
            parts = (
                ("test",) if split == "test" else ("train",) if split == "train" and self.tune else ("train", "valid")
            )
            images, labels = self._official(split, official)
            names = [f"{part}_{kind}" for part in parts for kind in "xy"]
            checksums = {official / f"{name}.npy": f"sha256:{CHECKSUMS[name]}" for name in names}
            unlike = [path for path, checksum in checksums.items() if not has_checksum(path, checksum)]
            for path in unlike:
                progress.say(f"{path} is not the published file: its sha256 is another")
            source = AS_FOUND if unlike else "official AddNIST files"
        else:
            part = "test" if split == "test" else "train"
            if self.digits == "mnist":
                digits = read_digits(part, folder, progress)
                origin = "MNIST" if digits.official else f"MNIST {AS_FOUND}"
            else:
                digits, origin = read_embedded_digits(part), "the 5,000-digit MNIST subset in the package"
            images, labels = self._rebuilt(split, digits)
            source = f"rebuilt from {origin}, seed {self.rebuild_seed}"
        return Images(torch.from_numpy(images), torch.from_numpy(labels), f"AddNIST, {source}")

    def _official(self, split: Split, official: Path) -> _Arrays:
        if split == "test":
            return _read_official(official, "test")
        train = _read_official(official, "train")
        if split == "train" and self.tune:
            return train
        valid = _read_official(official, "valid")
        if split == "train":
            return np.concatenate((train[0], valid[0])), np.concatenate((train[1], valid[1]))
        known = {image.tobytes() for image in train[0]}
        new = np.array([image.tobytes() not in known for image in valid[0]], dtype=np.bool_)
        images, labels = valid[0][new], valid[1][new]
        if self.tune < len(labels):
            order = content_order(images, labels)
            order = order[hold_out(labels[order], self.tune, NUM_CLASSES, leave_some=False)]
            images, labels = images[order], labels[order]
        return images, labels

    def _rebuilt(self, split: Split, digits: Digits) -> _Arrays:
        total = REBUILT[self.digits]["test" if split == "test" else "train"]
        by_digit = [np.flatnonzero(digits.labels == digit) for digit in range(10)]
        per_class = np.full(NUM_CLASSES, total // NUM_CLASSES)
        if split != "test":
            of_tune = self.tune // NUM_CLASSES + (np.arange(NUM_CLASSES) < self.tune % NUM_CLASSES)
            per_class = of_tune if split == "tune" else per_class - of_tune
            division = _random(self.rebuild_seed, "division")
            for digit, pool in enumerate(by_digit):
                cut = -(-len(pool) * self.tune // total)
                shuffled = division.permutation(pool)
                by_digit[digit] = np.sort(shuffled[:cut] if split == "tune" else shuffled[cut:])
        random = _random(self.rebuild_seed, split)
        labels = random.permutation(np.repeat(np.arange(NUM_CLASSES), per_class))
        triples = np.empty((len(labels), 3), np.int64)
        for label, having in enumerate(TRIPLES):
            triples[labels == label] = having[random.integers(len(having), size=int(per_class[label]))]
        chosen = np.empty_like(triples)
        for digit, pool in enumerate(by_digit):
            places = triples == digit
            if places.any():
                chosen[places] = pool[random.integers(len(pool), size=int(places.sum()))]
        return digits.images[chosen], labels


def _random(seed: int, purpose: str) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(derive(seed, "addnist", purpose)))


def _read_official(official: Path, part: Literal["train", "valid", "test"]) -> _Arrays:
    """One official part with its floats turned back into the bytes they were made of."""
    arrays: list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = []
    for name, dtype, shape in (
        (f"{part}_x", np.float32, (COUNTS[part], 3, 28, 28)),
        (f"{part}_y", np.int64, (COUNTS[part],)),
    ):
        path = official / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except Exception as error:  # whatever a damaged file makes NumPy raise
            raise DataError(
                f"{path} cannot be read: {error}. The host often answers with an empty file; fetch it again."
            ) from error
        if array.dtype != dtype or array.shape != shape:
            raise DataError(
                f"{path} should hold {np.dtype(dtype)} {shape}, found {array.dtype} {array.shape}; fetch it again"
            )
        arrays.append(array)
    labels = np.array(arrays[1], np.int64)
    if labels.min() < 0 or labels.max() >= NUM_CLASSES:
        raise DataError(f"{official / f'{part}_y.npy'} has labels {labels.min()}..{labels.max()}, outside 0..19")
    images = np.empty(arrays[0].shape, np.uint8)
    for start in range(0, len(images), 1000):
        given = np.asarray(arrays[0][start : start + 1000], np.float32)
        pixels = np.rint((given * 0.3081 + 0.1307) * 255)
        # A pixel step is 0.0127 in the file's units: this far off, the numbers were not made from bytes.
        if not np.all(np.abs((np.clip(pixels, 0, 255) / 255 - 0.1307) / 0.3081 - given) < 1e-4):
            raise DataError(f"{official / f'{part}_x.npy'} is not (byte / 255 - 0.1307) / 0.3081; fetch it again")
        images[start : start + 1000] = pixels
    return images, labels
