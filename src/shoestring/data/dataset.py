"""What every data source gives: images as whole uint8 tensors, one split at a time."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress

Split = Literal["train", "tune", "test"]
SPLITS: tuple[Split, ...] = ("train", "tune", "test")
SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "tune": ("val", "valid", "validation", "dev", "tune"),
    "test": ("test", "testing"),
}
"""What splits are called where images come from, in lower case."""


@dataclass(frozen=True)
class Images:
    """One split of a data set.

    Attributes:
        images: uint8, (n, channels, height, width).
        labels: int64, (n,), in 0..num_classes-1.
        source: Where the data came from, in one sentence fit for a report.
    """

    images: Tensor
    labels: Tensor
    source: str

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(f"images must be uint8 (n, c, h, w), got {self.images.dtype} {tuple(self.images.shape)}")
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"labels must be int64 ({len(self.images)},), got {self.labels.dtype} {tuple(self.labels.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)


class Normalisation(Protocol):
    """How nets see pixels: (pixel - mean) / std, of pixels scaled to 0..1."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Per-channel mean to subtract."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """Per-channel value to divide by, after the mean is subtracted."""
        ...


def holds_out(source: "Source") -> bool:
    """Whether a data spec has a tune split: it says how many images to hold out, or leaves that to its folder."""
    return source.tune != 0


@dataclass(frozen=True)
class Signed:
    """Pixels in -1..1, which is all that a tanh reaches.

    Attributes:
        channels: Of the images.
    """

    channels: int

    @property
    def mean(self) -> tuple[float, ...]:
        """0.5 per channel."""
        return (0.5,) * self.channels

    @property
    def std(self) -> tuple[float, ...]:
        """0.5 per channel."""
        return (0.5,) * self.channels


class Source(Normalisation, Protocol):
    """A data spec of a recipe: knows its shape without reading a file, and reads one split when asked.

    Its mean and standard deviation are those for nets that take pixels of any range.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height, width of one image."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, by label."""
        ...

    @property
    def tune(self) -> int | None:
        """Images held out of train; None leaves it to the images."""
        ...

    def load(self, split: Split, folder: Path, progress: Progress) -> Images:
        """One split, fully in memory.

        Args:
            split: "train", "tune" (carved from train; empty when the spec's `tune` is 0) or "test".
            folder: The data folder; official files are looked for, and downloads land, below it.
            progress: Reports downloads and unpacking.

        Raises:
            DataError: Files are missing, damaged or of the wrong shape; the message names path and remedy.
        """
        ...


def normalise(images: Tensor, by: Normalisation) -> Tensor:
    """Float images as a net sees them.

    Args:
        images: Any shape (..., c, h, w); uint8 0..255 or float 0..1.
        by: Mean and standard deviation.

    Returns:
        float32, same shape: (pixel - mean) / std, pixels on the 0..1 scale.
    """
    pixels = images.float().div_(255) if images.dtype == torch.uint8 else images
    return (pixels - _per_channel(by.mean, images.device)) / _per_channel(by.std, images.device)


def denormalise(images: Tensor, by: Normalisation) -> Tensor:
    """uint8 images from what a generator gives: the inverse of `normalise`, rounded and clipped."""
    return (pixels_of(images, by) * 255).round_().clamp_(0, 255).to(torch.uint8)


def pixels_of(images: Tensor, by: Normalisation) -> Tensor:
    """Float pixels on the 0..1 scale of images as a net sees them: the inverse of `normalise`, not clipped."""
    return images.float() * _per_channel(by.std, images.device) + _per_channel(by.mean, images.device)


@lru_cache
@torch.inference_mode(False)  # a plain tensor, whoever asks first: gradients may flow past it later
def _per_channel(values: tuple[float, ...], device: torch.device) -> Tensor:
    # Kept: copying constants to a GPU at every step would make the host wait for it.
    return torch.tensor(values, device=device).view(-1, 1, 1)
