"""Whether a generator copies: the nearest training image of every sample, against that of unseen real images."""

import math
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from shoestring.metrics.generative.knn import knn
from shoestring.metrics.statistics import Metric, computed_by, fraction

COPY_QUANTILE = 0.01  # of the held-out images' distances; a sample as near as these few is counted as memorised


@dataclass(frozen=True)
class Neighbours:
    """The nearest reference of each query.

    Attributes:
        indices: int64, (n,), into the references; the first of a few equally near ones.
        distances: float64, (n,), Euclidean, in the units of the data.
    """

    indices: Tensor
    distances: Tensor


@dataclass(frozen=True)
class Memorisation:
    """How near samples come to the training images.

    Attributes:
        metrics: By name, as `memorisation` says.
        generated: The nearest training image of each sample, to show side by side.
        held_out: That of each held-out real image.
        threshold: The distance up to which a sample counts as memorised.
    """

    metrics: dict[str, Metric]
    generated: Neighbours
    held_out: Neighbours
    threshold: float


def memorisation(generated: Tensor, held_out: Tensor, train: Tensor, quantile: float = COPY_QUANTILE) -> Memorisation:
    """How much nearer to the training images samples are than unseen real images are.

    A nearest distance means nothing by itself; the held-out images say what is usual. On pixels, smooth samples are
    near to everything, so read it beside the distances of features, and look at the pairs.

    Args:
        generated: Samples, uint8 images (n, c, h, w) or features (n, d).
        held_out: Real images not trained on, in the same form.
        train: The training images, in the same form.
        quantile: Fraction of the held-out images whose nearness counts as memorised.

    Returns:
        Metrics: "memorised", the fraction of samples at most as far as the `quantile` of held-out images;
        "memorised_held_out", the same fraction of these themselves (about `quantile`; more where the data holds
        duplicates); "nearer_than_held_out", the probability that a sample is nearer to its training image than a
        held-out image to its own, 0.5 where nothing is copied (Mann and Whitney 1947, as arXiv 2004.05675 test
        copying).
    """
    found, usual = nearest(generated, train), nearest(held_out, train)
    threshold = float(torch.quantile(usual.distances, quantile, interpolation="lower"))
    code = computed_by(__name__)
    note = (
        f"Distance at most {threshold:.6g}, the {quantile:.0%} quantile of {len(held_out):,} held-out images, which "
        "the interval takes as known."
    )
    metrics = {
        "memorised": fraction(int((found.distances <= threshold).sum()), len(generated), code, note),
        "memorised_held_out": fraction(int((usual.distances <= threshold).sum()), len(held_out), code, note),
        "nearer_than_held_out": _probability_nearer(found.distances, usual.distances, code),
    }
    return Memorisation(metrics, found, usual, threshold)


def nearest(queries: Tensor, references: Tensor) -> Neighbours:
    """The nearest reference of each query, by exhaustive search.

    As `knn` does it; holds a few matrices of at most 64 MiB at once.

    Args:
        queries: (n, ...), uint8 or floating point, flattened to (n, d).
        references: (m, ...), on the same device; flattened to (m, d), m at least 1.

    Returns:
        Indices and distances, on the CPU.

    Raises:
        ValueError: The sizes differ or there are no references.
    """
    points, others = queries.flatten(1), references.flatten(1)
    if points.shape[1] != others.shape[1] or not len(others):
        raise ValueError(f"queries {tuple(queries.shape)} do not match references {tuple(references.shape)}")
    indices, squares = knn(points, others, 1)
    return Neighbours(indices[:, 0].cpu(), squares[:, 0].sqrt().cpu())


def _probability_nearer(found: Tensor, usual: Tensor, code: str) -> Metric:
    """The area under the ROC curve of the two distances, ties counting half, with DeLong et al. 1988's interval."""
    by_sample = 1 - _placement(found, usual)
    by_held_out = _placement(usual, found)
    value, interval = float(by_sample.mean()), None
    if min(len(found), len(usual)) > 1:
        variance = float(by_sample.var()) / len(found) + float(by_held_out.var()) / len(usual)
        half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
        interval = (max(0.0, value - half), min(1.0, value + half))
    note = "0.5: as far from the training images as held-out real images are; above: nearer."
    return Metric(value, len(found), interval, None, code, note)


def _placement(values: Tensor, among: Tensor) -> Tensor:
    """For each value the fraction of the others below it, ties counting half."""
    order = among.sort().values
    below, through = torch.searchsorted(order, values), torch.searchsorted(order, values, right=True)
    return (below + through).double() / (2 * len(among))
