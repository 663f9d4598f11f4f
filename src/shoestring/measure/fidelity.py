"""Fidelity and diversity apart: precision and recall, density and coverage, from nearest neighbours among features."""

import math

import torch
from torch import Tensor

from shoestring.errors import DataError
from shoestring.measure.measure import Measure, computed_by, mean, share
from shoestring.measure.neighbours import chunk_rows, squared_distances

PRECISION_NEIGHBOURS = 3
DENSITY_NEIGHBOURS = 5


def fidelity(real: Tensor, generated: Tensor, extractor: str) -> dict[str, Measure]:
    """How real generated images look and how much of the real images' variety they have.

    The real images' region is the union of balls around each that reach to its k-th nearest other real image; the
    generated images' region likewise. Exhaustive search in float64; a few matrices of 64 MiB at once.

    Args:
        real: Reference features, (n, dimensions).
        generated: Generated features, (m, dimensions), of the same extractor. Precision and recall shift with the
            counts: compare equal ones only.
        extractor: Identity of the extractor, for the notes.

    Returns:
        "precision", the share of generated images in the real region, and "recall", the share of real images in the
        generated region, k = 3 (Kynkäänniemi et al. 2019); "density", how many real balls hold a generated image on
        average, divided by k, about 1 for sets that are alike, and "coverage", the share of real images whose ball
        holds a generated image, k = 5 (Naeem et al. 2020). The border belongs to a ball. Intervals take the other set
        as given.

    Raises:
        DataError: A set has no more than 5 images.
        ValueError: The dimensions differ.
    """
    if real.shape[1:] != generated.shape[1:]:
        raise ValueError(f"features of {tuple(real.shape)} and {tuple(generated.shape)} are not of one extractor")
    if min(len(real), len(generated)) <= DENSITY_NEIGHBOURS:
        raise DataError(
            f"{DENSITY_NEIGHBOURS} nearest neighbours need at least {DENSITY_NEIGHBOURS + 1} images of each kind, "
            f"got {len(real)} and {len(generated)}"
        )
    real_radii, generated_radii = squared_radii(real), squared_radii(generated)
    precise = torch.zeros(len(generated), dtype=torch.bool)
    recalled, covered = torch.zeros(len(real), dtype=torch.bool), torch.zeros(len(real), dtype=torch.bool)
    balls = torch.zeros(len(generated), dtype=torch.int64)
    for rows in _chunks(generated):
        for columns in _chunks(real):
            distances = squared_distances(generated[rows].double(), real[columns].double())
            precise[rows] |= (distances <= real_radii[columns, PRECISION_NEIGHBOURS - 1]).any(1)
            recalled[columns] |= (distances <= generated_radii[rows, PRECISION_NEIGHBOURS - 1, None]).any(0)
            within = distances <= real_radii[columns, DENSITY_NEIGHBOURS - 1]
            balls[rows] += within.sum(1)
            covered[columns] |= within.any(0)
    code = computed_by(__name__)
    few, many = (f"k = {k}; features: {extractor}." for k in (PRECISION_NEIGHBOURS, DENSITY_NEIGHBOURS))
    return {
        "precision": share(int(precise.sum()), len(generated), code, few),
        "recall": share(int(recalled.sum()), len(real), code, few),
        "density": mean(balls.double() / DENSITY_NEIGHBOURS, code, many),
        "coverage": share(int(covered.sum()), len(real), code, many),
    }


def squared_radii(features: Tensor, neighbours: int = DENSITY_NEIGHBOURS) -> Tensor:
    """Squared distances to the nearest others of the same set: float64, (n, neighbours), ascending.

    Args:
        features: (n, dimensions), n above `neighbours`.
        neighbours: How many others.
    """
    radii: list[Tensor] = []
    for rows in _chunks(features):
        some = features[rows].double()
        nearest = torch.full((len(some), neighbours), math.inf, dtype=torch.float64)
        for columns in _chunks(features):
            distances = squared_distances(some, features[columns].double())
            if rows == columns:
                distances.fill_diagonal_(math.inf)
            candidates = torch.cat([nearest, distances], dim=1)
            nearest = candidates.topk(neighbours, dim=1, largest=False).values
        radii.append(nearest)
    return torch.cat(radii)


def _chunks(features: Tensor) -> list[slice]:
    size = chunk_rows(features.shape[1])
    return [slice(start, start + size) for start in range(0, len(features), size)]
