"""The Fréchet distance between two sets of features, also extrapolated to infinitely many images."""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from shoestring.core import rng
from shoestring.core.errors import DataError
from shoestring.metrics.features.extractor import FeatureSet, Moments


def frechet_distance(real: Moments, generated: Moments) -> float:
    """Squared 2-Wasserstein distance between two Gaussians.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), arXiv 1706.08500, eq. 6. float64, from eigenvalues, so singular
    covariances need no epsilon. Biased upward for few images: compare only equal counts.

    Args:
        real: Moments of reference features.
        generated: Moments of generated features, from the same extractor.

    Returns:
        The distance, at least 0; 0 for equal moments, up to rounding.

    Raises:
        ValueError: The extractors differ.
    """
    if real.extractor != generated.extractor:
        raise ValueError(f"features of {real.extractor!r} and of {generated.extractor!r} do not compare")
    # C1 C2 has the eigenvalues of R' C2 R with C1 = R R', which is symmetric.
    product = real.root.T @ generated.covariance @ real.root
    eigenvalues = cast(Tensor, torch.linalg.eigvalsh((product + product.T) / 2))
    spread = real.covariance.trace() + generated.covariance.trace() - 2 * eigenvalues.clamp(min=0).sqrt().sum()
    return max(0.0, float((real.mean - generated.mean).square().sum() + spread))


@dataclass(frozen=True)
class ExtrapolatedDistance:
    """A Fréchet distance without the bias that comes from having few generated images.

    Attributes:
        value: The line's value at infinitely many generated images.
        standard_error: Of the fit alone; the points share images, so that the value's own error is larger.
        counts: Generated images of each point.
        distances: The Fréchet distance at each.
    """

    value: float
    standard_error: float
    counts: tuple[int, ...]
    distances: tuple[float, ...]


def extrapolated_frechet_distance(
    real: Moments, generated: FeatureSet, seed: int = 0, points: int = 15, smallest: int | None = None
) -> ExtrapolatedDistance:
    """The Fréchet distance that infinitely many generated images would have (arXiv 1911.07023).

    The bias of the distance is linear in 1/n to first order: distances of random subsets of n images are fitted by a
    line in 1/n, read at 0. The bias that the real images bring remains.

    Args:
        real: Moments of all reference features, kept fixed.
        generated: Features of the same extractor.
        seed: Of the subsets.
        points: How many subset sizes, at least 3, evenly spaced from the smallest to n.
        smallest: The smallest size; by default 5,000 as published, or half of the images if that is less. Below the
            number of dimensions the bias is no longer linear.

    Raises:
        DataError: There are too few images for that many different sizes.
    """
    count = len(generated)
    first = smallest or min(5000, count // 2)
    counts = [round(first + (count - first) * point / (points - 1)) for point in range(points)]
    if first < 2 or len(set(counts)) < points:
        raise DataError(f"{count:,} generated images from {first:,} on do not give {points} subset sizes; make more")
    distances: list[float] = []
    for size in counts:
        order = torch.randperm(count, generator=rng.generator(seed, "subset of the Fréchet distance", size))
        distances.append(frechet_distance(real, _without(generated, order[size:])))
    inverse = 1 / torch.tensor(counts, dtype=torch.float64)
    value, error = _intercept(inverse, torch.tensor(distances, dtype=torch.float64))
    return ExtrapolatedDistance(value, error, tuple(counts), tuple(distances))


def _intercept(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The least-squares line's value at 0, and its standard error."""
    centred = x - x.mean()
    slope = (centred @ y) / (centred @ centred)
    value = y.mean() - slope * x.mean()
    variance = (y - value - slope * x).square().sum() / (len(x) - 2)
    return float(value), float((variance * (1 / len(x) + x.mean() ** 2 / (centred @ centred))).sqrt())


def _without(whole: FeatureSet, left_out: Tensor) -> Moments:
    """The moments of a set without some images: their sums, taken from those of all, which costs less than the rest."""
    every = whole.moments
    count = every.count - len(left_out)
    total, products = torch.zeros_like(every.mean), every.covariance * (every.count - 1)
    for some in torch.split(left_out, 4096):
        offsets = whole.features[some].double() - every.mean
        total -= offsets.sum(0)
        products = torch.addmm(products, offsets.T, offsets, alpha=-1)
    covariance = (products - torch.outer(total, total) / count) / (count - 1)
    return Moments(count, every.mean + total / count, covariance, every.extractor)
