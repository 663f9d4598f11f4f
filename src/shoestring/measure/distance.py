"""Distances between two sets of features: Fréchet, the same extrapolated to infinitely many images, and kernel."""

import math
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from shoestring import rng
from shoestring.errors import DataError
from shoestring.measure.features import Moments, moments

_ROWS = 2048  # of the kernel matrix held at once, at most as many columns


def frechet_distance(real: Moments, generated: Moments) -> float:
    """Squared 2-Wasserstein distance between two Gaussians.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), Heusel et al. 2017, eq. 6. float64, from eigenvalues, so singular
    covariances need no epsilon. Biased upward for few images: compare only equal counts.

    Args:
        real: Moments of reference features.
        generated: Moments of generated features, from the same extractor.

    Returns:
        The distance, at least 0; 0 for equal moments, up to rounding.

    Raises:
        ValueError: The extractors differ.
    """
    return _distance_from(real, _root(real.covariance), generated)


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
    real: Moments, generated: Tensor, seed: int = 0, points: int = 15, smallest: int | None = None
) -> ExtrapolatedDistance:
    """The Fréchet distance that infinitely many generated images would have (Chong and Forsyth 2020).

    The bias of the distance is linear in 1/n to first order: distances of random subsets of n images are fitted by a
    line in 1/n, read at 0. The bias that the real images bring remains.

    Args:
        real: Moments of all reference features, kept fixed.
        generated: Features, (n, dimensions), of the same extractor.
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
    root = _root(real.covariance)
    distances: list[float] = []
    for size in counts:
        order = torch.randperm(count, generator=rng.generator(seed, "subset of the Fréchet distance", size))
        distances.append(_distance_from(real, root, moments(generated[order[:size]], real.extractor)))
    inverse = 1 / torch.tensor(counts, dtype=torch.float64)
    value, error = _intercept(inverse, torch.tensor(distances, dtype=torch.float64))
    return ExtrapolatedDistance(value, error, tuple(counts), tuple(distances))


@dataclass(frozen=True)
class KernelDistance:
    """The kernel inception distance, in two estimates that are both unbiased and so may be below 0.

    Attributes:
        value: Over all pairs of images at once: the one with the least variance.
        subset_mean: Mean over random subsets, as usually published.
        subset_deviation: Standard deviation of the single subsets' values, as usually published beside it.
        standard_error: Of the subset mean. Subsets overlap: no more of them count than fit side by side into the
            smaller set.
        subsets: How many.
        subset_size: Images of each set in each; at most half of the smaller set.
    """

    value: float
    subset_mean: float
    subset_deviation: float
    standard_error: float
    subsets: int
    subset_size: int


def kernel_distance(
    real: Tensor, generated: Tensor, seed: int = 0, subsets: int = 100, subset_size: int = 1000
) -> KernelDistance:
    """The squared maximum mean discrepancy with the kernel (x.y / dimensions + 1)^3 (Binkowski et al. 2018).

    Unbiased at any number of images, so that sets of different sizes compare. float64.

    Args:
        real: Reference features, (n, dimensions).
        generated: Generated features, (m, dimensions), of the same extractor.
        seed: Of the subsets.
        subsets: Subsets to draw, at least 2, each without replacement.
        subset_size: Images of each set per subset; less where a set has not twice as many.

    Raises:
        DataError: A set has fewer than 4 images.
        ValueError: The dimensions differ.
    """
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(f"features of {tuple(real.shape)} and {tuple(generated.shape)} are not of one extractor")
    smaller = min(len(real), len(generated))
    size = min(subset_size, smaller // 2)
    if size < 2:
        raise DataError(f"a kernel distance needs at least 4 images of each kind, got {smaller}")
    first, second = real.double(), generated.double()
    values = torch.empty(subsets, dtype=torch.float64)
    generator = rng.generator(seed, "subsets of the kernel distance")
    for index in range(subsets):
        one = first[torch.randperm(len(first), generator=generator)[:size]]
        other = second[torch.randperm(len(second), generator=generator)[:size]]
        values[index] = _discrepancy(one, other)
    deviation = float(values.std())
    return KernelDistance(
        value=_discrepancy(first, second),
        subset_mean=float(values.mean()),
        subset_deviation=deviation,
        standard_error=deviation / math.sqrt(min(subsets, smaller / size)),
        subsets=subsets,
        subset_size=size,
    )


def _distance_from(real: Moments, root: Tensor, generated: Moments) -> float:
    if real.extractor != generated.extractor:
        raise ValueError(f"features of {real.extractor!r} and of {generated.extractor!r} do not compare")
    # C1 C2 has the eigenvalues of R' C2 R with C1 = R R', which is symmetric.
    product = root.T @ generated.covariance @ root
    eigenvalues = cast(Tensor, torch.linalg.eigvalsh((product + product.T) / 2))
    spread = real.covariance.trace() + generated.covariance.trace() - 2 * eigenvalues.clamp(min=0).sqrt().sum()
    return max(0.0, float((real.mean - generated.mean).square().sum() + spread))


def _root(covariance: Tensor) -> Tensor:
    """R with R R' = covariance; directions in which it is 0 up to rounding are left out."""
    eigenvalues, vectors = cast(tuple[Tensor, Tensor], torch.linalg.eigh(covariance))
    rounding = len(covariance) * torch.finfo(torch.float64).eps * eigenvalues.abs().max()
    kept = eigenvalues > rounding
    return vectors[:, kept] * eigenvalues[kept].sqrt()


def _intercept(x: Tensor, y: Tensor) -> tuple[float, float]:
    """The least-squares line's value at 0, and its standard error."""
    centred = x - x.mean()
    slope = (centred @ y) / (centred @ centred)
    value = y.mean() - slope * x.mean()
    variance = (y - value - slope * x).square().sum() / (len(x) - 2)
    return float(value), float((variance * (1 / len(x) + x.mean() ** 2 / (centred @ centred))).sqrt())


def _discrepancy(real: Tensor, generated: Tensor) -> float:
    n, m = len(real), len(generated)
    within_real = _kernel_sum(real, real) - _own_sum(real)
    within_generated = _kernel_sum(generated, generated) - _own_sum(generated)
    return within_real / (n * (n - 1)) + within_generated / (m * (m - 1)) - 2 * _kernel_sum(real, generated) / (n * m)


def _kernel_sum(a: Tensor, b: Tensor) -> float:
    """The sum of the kernel over all pairs, a block at a time."""
    blocks = [
        float((rows @ columns.T / a.shape[1] + 1).pow_(3).sum())
        for rows in torch.split(a, _ROWS)
        for columns in torch.split(b, _ROWS)
    ]
    return math.fsum(blocks)


def _own_sum(features: Tensor) -> float:
    """The sum of the kernel of every image with itself, which an unbiased estimate leaves out."""
    return float((features.square().sum(1) / features.shape[1] + 1).pow(3).sum())
