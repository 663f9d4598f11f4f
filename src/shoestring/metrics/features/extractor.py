"""Features of images from a frozen extractor, and their statistics."""

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast

import torch
from torch import Tensor

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress

BATCH = 128


class Extractor(Protocol):
    """A frozen map from images to features; what it computes is fixed by its identity."""

    @property
    def name(self) -> str:
        """The net, such as "inception-2015-12-05"."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers per image."""
        ...

    @property
    def resizing(self) -> str:
        """How images are brought to the net's size; "none" when they are taken as they are."""
        ...

    @property
    def hash(self) -> str:
        """The first 12 hexadecimal digits of a hash of the weights."""
        ...

    @property
    def code(self) -> str:
        """What else decides the features to the last digit: a hash of the code that computes them, and the device."""
        ...

    def __call__(self, images: Tensor) -> Tensor:
        """float32 features, (n, dimensions), of uint8 images, (n, channels, height, width)."""
        ...


@dataclass(frozen=True)
class FunctionExtractor:
    """Any function as an extractor, such as a trained classifier up to its last layer.

    Distances of its features are a net's own: comparable among themselves, never with FID or KID.

    Attributes:
        name: Says whose features they are.
        dimensions: Numbers per image.
        hash: The first 12 hexadecimal digits of a hash of whatever fixes the function, such as its weights file.
        function: uint8 images (n, channels, height, width) to features (n, dimensions), on any device.
        resizing: How the function resizes images, if it does.
        code: As of `Extractor`.
    """

    name: str
    dimensions: int
    hash: str
    function: Callable[[Tensor], Tensor]
    resizing: str = "none"
    code: str = ""

    def __call__(self, images: Tensor) -> Tensor:
        """float32 features, (n, dimensions), on the CPU."""
        with torch.no_grad():
            return self.function(images).float().cpu()


def identity(extractor: Extractor) -> str:
    """What fixes the features, "NAME DIMENSIONS RESIZING HASH": extractors of equal identity compute the same."""
    return f"{extractor.name} {extractor.dimensions} {extractor.resizing} {extractor.hash}"


def check_images(images: Tensor) -> None:
    """Refuses what is not a set of images to measure.

    Args:
        images: Should be uint8, (n, channels, height, width), n at least 2.

    Raises:
        DataError: It is not; the message says what was found and what to do.
    """
    if images.dtype != torch.uint8:
        extra = ", some of them NaN" if images.is_floating_point() and bool(images.isnan().any()) else ""
        raise DataError(
            f"images must be uint8 in 0..255, got {str(images.dtype).removeprefix('torch.')}{extra}; scale, round and "
            "clip them first"
        )
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise DataError(f"images must have the shape (n, channels, height, width), got {tuple(images.shape)}")
    if len(images) < 2:
        raise DataError(f"statistics need at least 2 images, got {len(images)}")


def batches(
    extractor: Extractor, images: Tensor, batch_size: int, advance: Callable[[int], object]
) -> Iterator[Tensor]:
    """Features batch after batch, (batch, dimensions), float32 on the CPU.

    Args:
        extractor: The frozen extractor.
        images: uint8, (n, channels, height, width), that `check_images` accepts.
        batch_size: Images to hand to the extractor at once; changes nothing but memory and speed.
        advance: Called with the number of images of each batch.

    Raises:
        DataError: The features do not have the promised shape or are not finite.
    """
    for part in torch.split(images, batch_size):
        features = extractor(part).float().cpu()
        if features.shape != (len(part), extractor.dimensions):
            raise DataError(
                f"{extractor.name} gave features of shape {tuple(features.shape)} for {len(part)} images, not "
                f"({len(part)}, {extractor.dimensions})"
            )
        if not bool(features.isfinite().all()):
            raise DataError(f"{extractor.name} gave NaN or infinite features; are its weights damaged?")
        yield features
        advance(len(part))


def extract(extractor: Extractor, images: Tensor, progress: Progress, batch_size: int = BATCH) -> Tensor:
    """Features of all images.

    Args:
        extractor: The frozen extractor.
        images: uint8, (n, channels, height, width).
        progress: Reports the images done.
        batch_size: As of `batches`.

    Returns:
        float32, (n, dimensions), on the CPU.

    Raises:
        DataError: The images are no set to measure; otherwise as of `batches`.
    """
    check_images(images)
    with progress.task(f"features of {extractor.name}", len(images), "images") as advance:
        return torch.cat(list(batches(extractor, images, batch_size, advance)))


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of the features of a set of images.

    Attributes:
        count: Images.
        mean: float64, (dimensions,).
        covariance: float64, (dimensions, dimensions); divided by count - 1.
        extractor: The identity of the extractor, as `identity` gives it.
    """

    count: int
    mean: Tensor
    covariance: Tensor
    extractor: str

    @property
    def caution(self) -> str | None:
        """What to say beside a Fréchet distance of these moments; None when there is nothing to say."""
        dimensions = len(self.mean)
        if self.count >= dimensions:
            return None
        return (
            f"{self.count:,} images for {dimensions:,} dimensions: the covariance is singular and the Fréchet distance "
            "far too large; compare it with equal counts only"
        )

    @cached_property
    def root(self) -> Tensor:
        """R with R R' = covariance: float64, (dimensions, rank); directions of no variance up to rounding left out."""
        eigenvalues, vectors = cast(tuple[Tensor, Tensor], torch.linalg.eigh(self.covariance))
        rounding = len(self.covariance) * torch.finfo(torch.float64).eps * eigenvalues.abs().max()
        kept = eigenvalues > rounding
        return vectors[:, kept] * eigenvalues[kept].sqrt()


def moments(features: Tensor | Iterable[Tensor], extractor: str) -> Moments:
    """Mean and covariance of features, the same to rounding for any split into batches.

    Args:
        features: (n, dimensions), or batches of it one after another, which are not kept.
        extractor: Identity of their extractor.

    Returns:
        Moments in float64.

    Raises:
        DataError: There are fewer than 2 features, or they hold NaN or infinity.
    """
    count = 0
    origin = total = products = torch.zeros(0, dtype=torch.float64)
    for batch in torch.split(features, 4096) if isinstance(features, Tensor) else features:
        if count == 0:
            # Sums about a point near the mean: without it, squares of a far mean would eat the digits.
            origin = batch.double().mean(0)
            total = torch.zeros_like(origin)
            products = torch.outer(total, total)
        offsets = batch.double() - origin
        count += len(batch)
        total += offsets.sum(0)
        products += offsets.T @ offsets
    if count < 2:
        raise DataError(f"a covariance needs the features of at least 2 images, got {count}")
    covariance = (products - torch.outer(total, total) / count) / (count - 1)
    if not bool(covariance.isfinite().all()):
        raise DataError(f"the features of {extractor} hold NaN or infinity; are the extractor's weights damaged?")
    return Moments(count, origin + total / count, covariance, extractor)


Kept = TypeVar("Kept")


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features, and whatever is computed of them alone: once, when it is first asked for.

    A generator's samples of several seeds are compared with the same real images, and with several sets of these.

    Attributes:
        features: (n, dimensions), on the CPU; not to be changed.
        extractor: Identity of their extractor.
    """

    features: Tensor
    extractor: str
    _kept: dict[Hashable, Any] = field(default_factory=dict[Hashable, Any], repr=False)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def moments(self) -> Moments:
        """Mean and covariance; errors as of the function `moments`."""
        return moments(self.features, self.extractor)

    def once(self, name: Hashable, compute: Callable[[Tensor], Kept]) -> Kept:
        """What a function makes of the features; that of the first call for every later one of the same name."""
        if name not in self._kept:
            self._kept[name] = compute(self.features)
        return self._kept[name]
