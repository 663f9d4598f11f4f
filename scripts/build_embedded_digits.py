"""Rebuilds src/shoestring/data/embedded/mnist-subset.npz from the official MNIST files.

python scripts/build_embedded_digits.py [--data-folder FOLDER]

The first digits of each class in the order of a content hash are taken, so the choice is fixed by the data alone.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from shoestring.core.progress import Progress
from shoestring.data.mnist import Digits, read_digits
from shoestring.data.paths import data_folder
from shoestring.data.splits import content_order

TARGET = Path(__file__).parent.parent / "src" / "shoestring" / "data" / "embedded" / "mnist-subset.npz"


def chosen(digits: Digits, per_class: int) -> Digits:
    """The first `per_class` digits of each class by content hash, in the order of that hash."""
    order = content_order(digits.images, digits.labels)
    rank = np.empty(len(order), np.int64)
    for digit in range(10):
        of_digit = digits.labels[order] == digit
        rank[of_digit] = np.arange(of_digit.sum())
    order = order[rank < per_class]
    return Digits(digits.images[order], digits.labels[order])


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-folder", type=Path)
    folder = data_folder(parser.parse_args().data_folder)
    arrays: dict[str, Any] = {}
    for part, per_class in (("train", 500), ("test", 100)):
        digits = chosen(read_digits(part, folder, Progress()), per_class)
        # Sorted by class, like digits lie side by side and pack better.
        by_class = np.argsort(digits.labels, kind="stable")
        arrays[f"{part}_images"] = digits.images[by_class]
        arrays[f"{part}_labels"] = digits.labels[by_class].astype(np.uint8)
    np.savez_compressed(TARGET, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
