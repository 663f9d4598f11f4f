"""Images with their spatial frequencies weighted."""

import math
from functools import lru_cache

import torch
from torch import Tensor


def weight_frequencies(images: Tensor, order: float) -> Tensor:
    """Images whose spectrum is multiplied by (1 + f)^order, f being the frequency in half-waves per side.

    Scaled as a whole so that natural images, whose amplitudes fall like 1/f, keep their mean square. Done by matrix
    products with a cosine transform, in float32 even inside autocast.

    Args:
        images: (n, c, side, side).
        order: Below 0 damps fine detail; 0 gives the images themselves.

    Returns:
        float32, of the same shape, in channels_last order.
    """
    with torch.autocast(images.device.type, enabled=False):
        cosines, weights = _transform(images.shape[-1], order, images.device)
        spectrum = (cosines @ images.float() @ cosines.T) * weights
        return (cosines.T @ spectrum @ cosines).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # plain tensors, whoever asks first
def _transform(side: int, order: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthogonal cosine transform, rows by frequency, and the weight of each pair of frequencies."""
    number = torch.arange(side, dtype=torch.float64)
    cosines = torch.cos(math.pi / side * (number + 0.5) * number[:, None]) * math.sqrt(2 / side)
    cosines[0] /= math.sqrt(2)
    frequency = 1 + torch.hypot(number, number[:, None])
    usual = frequency**-2  # the power of natural images
    weights = frequency**order
    weights *= (usual.sum() / (weights.square() * usual).sum()).sqrt()
    return cosines.float().to(device), weights.float().to(device)
