"""Fidelity and diversity apart: precision and recall, density and coverage, from nearest neighbours among features."""

from collections.abc import Iterator

import torch
from torch import Tensor

from shoestring.core.errors import DataError
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.generative.knn import (
    TOLERANCE,
    about,
    knn,
    squared_differences,
    squared_distances,
    squared_sizes,
)
from shoestring.metrics.statistics import Metric, computed_by, fraction, mean

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5
_PAIRS = 2**23  # whose distances are held at once


def prdc(real: FeatureSet, generated: FeatureSet) -> dict[str, Metric]:
    """How real generated images look and how much of the real images' variety they have.

    The real images' region is the union of balls around each that reach to its k-th nearest other real image; the
    generated images' region likewise. Exhaustive search: float32 products find the pairs that matter, and those that
    are too near to a border for these are decided by float64 differences.

    Args:
        real: Reference features; their balls are kept with them.
        generated: Generated features, of the same extractor. Precision and recall shift with the counts: compare equal
            ones only.

    Returns:
        "precision", the fraction of generated images in the real region, and "recall", the fraction of real images in
        the generated region, k = 3 (arXiv 1904.06991); "density", how many real balls hold a generated image on
        average, divided by k, about 1 for sets that are alike, and "coverage", the fraction of real images whose ball
        holds a generated image, k = 5 (arXiv 2002.09797). The border belongs to a ball. Intervals take the other set
        as given.

    Raises:
        DataError: A set has no more than 5 images.
        ValueError: The dimensions differ.
    """
    real_points, fake_points = real.features, generated.features
    if real_points.shape[1:] != fake_points.shape[1:]:
        raise ValueError(
            f"features of {tuple(real_points.shape)} and {tuple(fake_points.shape)} are not of one extractor"
        )
    if min(len(real_points), len(fake_points)) <= DENSITY_NEIGHBOURS:
        raise DataError(
            f"{DENSITY_NEIGHBOURS} nearest neighbours need at least {DENSITY_NEIGHBOURS + 1} images of each kind, "
            f"got {len(real_points)} and {len(fake_points)}"
        )
    wide, narrow = (real.once("radii", squared_radii)[:, k - 1] for k in (DENSITY_NEIGHBOURS, PRECISION_NEIGHBOURS))
    fake_narrow = generated.once("radii", squared_radii)[:, PRECISION_NEIGHBOURS - 1]
    precise = torch.zeros(len(fake_points), dtype=torch.bool)
    recalled, covered = torch.zeros(len(real_points), dtype=torch.bool), torch.zeros(len(real_points), dtype=torch.bool)
    balls = torch.zeros(len(fake_points), dtype=torch.int64)
    for rows, columns, squares in _near_pairs(fake_points, real_points, fake_narrow, wide, narrow):
        precise[rows[squares <= narrow[columns]]] = True
        recalled[columns[squares <= fake_narrow[rows]]] = True
        within = squares <= wide[columns]
        balls += torch.bincount(rows[within], minlength=len(fake_points))
        covered[columns[within]] = True
    code = computed_by(__name__)
    few, many = (f"k = {k}; features: {real.extractor}." for k in (PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS))
    return {
        "precision": fraction(int(precise.sum()), len(fake_points), code, few),
        "recall": fraction(int(recalled.sum()), len(real_points), code, few),
        "density": mean(balls.double() / DENSITY_NEIGHBOURS, code, many, "log"),
        "coverage": fraction(int(covered.sum()), len(real_points), code, many),
    }


def squared_radii(features: Tensor, neighbours: int = DENSITY_NEIGHBOURS) -> Tensor:
    """Squared distances to the nearest others of the same set: float64, (n, neighbours), ascending.

    Args:
        features: (n, dimensions), n above `neighbours`.
        neighbours: How many others.
    """
    return knn(features, features, neighbours, same=True)[1]


def _near_pairs(
    fake_points: Tensor, real_points: Tensor, fake_limits: Tensor, *real_limits: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """All pairs within the limit of either, the last the smaller of `seen`'s, and perhaps some more, part after part.

    Yields indices into both sets, and squared distances in float64 that lie on the right side of every limit.
    """
    origin = real_points[0]
    others = about(origin, real_points)
    sizes = squared_sizes(others)
    size = max(1, _PAIRS // len(real_points))
    for start in range(0, len(fake_points), size):
        points = about(origin, fake_points[start : start + size])
        own_sizes = squared_sizes(points)
        error = TOLERANCE * float(own_sizes.max() + sizes.max())
        own_limits = fake_limits[start : start + size]
        squares = squared_distances(points, others, own_sizes, sizes)
        near = squares <= (real_limits[0] + error).float()
        near |= squares <= (own_limits + error).float()[:, None]
        rows, columns = near.nonzero().unbind(1)
        exact = squares[rows, columns].double()
        limits = torch.stack([own_limits[rows], *(of_real[columns] for of_real in real_limits)])
        close = ((exact - limits).abs() <= error).any(0)
        rows += start
        exact[close] = squared_differences(fake_points[rows[close]], real_points[columns[close]])
        yield rows, columns, exact
