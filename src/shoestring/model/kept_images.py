"""Images that stay in memory from one training to the next, where many are trained on the same."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from shoestring.core.progress import Progress
from shoestring.data.addnist import AddNIST
from shoestring.data.cifar100 import CIFAR100
from shoestring.data.dataset import Images, Source, Split
from shoestring.data.manifest import Manifest, manifest
from shoestring.data.mnist import MNISTDigits

OF = "of"  # the entry that says which data set is kept; the others are its splits
_kept: ContextVar[dict[str, Any] | None] = ContextVar("kept", default=None)


@contextmanager
def images_kept() -> Generator[None]:
    """Inside, the images of the data set that was read last stay in memory for other trainings on them.

    Images of one's own are read anew each time, since they may have changed.
    """
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def read(data: Source, split: Split, folder: Path, progress: Progress) -> tuple[Images, Manifest]:
    """A split of a data set, read or kept, and what it holds.

    Raises:
        DataError: As `Source.load`.
    """
    kept, whole = _kept.get(), (data, folder.absolute())
    if kept is None or not isinstance(data, CIFAR100 | AddNIST | MNISTDigits):
        return _read(data, split, folder, progress)
    if kept.get(OF) != whole:
        kept.clear()  # of one data set at a time, so that memory does not grow
        kept[OF] = whole
    if split not in kept:
        kept[split] = _read(data, split, folder, progress)
    return kept[split]


def _read(data: Source, split: Split, folder: Path, progress: Progress) -> tuple[Images, Manifest]:
    images = data.load(split, folder, progress)
    return images, manifest(images, listed=False)
