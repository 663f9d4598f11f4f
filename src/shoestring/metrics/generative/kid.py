"""The kernel distance between two sets of features (KID), over all pairs of images and over random subsets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from shoestring.core import rng
from shoestring.core.errors import DataError
from shoestring.metrics.features.extractor import FeatureSet

_ROWS = 1024  # of the kernel matrix held at once, at most as many columns


@dataclass(frozen=True)
class KernelDistance:
    """The kernel inception distance, in two estimates that are both unbiased and so may be below 0.

    Attributes:
        value: Over all pairs of images at once: the one with the least variance.
        subset_mean: Mean over random subsets, as usually published.
        subset_std: Standard deviation of the single subsets' values, as usually published beside it.
        standard_error: Of the subset mean. Subsets overlap: no more of them count than fit side by side into the
            smaller set.
        subsets: How many.
        subset_size: Images of each set in each; at most half of the smaller set.
    """

    value: float
    subset_mean: float
    subset_std: float
    standard_error: float
    subsets: int
    subset_size: int


def kernel_distance(
    real: FeatureSet, generated: FeatureSet, seed: int = 0, subsets: int = 100, subset_size: int = 1000
) -> KernelDistance:
    """The squared maximum mean discrepancy with the kernel (x.y / dimensions + 1)^3 (arXiv 1801.01401).

    Unbiased at any number of images, so that sets of different sizes compare. The kernel of a pair has the features'
    own precision, about 1e-7 of it for float32, and these errors cancel over the pairs; sums are float64. No pair's
    kernel is computed twice: subsets are read from the same matrix, and pairs within a set are kept with it.

    Args:
        real: Reference features.
        generated: Generated features, of the same extractor.
        seed: Of the subsets.
        subsets: Subsets to draw, at least 2, each without replacement.
        subset_size: Images of each set per subset; less where a set has not twice as many.

    Raises:
        DataError: A set has fewer than 4 images.
        ValueError: The dimensions differ.
    """
    first, second = real.features, generated.features
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(f"features of {tuple(first.shape)} and {tuple(second.shape)} are not of one extractor")
    smaller = min(len(first), len(second))
    size = min(subset_size, smaller // 2)
    if size < 2:
        raise DataError(f"a kernel distance needs at least 4 images of each kind, got {smaller}")
    drawn = _draw(len(first), len(second), seed, subsets, size)
    members, other_members = (_membership(len(part), of) for part, of in zip((first, second), drawn, strict=True))
    subset_key = ("kernel", len(first), len(second), seed, subsets, size)
    within = real.once((*subset_key, "real"), lambda own: _sums_within(own, members))
    within_other = generated.once((*subset_key, "generated"), lambda own: _sums_within(own, other_members))
    between = _kernel_sums(first, second, members, other_members)
    n, m = members.sum(0, dtype=torch.float64), other_members.sum(0, dtype=torch.float64)
    values = within / (n * (n - 1)) + within_other / (m * (m - 1)) - 2 * between / (n * m)
    std = float(values[:-1].std())
    return KernelDistance(
        value=float(values[-1]),
        subset_mean=float(values[:-1].mean()),
        subset_std=std,
        standard_error=std * math.sqrt(max(1 / subsets, size / (smaller - size))),
        subsets=subsets,
        subset_size=size,
    )


def _draw(n: int, m: int, seed: int, subsets: int, size: int) -> tuple[list[Tensor], list[Tensor]]:
    """Which images of either set are in each subset: int64 (size,)."""
    generator = rng.generator(seed, "subsets of the kernel distance")
    pairs = [[torch.randperm(count, generator=generator)[:size] for count in (n, m)] for _ in range(subsets)]
    return [one for one, _ in pairs], [other for _, other in pairs]


def _membership(count: int, subsets: Sequence[Tensor]) -> Tensor:
    """A column for each subset with 1 for its images and 0 for others, and a last one for all: float32."""
    columns = torch.zeros(count, len(subsets) + 1)
    for column, subset in enumerate(subsets):
        columns[subset, column] = 1
    columns[:, -1] = 1
    return columns


def _sums_within(features: Tensor, members: Tensor) -> Tensor:
    """For each subset the sum of the kernel over its ordered pairs of two different images: float64, (subsets,)."""
    own = (features.double().square().mean(1) + 1).pow(3)
    return _kernel_sums(features, features, members, members) - own @ members.double()


def _kernel_sums(a: Tensor, b: Tensor, members: Tensor, other_members: Tensor) -> Tensor:
    """For each subset the sum of the kernel over all pairs of its images in a and b: float64, (subsets,).

    A block of the kernel matrix at a time; of one set with itself, blocks above the diagonal count twice.
    """
    type_of_both = torch.promote_types(torch.promote_types(a.dtype, b.dtype), torch.float32)
    one, other, dimensions = a.to(type_of_both), b.to(type_of_both), a.shape[1]
    # (x.y / dimensions + 1)^3 less c^3, where c - 1 is about the mean of x.y / dimensions, is a polynomial of what a
    # pair exceeds it by: small numbers, whose errors are small too. Rounded, so that float32 holds 3 c and 3 c^2.
    level = round(256 * float(one.mean(0) @ other.mean(0)) / dimensions) / 256
    c = level + 1
    sums = c**3 * members.sum(0, dtype=torch.float64) * other_members.sum(0, dtype=torch.float64)
    for row in range(0, len(a), _ROWS):
        for column in range(row if a is b else 0, len(b), _ROWS):
            rows, columns = slice(row, row + _ROWS), slice(column, column + _ROWS)
            excess = (one[rows] @ other[columns].T).div_(dimensions).sub_(level)
            kernel = excess.add(3 * c).mul_(excess).add_(3 * c**2).mul_(excess)
            inside = ((kernel @ other_members[columns].to(type_of_both)).double() * members[rows]).sum(0)
            inside[-1] = kernel.sum(dtype=torch.float64)  # of all images: the value itself, so to the last digit
            sums += inside * (2 if a is b and column > row else 1)
    return sums
