import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from shoestring.core.progress import Progress
from shoestring.data.embedded_digits import NAME, read_embedded_digits
from shoestring.data.mnist import read_digits


@pytest.mark.parametrize(("part", "per_class"), [("train", 500), ("test", 100)])
def test_there_are_equally_many_different_digits_of_each_class(part: str, per_class: int) -> None:
    digits = read_embedded_digits(part)
    assert digits.images.shape == (10 * per_class, 28, 28)
    assert digits.images.dtype == np.uint8
    assert np.bincount(digits.labels).tolist() == [per_class] * 10
    assert len(np.unique(digits.images.reshape(-1, 784), axis=0)) == 10 * per_class


def test_they_are_small_and_attributed() -> None:
    folder = files("shoestring.data") / "embedded"
    assert len((folder / NAME).read_bytes()) < 2_000_000
    text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for word in ("Yann LeCun", "Corinna Cortes", "Christopher J. C. Burges", "creativecommons.org/licenses/by-sa/3.0"):
        assert word in text


@pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")
@pytest.mark.parametrize("part", ["train", "test"])
def test_they_are_mnists(part: str) -> None:
    real = read_digits(part, Path(os.environ["SHOESTRING_DATA"]), Progress())
    label_of = {image.tobytes(): int(label) for image, label in zip(real.images, real.labels, strict=True)}
    digits = read_embedded_digits(part)
    assert [label_of[image.tobytes()] for image in digits.images] == digits.labels.tolist()
