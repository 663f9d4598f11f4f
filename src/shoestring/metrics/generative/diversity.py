"""How different samples are from one another, against real images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shoestring.metrics.generative.knn import chunk_rows, squared_distances
from shoestring.metrics.statistics import Metric, computed_by, mean, ratio


@dataclass(frozen=True)
class Diversity:
    """How far apart samples lie.

    Attributes:
        metrics: By name, as `diversity` says.
        generated: float64, (n,): mean distance of each sample to all others.
        real: float64, (m,): the same of real images.
    """

    metrics: dict[str, Metric]
    generated: Tensor
    real: Tensor


def diversity(generated: Tensor, real: Tensor) -> Diversity:
    """The mean distance between two samples, against that between two real images.

    Args:
        generated: Features of samples (n, d), or uint8 images (n, c, h, w); n at least 3.
        real: The same of real images; the number may differ, as a mean over pairs has no bias.

    Returns:
        Metrics: "pairwise_distance" and "pairwise_distance_real", means over all pairs of Euclidean distances;
        "diversity", the first by the second: 1 when as diverse as real images, 0 when all samples are alike. Intervals
        are the jackknife's: images are independent, pairs are not.

    Raises:
        ValueError: There are fewer than three of a kind, which leave no pair when one is left out and say nothing of
            how a distance varies.
    """
    fake, seen = mean_distances(generated), mean_distances(real)
    code, note = computed_by(__name__), "Mean over all pairs; std of the jackknife's pseudo-values, one an image."
    metrics = {
        "pairwise_distance": mean(_pseudo_values(fake), code, note),
        "pairwise_distance_real": mean(_pseudo_values(seen), code, note),
        "diversity": ratio(_pseudo_values(fake), _pseudo_values(seen), code, "1: as diverse as real images."),
    }
    return Diversity(metrics, fake, seen)


def mean_distances(points: Tensor) -> Tensor:
    """Each point's mean Euclidean distance to all others: float64, (n,), on the CPU.

    Args:
        points: (n, ...), uint8 or floating point, flattened; n at least 2. Takes n^2 d multiply-adds, in chunks.

    Raises:
        ValueError: There are fewer than two points.
    """
    if len(points) < 2:
        raise ValueError("a mean distance needs at least two points")
    flat = points.flatten(1)
    origin = flat[:1].double()  # moved to 0, so that what all points share costs no digits
    rows = chunk_rows(flat.shape[1])
    sums = torch.zeros(len(flat), dtype=torch.float64, device=flat.device)
    for first in range(0, len(flat), rows):
        some = flat[first : first + rows].double() - origin
        for start in range(0, len(flat), rows):
            distances = squared_distances(flat[start : start + rows].double() - origin, some).sqrt_()
            if start == first:
                distances.fill_diagonal_(0)
            sums[start : start + rows] += distances.sum(1)
    return (sums / (len(flat) - 1)).cpu()


def _pseudo_values(distances: Tensor) -> Tensor:
    """The jackknife's pseudo-values n U - (n - 1) U_i, (n,), of U, the mean over pairs (Arvesen 1969).

    U_i, the mean over the pairs without point i, follows from that point's mean distance m_i to all others: it is
    (n U - 2 m_i) / (n - 2). The pseudo-values' mean is U, their spread its uncertainty.
    """
    n, whole = len(distances), distances.mean()
    if n < 3:
        raise ValueError("the spread of a mean over pairs needs at least three points")
    return n * whole - (n - 1) * (n * whole - 2 * distances) / (n - 2)
