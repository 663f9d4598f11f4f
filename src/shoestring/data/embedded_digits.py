"""The 6,000 MNIST digits that ship with the package, so that it learns something without a network."""

from importlib.resources import as_file, files
from typing import Literal

import numpy as np

from shoestring.data.mnist import Digits

NAME = "mnist-subset.npz"


def read_embedded_digits(part: Literal["train", "test"]) -> Digits:
    """A fixed choice of MNIST's digits: 500 per class of its train, or 100 per class of its test digits.

    Licence and origin: ATTRIBUTION.md beside the file.

    Args:
        part: "train" or "test".
    """
    with as_file(files("shoestring.data").joinpath("embedded", NAME)) as path, np.load(path) as arrays:
        return Digits(arrays[f"{part}_images"], arrays[f"{part}_labels"].astype(np.int64))
