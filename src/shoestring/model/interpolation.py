"""Paths between vectors that lie near a sphere."""

import torch
from torch import Tensor


def great_circles(starts: Tensor, ends: Tensor, steps: int) -> Tensor:
    """Points in equal steps on the great circles between pairs, (n steps, ...) of (n, ...), ends included.

    A normal vector lies near a sphere of radius sqrt(d); a straight line between two would leave it (White 2016,
    arXiv 1609.04468).
    """
    weights = torch.linspace(0, 1, steps).view(1, steps, 1)
    points = great_circle(starts.flatten(1).unsqueeze(1), ends.flatten(1).unsqueeze(1), weights)
    return points.view(-1, *starts.shape[1:])


def great_circle(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """Spherical interpolation of vectors along the last dimension; weight 0 gives start, 1 end.

    "Animating rotation with quaternion curves", 1985.
    """
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1).clamp(-1, 1).unsqueeze(-1)
    angle = torch.acos(cosine)
    apart = angle > 1e-3  # nearer than that, the circle is a straight line
    sine = torch.where(apart, torch.sin(angle), 1.0)
    before = torch.where(apart, torch.sin((1 - weight) * angle) / sine, 1 - weight)
    after = torch.where(apart, torch.sin(weight * angle) / sine, weight)
    return before * start + after * end
