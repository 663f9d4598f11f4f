"""How evenly images change along a path between two latent vectors."""

from dataclasses import dataclass

from torch import Tensor

from shoestring.metrics.statistics import Metric, computed_by, fraction, mean


@dataclass(frozen=True)
class Smoothness:
    """How evenly paths proceed.

    Attributes:
        metrics: By name, as `smoothness` says.
        lengths: float64, (pairs, steps - 1): how far each step goes, Euclidean, in the units of the data.
    """

    metrics: dict[str, Metric]
    lengths: Tensor


def smoothness(paths: Tensor) -> Smoothness:
    """The longest step of each path by its mean step: 1 when all steps are even.

    Args:
        paths: (pairs, steps, c, h, w) images or (pairs, steps, d) features, uint8 or floating point; at least 3 steps.

    Returns:
        Metrics: "max_over_mean_step", the mean over paths that move of longest by mean step, from 1 (even) to steps - 1
        (all in one jump; so compare only equal numbers of steps); None when no path moves. "frac_constant_paths", the
        fraction of paths that do not move at all.

    Raises:
        ValueError: There are no paths, or fewer than 3 steps.
    """
    if paths.ndim < 3 or not len(paths) or paths.shape[1] < 3:
        raise ValueError(f"paths must be (pairs, steps, ...) with at least 3 steps, got {tuple(paths.shape)}")
    points = paths.flatten(2).double()
    lengths = (points[:, 1:] - points[:, :-1]).square().sum(2).sqrt().cpu()
    moving = lengths[lengths.sum(1) > 0]
    code = computed_by(__name__)
    note = f"Longest by mean of {lengths.shape[1]} steps, averaged over paths; 1 is even."
    unevenness = moving.amax(1) / moving.mean(1)
    metrics = {
        "max_over_mean_step": mean(unevenness, code, note)
        if len(moving)
        else Metric(None, 0, computed_by=code, note=note),
        "frac_constant_paths": fraction(len(paths) - len(moving), len(paths), code),
    }
    return Smoothness(metrics, lengths)
